import { Prng } from '../../src/base/index.ts'
import { yieldNow } from '../../src/index.ts'

/** Why an operation was given up. */
export const ABORTED: Error = new Error('aborted')
/** The outcome of one that was. */
export const STOPPED: unique symbol = Symbol('stopped')

/** Gives operations up at random moments, from a seed, and counts them. */
export class Cancels {
  readonly prng: Prng
  /** Operations that were asked to stop before they had ended. */
  askedCount = 0
  /** Those of them that stopped: the others were done all the same. */
  stoppedCount = 0

  constructor(seed: number) {
    this.prng = new Prng(seed)
  }

  /** The outcome of an operation that is given up some turns later, if it has not ended by then. */
  async attempt<T>(
    begin: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T | typeof STOPPED> {
    if (this.prng.chance(0.1)) return await begin(undefined)
    const controller = new AbortController()
    const operation = begin(controller.signal)
    let isOver = false
    const end = (): void => {
      isOver = true
    }
    operation.then(end, end)
    // At once, before it is submitted; with the kernel; as it completes; when it is over.
    for (let turns = this.prng.int(0, 6); turns > 0; turns--) await yieldNow()
    if (!isOver) {
      this.askedCount++
      controller.abort(ABORTED)
    }
    try {
      return await operation
    } catch (error) {
      if (error !== ABORTED) throw error
      this.stoppedCount++
      return STOPPED
    }
  }
}
