import { assert, type ErrorRecord, recordError } from '../base/index.ts'

/** So many are told one by one, of those that come before the last lot has been taken. */
const LOT_MAX = 16

/** Sends what was thrown for some connections, and for how many more. */
export type PostFailures = (errors: readonly ErrorRecord[], skippedCount: number) => void

/**
 * What a driver tells of connections that failed: a lot at a time, and the next once the runtime has taken that. So however many fail,
 * and however busy the runtime's thread is, little waits for it; what is not told is counted.
 */
export class FailureLots {
  readonly #post: PostFailures
  #errors: ErrorRecord[] = []
  #skippedCount = 0
  #isAwaited = false

  constructor(post: PostFailures) {
    this.#post = post
  }

  add(error: unknown): void {
    if (this.#errors.length < LOT_MAX) this.#errors.push(recordError(error))
    else this.#skippedCount++
    if (!this.#isAwaited) this.flush()
  }

  /** The runtime has taken the last lot. */
  taken(): void {
    this.#isAwaited = false
    this.flush()
  }

  /** Sends what there is, whether or not the last lot has been taken: for the end of the port. */
  flush(): void {
    const [errors, skippedCount] = [this.#errors, this.#skippedCount]
    if (errors.length === 0) return
    assert(skippedCount === 0 || errors.length === LOT_MAX, 'a lot is full before it skips')
    this.#errors = []
    this.#skippedCount = 0
    this.#isAwaited = true
    this.#post(errors, skippedCount)
  }
}
