import {
  answerReady,
  checkCancellation,
  type Executor,
  refuse,
  validateWaitOptions,
  type WaitOptions,
} from '../executor/index.ts'

/** Where an iteration's items come from. */
export interface Steps<T> {
  readonly action: string
  /** How many items make one piece of work of a turn: they are the cheaper the more. */
  readonly itemsPerPiece: number
  /** The next item if it is at hand, else null. */
  ready(): T | null
  /** Waits for the next; null at the end. */
  later(options: WaitOptions | undefined): Promise<T | null>
}

const END = { done: true, value: undefined } as const

/**
 * An iteration by hand: one promise per item, where an async generator has three.
 *
 * What is at hand is given at once, within the turn's budget. Leaving it loses nothing, as no item is taken before
 * it is asked for.
 */
export class StepIterator<T> implements AsyncIterableIterator<T, undefined> {
  readonly #home: Executor
  readonly #steps: Steps<T>
  readonly #options: WaitOptions | undefined
  /** How many items of the last piece of work were not given yet. */
  #itemsLeft = 0

  /** @throws {TypeError} for options of the wrong kind. */
  constructor(home: Executor, steps: Steps<T>, options: WaitOptions | undefined) {
    if (options !== undefined) validateWaitOptions(steps.action, options)
    this.#home = home
    this.#steps = steps
    this.#options = options
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const signal = this.#options?.signal
    try {
      checkCancellation(this.#home, undefined, this.#steps.action)
      if (signal?.aborted === true) throw signal.reason
      const value = this.#steps.ready()
      if (value !== null) return this.#answer({ done: false, value })
    } catch (error) {
      return refuse(error)
    }
    return this.#nextLater()
  }

  return(): Promise<IteratorResult<T, undefined>> {
    return Promise.resolve(END)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #answer(item: IteratorResult<T, undefined>): Promise<IteratorResult<T, undefined>> {
    if (this.#itemsLeft > 0) {
      this.#itemsLeft--
      return Promise.resolve(item)
    }
    this.#itemsLeft = this.#steps.itemsPerPiece - 1
    return answerReady(this.#home, item)
  }

  async #nextLater(): Promise<IteratorResult<T, undefined>> {
    const value = await this.#steps.later(this.#options)
    return value === null ? END : { done: false, value }
  }
}
