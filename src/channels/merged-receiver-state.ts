import { assert, type RuntimeError } from '../base/index.ts'
import type { Executor } from '../executor/index.ts'
import { ItemQueue } from './item-queue.ts'
import { peerEndedError, ReceiverState, takeSource } from './receiver-state.ts'
import { RingSource, type SourceOwner } from './ring-source.ts'
import { NONE, type None, type ValueReader, type ValueTarget } from './value-reader.ts'

/** So many values of one sender before those of the next, where several have some. */
const QUANTUM = 16

/** A sender as its receiver names it. */
export interface MergedSource<T> {
  readonly openReader: () => ValueReader<T>
  /** By what errors name it: `shard 3`. */
  readonly name: string
  readonly index: number
  /** The executor that is to attach as that sender, if it is known. */
  readonly expectedId?: number | undefined
}

export interface MergedReceiverOptions<T, R> {
  readonly sources: readonly MergedSource<T>[]
  /** What receivers get of a value of that sender. */
  readonly wrap: (value: T, index: number) => R
  /** How many values the ring of each has room for. */
  readonly capacity: number
  /** Whether receivers get numbers. */
  readonly isOfNumbers: boolean
  readonly onClose?: () => void
}

/**
 * Receives from many senders, each of which has a ring of its own: in turns, so that none is kept waiting by another.
 *
 * Those that may have something stand in line; one that was found empty comes back when it rings. O(1) for each value,
 * however many senders there are.
 */
export class MergedReceiverState<T, R> extends ReceiverState<R> implements SourceOwner<T> {
  override readonly isOfNumbers: boolean
  readonly #sources: RingSource<T>[] = []
  readonly #names: readonly string[]
  readonly #wrap: (value: T, index: number) => R
  readonly #ready = new ItemQueue<Standing<T>>()
  readonly #standings = new Map<RingSource<T>, Standing<T>>()
  /** The one whose turn it is. */
  #current: Standing<T> | null = null
  #quantumLeft = 0
  #openCount: number
  readonly #capacity: number
  readonly #onClose: (() => void) | null
  /** What was taken out of the rings before anybody received it. */
  readonly #spilled = new ItemQueue<R | Failed>()
  /** How much of that there may be, while there may be any; and who is told that there is as much. */
  #spilledMax = 0
  #onFull: (() => void) | null = null
  /** Of senders that have ended, until somebody was told. */
  readonly #errors = new ItemQueue<RuntimeError>()

  constructor(home: Executor, options: MergedReceiverOptions<T, R>) {
    super(home)
    const { sources, wrap, capacity, onClose = null } = options
    this.isOfNumbers = options.isOfNumbers
    this.#onClose = onClose
    this.#names = sources.map(({ name }) => name)
    this.#wrap = wrap
    this.#capacity = capacity
    this.#openCount = sources.length
    try {
      for (const { openReader, index, expectedId } of sources) {
        const place = { index, expectedId }
        const make = (reader: ValueReader<T>) => new RingSource(home, reader, this, place)
        this.#sources.push(takeSource(openReader(), make))
      }
    } catch (error) {
      this.cancel()
      throw error
    }
    for (const [position, source] of this.#sources.entries()) {
      const standing = { source, position, isInLine: true, isDone: false }
      this.#standings.set(source, standing)
      this.#ready.push(standing)
    }
  }

