import { Runnable, type RunQueue, type RuntimeError } from '../base/index.ts'

/**
 * How far an operation has come. It may go back from `inFlight` to `queued`, as a transfer does whose next request
 * has to wait; nothing leads on from `done`.
 */
export type OperationState = 'created' | 'queued' | 'inFlight' | 'done'

/** A slot that is none: nothing of the operation was submitted. */
export const SLOT_CREATED = -1
/** The same: it has ended, and its result stands. */
export const SLOT_DONE = -2
/** From here down: it waits to be submitted, and {@link Operation.slot} says where. */
export const SLOT_QUEUED = -3

/**
 * One request to the kernel, from its submission to its terminal completion.
 *
 * Its slot, and the generation of that, are its name in the ring (`user_data`). A completion marks
 * it and puts it on its home queue; whoever waits is settled there, in a later turn: reaping runs
 * no user code.
 */
export abstract class Operation extends Runnable {
  /**
   * @internal Index in the table of its ring, or one of `SLOT_…`. An operation that is submitted again and again
   * leaves it as it was when a request ends: only the table knows what is in flight of these.
   */
  slot: number
  /** What the last completion said: a count, a descriptor, or a negative error number. */
  result: number
  /** `IORING_CQE_F_…` of the last completion. */
  flags: number

  // Assignments rather than initializers: V8 inlines the one, and calls a builtin for the other.
  constructor(home: RunQueue, runsUserCode: boolean = false) {
    super(home, runsUserCode)
    this.slot = -1 // SLOT_CREATED
    this.result = 0
    this.flags = 0
  }

  /** How far it has come. */
  get state(): OperationState {
    const { slot } = this
    if (slot >= 0) return 'inFlight'
    if (slot <= SLOT_QUEUED) return 'queued'
    return slot === SLOT_CREATED ? 'created' : 'done'
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
