import { Runnable, type RunQueue, type RuntimeError } from '../base/index.ts'

/**
 * One request to the kernel, from its submission to its terminal completion.
 *
 * Its slot, and the generation of that, are its name in the ring (`user_data`). A completion marks
 * it and puts it on its home queue; whoever waits is settled there, in a later turn: reaping runs
 * no user code.
 */
export abstract class Operation extends Runnable {
  /** @internal Index in the table of its ring; meaningless once it has ended. */
  slot: number
  /** What the last completion said: a count, a descriptor, or a negative error number. */
  result: number
  /** `IORING_CQE_F_…` of the last completion. */
  flags: number

  // Assignments rather than initializers: V8 inlines the one, and calls a builtin for the other.
  constructor(home: RunQueue, runsUserCode: boolean = false) {
    super(home, runsUserCode)
    this.slot = -1
    this.result = 0
    this.flags = 0
  }

  /** @internal Whether somebody waits for it whom the close of the executor gives time for. */
  get isAwaited(): boolean {
    return false
  }

  /** @internal The executor closes, while this is in flight: tells its waiters. Runs no user code. */
  executorCloses(_reason: RuntimeError): void {}

  /** @internal The executor has left the loop, and this never completes: settles its waiters. */
  executorLeft(_reason: RuntimeError): void {}

  /**
   * Takes one completion; called while reaping, so it may mark and queue but run no user code.
   *
   * It is no longer in flight if this was the terminal one, and may be submitted again.
   */
  complete(result: number, flags: number): void {
    this.result = result
    this.flags = flags
    this.home.push(this)
  }
}
