import {
  abortHub,
  type Cancellable,
  createDeferred,
  type Deferred,
  type Executor,
  executor,
  yieldNow,
} from '../../executor/index.ts'
import { leaseHeap } from '../../memory/index.ts'
import { type ByteRange, type MergeLimits, mergeRanges } from './merge-ranges.ts'
import {
  type BlockReader,
  PlannedRead,
  PlannedReads,
  type PlannedReadsOwner,
} from './planned-reads.ts'
import { RangeIntake, type SourceEnd, WINDOW_RANGES_MAX } from './range-intake.ts'
import { RangeRead } from './range-read.ts'
import {
  checkReadManyOptions,
  openRanges,
  type RangeSource,
  type ReadManyLimits,
  type ReadManyOptions,
} from './read-many-options.ts'

/** A range that was asked for, and the read that brings it; none for a range of no bytes. */
interface Asked<R> {
  readonly range: R
  block: PlannedRead | null
}

type Step<R extends ByteRange> = IteratorResult<RangeRead<R>, undefined>

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true }

/**
 * Ranges of a file in the order they were asked for, read ahead in as few reads as the limits allow.
 *
 * It begins with the first step; what it may hold is bounded, so whoever takes results slowly slows the reading down. Leaving it early, as
 * `break` in a loop does, cancels the reads under way and waits for them. For one consumer: a step ends the result of the one before.
 */
