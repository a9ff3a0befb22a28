import { assert } from '../../base/index.ts'
import { ConsumerEnd } from './consumer-end.ts'
import { ProducerEnd } from './producer-end.ts'
import {
  CELL_BYTES,
  cellsOffset,
  claimConsumer,
  claimProducer,
  type OpenRing,
  openHeader,
  type SpscRing,
} from './spsc-ring.ts'

/*
 * ABI: a frame is a cell whose first word is its length in bytes, and the second a mark of the sender's, then its
 * bytes, in whole cells. It never goes around the end of the ring: the cells that were too few there are skipped, and the first says so.
 */
const SKIP = -1

/** Cells as frames use them. */
export interface FrameCells {
  /** All cells as bytes. */
  readonly bytes: Uint8Array
  /** All cells as words, two each: where lengths are. */
  readonly lengths: { [index: number]: number }
}

/**
 * The longest frame that a ring of so many cells takes, in bytes.
 *
 * With its header it is half of the ring: then there is room for it wherever the end of the memory lies,
 * once all else was taken. What is longer is split, or sent another way, by who knows what it means.
 */
export function frameBytesMax(capacity: number): number {
  return (capacity / 2 - 1) * CELL_BYTES
}

/** How many cells a producer has to ask room for, to send a frame of so many bytes from anywhere. */
export function frameCellsMax(lengthBytes: number): number {
  return 2 * countCells(lengthBytes)
}

/** The end that frames go into. They are written where they will be read. */
export class SpscFrameProducer extends ProducerEnd<FrameCells> {
  /** The ring's memory, for {@link beginFrame}. */
  readonly bytes: Uint8Array
  /** The longest frame that it takes. */
  readonly frameBytesMax: number
  /** Where the frame lies that was begun, in cells from the first of the ring; -1 if none was. */
  #begun = -1
  #begunBytes = 0

  constructor(ring: OpenRing<FrameCells>) {
    super(ring)
    this.bytes = ring.cells.bytes
    this.frameBytesMax = frameBytesMax(ring.capacity)
  }

  /** @throws {RuntimeError} `ERR_STILL_HELD` if the ring has, or had, a producer. */
  static attach(ring: SpscRing, owner?: number): SpscFrameProducer {
    const opened = openFrames(ring)
    claimProducer(opened, owner)
    return new SpscFrameProducer(opened)
  }

  /** Whether a frame of so many bytes, up to {@link frameBytesMax}, has room now. */
  hasRoomFor(lengthBytes: number): boolean {
    assert(lengthBytes <= this.frameBytesMax, 'what never has room is not asked for')
    const needed = countCells(lengthBytes)
    const left = this.capacity - (this.tail & this.mask)
    return this.hasRoom(left < needed ? left + needed : needed)
  }

  /**
   * Finds room for a frame of up to `lengthBytes`; returns where to write it in {@link bytes}, a multiple
   * of 8, or -1 if the ring is too full, or closed on the other side.
   *
   * One that was begun before is forgotten.
   *
   * @throws {RangeError} if it is longer than {@link frameBytesMax}: that never has room.
   */
  beginFrame(lengthBytes: number): number {
    if (lengthBytes > this.frameBytesMax) throw tooLong(lengthBytes, this.frameBytesMax)
    assert(lengthBytes >= 0, 'a length is not negative')
    this.#begun = -1
    const needed = countCells(lengthBytes)
    const position = this.tail & this.mask
    const left = this.capacity - position
    const skipped = left < needed ? left : 0
    if (!this.mayStage(skipped + needed)) return -1
    if (skipped > 0) this.cells.lengths[position * 2] = SKIP
    this.#begun = (position + skipped) & this.mask
    this.#begunBytes = lengthBytes
    return this.#begun * 8 + 8 /* CELL_BYTES */
  }