  /** Begins to listen for the senders; {@link cancel} instead leaves all ends to others. */
  open(): void {
    for (const source of this.#sources) source.open()
  }

  /** Leaves all ends to others: no sender has heard of these. */
  cancel(): void {
    // The first at last: whoever finds it free finds all of them so.
    for (const source of this.#sources.reverse()) source.cancel()
  }

  override countFilled(): number {
    const spilledPart = this.#spilled.length / this.#capacity
    return this.#sources.reduce(
      (sum, source) => sum + (source.isClosed ? 0 : source.filledPart),
      spilledPart,
    )
  }

  sourceHasNews(source: RingSource<T>): void {
    const standing = this.#standings.get(source)
    assert(standing !== undefined, 'news are of a source')
    if (!standing.isInLine && !standing.isDone) {
      standing.isInLine = true
      this.#ready.push(standing)
    }
    this.pump()
    if (this.#onFull !== null) this.#spill()
  }

  /** Whether as much was taken out of the rings as may be. */
  get isSpillFull(): boolean {
    return this.#spilled.length >= this.#spilledMax
  }

  /** Takes values out of the rings as they come, up to so many that nobody has received: then `onFull` is called. */
  spill(countMax: number, onFull: () => void): void {
    this.#spilledMax = countMax
    this.#onFull = onFull
    this.#spill()
  }

  /** Leaves what comes from now on in the rings. */
  stopSpilling(): void {
    this.#onFull = null
  }

  protected override get hasEnded(): boolean {
    if (this.#spilled.length > 0) return false
    this.#settleEnds()
    return this.#openCount === 0 && this.#errors.length === 0
  }

  protected override takeNext(): R | None {
    if (this.#spilled.length === 0) return this.#takeFromRings()
    const value = this.#spilled.shift()
    if (this.#onFull !== null) this.#spill()
    if (value instanceof Failed) throw value.error
    return value
  }

  protected override takeSome(target: ValueTarget<R>, from: number, to: number): number {
    assert(from < to, 'there is a place')
    const value = this.takeNext()
    if (value === NONE) return 0
    target[from] = value
    return 1
  }

  #takeFromRings(): R | None {
    for (let standing = this.#pick(); standing !== null; standing = this.#pick()) {
      const { source } = standing
      const value = source.take()
      if (value !== NONE) {
        this.#quantumLeft--
        return this.#wrap(value, source.index)
      }
      if (source.isEnded || source.isPeerEnded) this.#finish(standing)
      else if (source.requestItem()) continue
      standing.isInLine = false
      this.#current = null
    }
    return NONE
  }

  // Each source was asked as it was found empty.
  protected override requestNext(): boolean {
    return this.#current !== null || this.#ready.length > 0
  }

  protected override takePeerError(): RuntimeError | null {
    return this.#errors.length > 0 ? this.#errors.shift() : null
  }

  protected override closeSources(): void {
    for (const source of this.#sources) source.close()
    this.#spilled.clear()
    this.#onClose?.()
  }

  #spill(): void {
    while (!this.isSpillFull) {
      try {
        const value = this.#takeFromRings()
        if (value === NONE) return
        this.#spilled.push(value)
      } catch (error) {
        this.#spilled.push(new Failed(error))
      }
    }
    this.#onFull?.()
  }

  #pick(): Standing<T> | null {
    const current = this.#current
    if (current !== null && (this.#quantumLeft > 0 || this.#ready.length === 0)) return current
    if (current !== null) this.#ready.push(current)
    this.#current = this.#ready.length > 0 ? this.#ready.shift() : null
    this.#quantumLeft = QUANTUM
    return this.#current
  }

  /** Nothing will come of it any more. */
  #finish(standing: Standing<T>): void {
    standing.isDone = true
    this.#openCount--
    assert(this.#openCount >= 0, 'a source ends once')
    if (!standing.source.isEnded) {
      this.#errors.push(peerEndedError(this.#names[standing.position]))
    }
    standing.source.close()
  }

  /** Ends that nobody has come across, since all that is left of those is their end. */
  #settleEnds(): void {
    while (this.#openCount > 0) {
      const standing = this.#pick()
      if (standing === null || !standing.source.isEnded) return
      this.#finish(standing)
      standing.isInLine = false
      this.#current = null
    }
  }
}

/** What could not be decoded, in its place. */
class Failed {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

/** Where a source stands. */
interface Standing<T> {
  readonly source: RingSource<T>
  readonly position: number
  isInLine: boolean
  isDone: boolean
}
