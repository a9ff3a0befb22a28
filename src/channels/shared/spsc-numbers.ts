import { assert } from '../../base/index.ts'
import { ConsumerEnd } from './consumer-end.ts'
import { ProducerEnd } from './producer-end.ts'
import {
  cellsOffset,
  claimConsumer,
  claimProducer,
  type OpenRing,
  openHeader,
  type SpscRing,
} from './spsc-ring.ts'

/** A number in each cell: a Float64Array. */
export interface NumberCells {
  [index: number]: number
}

/** What numbers are copied into, whatever there are of them. */
export interface NumberTarget {
  [index: number]: number
  readonly length: number
}

/** So many and more are copied at once rather than one by one: a view for that costs as much as these. */
const COPY_MIN = 32

/** The end that numbers go into. Every number crosses as it is, -0 and NaN included. */
export class SpscNumberProducer extends ProducerEnd<NumberCells> {
  /** @throws {RuntimeError} `ERR_STILL_HELD` if the ring has, or had, a producer. */
  static attach(ring: SpscRing, owner?: number): SpscNumberProducer {
    const opened = openNumbers(ring)
    claimProducer(opened, owner)
    return new SpscNumberProducer(opened)
  }

  /** Whether there is no cell free. */
  get isFull(): boolean {
    return !this.hasRoom(1)
  }

  /** Puts a number in and tells the consumer; false, with nothing done, if it is full or closed there. */
  tryPush(value: number): boolean {
    if (!this.stage(value)) return false
    this.publish()
    return true
  }

  /** Puts a number in; the consumer sees it with the next {@link publish}. */
  stage(value: number): boolean {
    if (!this.mayStage(1)) return false
    this.cells[this.tail & this.mask] = value
    this.tail = (this.tail + 1) | 0
    return true
  }

  /**
   * Puts in as many of `values[from … to - 1]` as there is room for, and publishes them at once; returns how many.
   */
  pushBatch(values: ArrayLike<number>, from: number, to: number): number {
    const count = this.stageBatch(values, from, to)
    if (count > 0) this.publish()
    return count
  }

  /** The same; the consumer sees them with the next {@link publish}. */
  stageBatch(values: ArrayLike<number>, from: number, to: number): number {
    assert(from >= 0 && to <= values.length, 'a batch is part of its array')
    if (from >= to || !this.mayStage(1)) return 0
    let count = to - from
    const { cells, mask, tail } = this
    if (count > this.capacity - ((tail - this.headSeen) | 0) && !this.hasRoomNow(count)) {
      count = this.capacity - ((tail - this.headSeen) | 0)
    }
    if (count >= COPY_MIN && cells instanceof Float64Array && values instanceof Float64Array) {
      copyIn(cells, tail & mask, values.subarray(from, from + count))
    } else {
      for (let i = 0; i < count; i++) cells[(tail + i) & mask] = values[from + i] as number
    }
    this.tail = (tail + count) | 0
    return count
  }
}

/** The end that numbers come out of. */
export class SpscNumberConsumer extends ConsumerEnd<NumberCells> {
  /** @throws {RuntimeError} `ERR_STILL_HELD` if the ring has, or had, a consumer. */
  static attach(ring: SpscRing, owner?: number): SpscNumberConsumer {
    const opened = openNumbers(ring)
    claimConsumer(opened, owner)
    return new SpscNumberConsumer(opened)
  }

  /** Goes on where a consumer has ended, whose thread uses the ring no more. */
  static follow(ring: SpscRing): SpscNumberConsumer {
    return new SpscNumberConsumer(openNumbers(ring))
  }

  /** Takes the oldest number and frees its cell; undefined if there is none. */
  tryPop(): number | undefined {
    if (!this.hasMore()) return undefined
    const value = this.cells[this.head & this.mask] as number
    this.head = (this.head + 1) | 0
    this.release()
    return value
  }

  /**
   * Takes the oldest number, whose cell is freed later; undefined if there is none, and then all are free.
   *
   * Cells are freed when the consumer has used up what it knew of, and by {@link release}: which must be
   * called by who stops before there is nothing left, or the producer may wait for a cell that nobody uses.
   */
  take(): number | undefined {
    if (this.head === this.tailSeen) {
      if (this.head !== this.released) this.release()
      if (!this.hasMore()) return undefined
    }
    const value = this.cells[this.head & this.mask] as number
    this.head = (this.head + 1) | 0
    return value
  }

  /** Takes as many as there are, and as `target` has places from `from` on, frees their cells at once, returns how many. */
  popInto(target: NumberTarget, from = 0): number {
    const count = this.takeInto(target, from, target.length)
    if (count > 0) this.release()
    return count
  }

  /**
   * Takes as many as there are, and as there are places from `from` up to `to`, which may be beyond the end of an
   * array that grows; returns how many. Their cells are freed later, as those of {@link take}.
   */
  takeInto(target: NumberTarget, from: number, to: number): number {
    assert(from >= 0 && from <= to, 'places are counted upwards')
    assert(!this.isClosed, 'nothing is taken from an end that is closed')
    // Looks at the tail each time: a batch is all that there is, and one look is little for it.
    let count = this.countFilled()
    if (count > to - from) count = to - from
    const { cells, mask, head } = this
    if (count >= COPY_MIN && cells instanceof Float64Array && target instanceof Float64Array) {
      copyOut(cells, head & mask, count, target, from)
    } else {
      for (let i = 0; i < count; i++) target[from + i] = cells[(head + i) & mask] as number
    }
    this.head = (head + count) | 0
    return count
  }
}

/** Copies numbers into cells from that one on, and on from the first. */
function copyIn(cells: Float64Array, position: number, values: Float64Array): void {
  const left = cells.length - position
  if (values.length <= left) {
    cells.set(values, position)
    return
  }
  cells.set(values.subarray(0, left), position)
  cells.set(values.subarray(left), 0)
}

/** Copies so many out of cells from that one on, and on from the first. */
function copyOut(
  cells: Float64Array,
  position: number,
  count: number,
  target: Float64Array,
  from: number,
): void {
  const left = cells.length - position
  if (count <= left) {
    target.set(cells.subarray(position, position + count), from)
    return
  }
  target.set(cells.subarray(position), from)
  target.set(cells.subarray(0, count - left), from + left)
}

function openNumbers(ring: SpscRing): OpenRing<NumberCells> {
  const words = openHeader(ring, 'numbers')
  const cells = new Float64Array(ring.memory, cellsOffset(ring), ring.capacity)
  return { words, cells, capacity: ring.capacity }
}