  /**
   * Ends the frame that was begun, with the first `lengthBytes` of what it was begun with; the consumer
   * sees it with the next {@link publish}, and `mark` beside it, 32 bits that mean something to both.
   */
  commitFrame(lengthBytes: number, mark = 0): void {
    assert(this.#begun !== -1, 'a frame is begun before it is committed')
    assert(lengthBytes <= this.#begunBytes, 'a frame fits the room that was found for it')
    this.cells.lengths[this.#begun * 2] = lengthBytes
    this.cells.lengths[this.#begun * 2 + 1] = mark
    const skipped = (this.#begun - this.tail) & this.mask
    this.tail = (this.tail + skipped + countCells(lengthBytes)) | 0
    this.#begun = -1
  }

  /**
   * Puts a copy in as a frame; the consumer sees it with the next {@link publish}. False, with nothing done, if the
   * ring is too full, or closed on the other side; throws as {@link beginFrame}.
   */
  stage(bytes: Uint8Array, mark = 0): boolean {
    const lengthBytes = bytes.length
    const offset = this.beginFrame(lengthBytes)
    if (offset === -1) return false
    // Faster than a loop even for 8 bytes: V8 reads and writes shared memory byte by byte.
    this.bytes.set(bytes, offset)
    this.commitFrame(lengthBytes, mark)
    return true
  }

  /** The same, and tells the consumer. */
  tryPush(bytes: Uint8Array): boolean {
    if (!this.stage(bytes)) return false
    this.publish()
    return true
  }
}

/** The end that frames come out of. They are read where they were written. */
export class SpscFrameConsumer extends ConsumerEnd<FrameCells> {
  /** The ring's memory, for {@link nextFrame}. */
  readonly bytes: Uint8Array
  /** How long the frame is that {@link nextFrame} found. */
  frameLength = 0
  /** The mark beside it. */
  frameMark = 0

  constructor(ring: OpenRing<FrameCells>) {
    super(ring)
    this.bytes = ring.cells.bytes
  }

  /** @throws {RuntimeError} `ERR_STILL_HELD` if the ring has, or had, a consumer. */
  static attach(ring: SpscRing, owner?: number): SpscFrameConsumer {
    const opened = openFrames(ring)
    claimConsumer(opened, owner)
    return new SpscFrameConsumer(opened)
  }

  /** Goes on where a consumer has ended, whose thread uses the ring no more. */
  static follow(ring: SpscRing): SpscFrameConsumer {
    return new SpscFrameConsumer(openFrames(ring))
  }

  /**
   * Takes the oldest frame: returns where it is in {@link bytes}, and sets {@link frameLength}; -1 if there
   * is none. It stays there until {@link release}, which gives back all that were taken so far.
   */
  nextFrame(): number {
    if (!this.hasMore()) return -1
    const { lengths } = this.cells
    let position = this.head & this.mask
    if (lengths[position * 2] === SKIP) {
      // A frame always follows what was skipped: both are published at once.
      this.head = (this.head + this.capacity - position) | 0
      position = 0
    }
    const lengthBytes = lengths[position * 2] as number
    this.head = (this.head + countCells(lengthBytes)) | 0
    assert(((this.tailSeen - this.head) | 0) >= 0, 'a frame ends before the tail')
    this.frameLength = lengthBytes
    this.frameMark = lengths[position * 2 + 1] as number
    return position * 8 + 8 /* CELL_BYTES */
  }

  /** Takes the oldest frame as a view of the ring, good until {@link release}; undefined if there is none. */
  nextView(): Uint8Array | undefined {
    const offset = this.nextFrame()
    return offset === -1 ? undefined : this.bytes.subarray(offset, offset + this.frameLength)
  }
}

/** Cells of a frame, its header included. */
function countCells(lengthBytes: number): number {
  return ((lengthBytes + 15) >>> 3) | 0
}

function tooLong(lengthBytes: number, maxBytes: number): RangeError {
  return new RangeError(
    `Cannot send a frame as it must have at most ${maxBytes} bytes, half of the ring: current value is ${lengthBytes}`,
  )
}

function openFrames(ring: SpscRing): OpenRing<FrameCells> {
  const words = openHeader(ring, 'frames')
  const offset = cellsOffset(ring)
  const cells = {
    bytes: new Uint8Array(ring.memory, offset, ring.capacity * CELL_BYTES),
    lengths: new Int32Array(ring.memory, offset, ring.capacity * 2),
  }
  return { words, cells, capacity: ring.capacity }
}
