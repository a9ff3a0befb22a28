import { assert } from '../../base/index.ts'
import { yieldNow } from '../../executor/index.ts'
import type { ByteRange } from './merge-ranges.ts'
import { checkRange, type RangeSource } from './read-many-options.ts'

/** How many ranges are looked at together for what can be merged. */
export const WINDOW_RANGES_MAX = 512

/** That the source gives no more ranges, and whether that is a failure. */
export interface SourceEnd {
  readonly failure: { readonly error: unknown } | null
}

/**
 * Takes ranges from where they come from, in windows: as many together as there are, up to limits.
 *
 * What an asynchronous source gives within one turn belongs together; it never waits for a window to be full.
 */
export class RangeIntake<R extends ByteRange> {
  readonly #source: RangeSource<R>
  readonly #windowBytesMax: number
  readonly #onReady: () => void
  #window: R[] = []
  #windowBytes = 0
  /** Whether the source has been asked and has not answered. */
  #isPulling = false
  #isFlushDue = false
  /** Whether the window is to be taken though it is not full. */
  #isComplete = false
  #end: SourceEnd | null = null
  #isLeft = false

  /** `onReady` is called when there may be another window, or the end, after {@link take} had none. */
  constructor(source: RangeSource<R>, windowBytesMax: number, onReady: () => void) {
    this.#source = source
    this.#windowBytesMax = windowBytesMax
    this.#onReady = onReady
  }

  /** The source's end, once all that it gave has been taken. */
  get end(): SourceEnd | null {
    return this.#window.length === 0 ? this.#end : null
  }

  /** Ranges to be read together; null where there are none now. */
  take(): R[] | null {
    this.#pull()
    const isTakable = this.#isFull || this.#isComplete || this.#end !== null
    if (this.#window.length === 0 || !isTakable) return null
    const window = this.#window
    this.#window = []
    this.#windowBytes = 0
    this.#isComplete = false
    return window
  }

  /** Takes no more, and tells the source so; what a source that is being waited for does then is not awaited. */
  async leave(): Promise<void> {
    if (this.#isLeft) return
    this.#isLeft = true
    if (this.#end !== null) return
    this.#end = { failure: null }
    // One that waits for its next range itself may never answer this.
    if (this.#isPulling) this.#leaveSource().catch(ignore)
    else await this.#leaveSource()
  }

  get #isFull(): boolean {
    const { length } = this.#window
    const isLong = length > 0 && this.#windowBytes >= this.#windowBytesMax
    return isLong || length >= WINDOW_RANGES_MAX
  }

  async #leaveSource(): Promise<void> {
    await this.#source.iterator.return?.()
  }

  #pull(): void {
    while (this.#end === null && !this.#isPulling && !this.#isFull) this.#pullOne()
  }

  #pullOne(): void {
    try {
      if (!this.#source.isAsync) {
        this.#accept(this.#source.iterator.next())
        return
      }
      this.#isPulling = true
      this.#source.iterator.next().then(
        (step) => this.#onPulled(step),
        (error: unknown) => this.#onFailed(error),
      )
    } catch (error) {
      this.#isPulling = false
      this.#end ??= { failure: { error } }
    }
  }

  #onPulled(step: IteratorResult<R>): void {
    assert(this.#isPulling, 'a source answers when it is asked')
    this.#isPulling = false
    if (this.#isLeft) return
    this.#accept(step)
    this.#pull()
    if (this.#end !== null || this.#isFull) this.#onReady()
    else this.#completeLater()
  }

  #onFailed(error: unknown): void {
    this.#isPulling = false
    if (this.#isLeft) return
    this.#end ??= { failure: { error } }
    this.#onReady()
  }

  #accept(step: IteratorResult<R>): void {
    if (step.done === true) {
      this.#end = { failure: null }
      return
    }
    try {
      checkRange(step.value)
    } catch (error) {
      this.#end = { failure: { error } }
      this.#leaveSource().catch(ignore)
      return
    }
    this.#window.push(step.value)
    this.#windowBytes += step.value.lengthBytes
  }

  #completeLater(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    const complete = (): void => {
      this.#isFlushDue = false
      if (this.#isLeft || this.#window.length === 0) return
      this.#isComplete = true
      this.#onReady()
    }
    yieldNow().then(complete, complete)
  }
}

function ignore(): void {}