export class ReadMany<R extends ByteRange = ByteRange>
  implements AsyncIterableIterator<RangeRead<R>, undefined>, AsyncDisposable
{
  readonly #home: Executor = executor()
  readonly #intake: RangeIntake<R>
  readonly #reads: PlannedReads
  readonly #mergeLimits: MergeLimits
  readonly #signal: AbortSignal | undefined
  /** What was asked for and not handed out, from the index on. */
  #asked: Asked<R>[] = []
  #askedIndex = 0
  readonly #waiters: Deferred<Step<R>>[] = []
  /** What was handed out last, which ends with the next step. */
  #last: RangeRead<R> | null = null
  #ending: Promise<void> | null = null
  /** What ended it and nobody has been told. */
  #failure: SourceEnd['failure'] = null
  /** Whether what is ready waits for a later turn. */
  #isDeferred = false
  readonly #signalTarget: Cancellable = { cancel: (reason) => this.#abort(reason) }

  /** @internal */
  constructor(file: BlockReader, source: RangeSource<R>, limits: ReadManyLimits) {
    const owner: PlannedReadsOwner = {
      isAwaited: (block) =>
        this.#waiters.length > 0 && this.#asked[this.#askedIndex]?.block === block,
      onReadOver: () => this.#advance(),
    }
    const { alignmentBytes } = file
    const { mergedBytesMax, holeBytesMax, memoryBytesMax, signal } = limits
    // More than memory holds would be of no use, but for one read that is as long as may be.
    const windowBytesMax = Math.max(memoryBytesMax, mergedBytesMax)
    this.#intake = new RangeIntake(source, windowBytesMax, () => this.#advance())
    this.#reads = new PlannedReads(file, limits, owner)
    this.#mergeLimits = { alignmentBytes, mergedBytesMax, holeBytesMax }
    this.#signal = signal
    if (signal !== undefined && !signal.aborted) abortHub(signal).add(this.#signalTarget)
  }

  /**
   * The next range, read or failed; it ends the result before it.
   *
   * @throws what the ranges' iterable threw, or the `TypeError` or `RangeError` of what is no range, once those before were handed out;
   * the reason of an aborted `signal`. Nothing is read any more then.
   */
  next(): Promise<Step<R>> {
    this.#endLast()
    if (this.#signal?.aborted) this.#abort(this.#signal.reason)
    if (this.#ending !== null) return this.#ending.then(() => this.#tellEnd())
    const isReady = this.#waiters.length === 0 && !this.#isDeferred && this.#isFirstOver()
    if (isReady && this.#home.takeReadyBudget()) {
      const step = this.#takeFirst()
      this.#advance()
      return Promise.resolve(step)
    }
    const waiter = createDeferred<Step<R>>()
    this.#waiters.push(waiter)
    if (isReady) this.#deliverLater()
    else this.#advance()
    return waiter.promise
  }

  /** Ends it: reads under way are cancelled and awaited, and what nobody has taken is given back. */
  async return(): Promise<Step<R>> {
    this.#endLast()
    await this.#end({ failure: null })
    return DONE
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #endLast(): void {
    this.#last?.end()
    this.#last = null
  }

  #abort(reason: unknown): void {
    this.#end({ failure: { error: reason } }).catch(ignore)
  }

  /** Does all that can be done now. */
  #advance(): void {
    if (this.#ending !== null) return
    do {
      this.#deliver()
    } while (this.#ending === null && (this.#reads.begin() || this.#ask()))
  }

  /** Asks for more ranges, unless enough wait; whether there were any. */
  #ask(): boolean {
    // A window only once there is room for a whole one: out of smaller ones less could be merged.
    const waitingCount = this.#asked.length - this.#askedIndex
    if (!this.#reads.isAllBegun || waitingCount > WINDOW_RANGES_MAX) return false
    const ranges = this.#intake.take()
    if (ranges === null) return false
    const asked = ranges.map((range): Asked<R> => ({ range, block: null }))
    const blocks = mergeRanges(ranges, this.#mergeLimits).map((read) => {
      const block = new PlannedRead(read)
      for (const index of read.indices) asked[index]!.block = block
      return block
    })
    this.#asked = [...this.#asked.slice(this.#askedIndex), ...asked]
    this.#askedIndex = 0
    this.#reads.add(blocks)
    return true
  }

  /** Hands out what is first in line, for as long as somebody waits for it. */
  #deliver(): void {
    while (this.#waiters.length > 0 && !this.#isDeferred) {
      if (this.#askedIndex === this.#asked.length) {
        const { end } = this.#intake
        if (end !== null) this.#end(end).catch(ignore)
        return
      }
      if (!this.#isFirstOver()) return
      this.#waiters.shift()!.resolve(this.#takeFirst())
    }
  }

  /** What is ready takes no more of this turn: else ranges that need no read of their own would let nobody else run. */
  #deliverLater(): void {
    this.#isDeferred = true
    yieldNow().then(
      () => {
        this.#isDeferred = false
        this.#advance()
      },
      (reason: unknown) => {
        this.#isDeferred = false
        this.#abort(reason)
      },
    )
  }

  /** Whether it is known what became of the range that is first in line. */
  #isFirstOver(): boolean {
    const first = this.#asked[this.#askedIndex]
    return first !== undefined && (first.block === null || first.block.isOver)
  }

  /** Hands that range out. */
  #takeFirst(): Step<R> {
    const { range, block } = this.#asked[this.#askedIndex++]!
    const value =
      block === null ? nothingOf(range) : new RangeRead(range, block.cut(range), block.error)
    if (block?.isSpent) this.#reads.giveBack(block)
    this.#last = value
    return { value, done: false }
  }

  #end(end: SourceEnd): Promise<void> {
    this.#ending ??= this.#stop(end)
    return this.#ending
  }

  /** Stops reading, gives back what nobody took, and tells those who wait for more, the first of them of a failure. */
  async #stop({ failure }: SourceEnd): Promise<void> {
    if (this.#signal !== undefined) abortHub(this.#signal).remove(this.#signalTarget)
    this.#failure = failure
    const waiters = this.#waiters.splice(0)
    for (const { block } of this.#asked.slice(this.#askedIndex)) block?.drop()
    this.#asked = []
    try {
      await this.#reads.stop()
      await this.#intake.leave()
    } finally {
      for (const { resolve, reject } of waiters) {
        try {
          resolve(this.#tellEnd())
        } catch (error) {
          reject(error)
        }
      }
    }
  }

  /** That there is no more; the first who asks is told why, if that is a failure. */
  #tellEnd(): Step<R> {
    const failure = this.#failure
    this.#failure = null
    if (failure !== null) throw failure.error
    return DONE
  }
}

/** Begins to read ranges of a file. @throws {TypeError | RangeError} for options, or ranges, of the wrong kind. */
export function readMany<R extends ByteRange>(
  file: BlockReader,
  ranges: Iterable<R> | AsyncIterable<R>,
  options: ReadManyOptions,
): ReadMany<R> {
  const limits = checkReadManyOptions(options)
  return new ReadMany(file, openRanges(ranges), limits)
}

function nothingOf<R extends ByteRange>(range: R): RangeRead<R> {
  return new RangeRead(range, leaseHeap(new Uint8Array(0)), null)
}

function ignore(): void {}
