import type { ExecutorId } from '../kernel/index.ts'

/** A turn that took longer than it may: nothing else of its thread ran meanwhile. */
export interface Stall {
  /** The name of the executor. */
  readonly executor: string
  /** The name of the task queue whose turn it was. */
  readonly queue: string
  /** How long the turn took; so far, if it is {@link ongoing}. */
  readonly durationMs: number
  readonly budgetMs: number
  /**
   * Where the thread was when the budget was used up: lines of a JavaScript stack, innermost first.
   *
   * Else a sentence in parentheses that says why there is none: the turn ended before it could be
   * taken, or the thread was in a native call.
   */
  readonly stack: string
  /** Whether the turn has not ended: it called `process.exit()`, or goes on for ever. */
  readonly ongoing: boolean
  /** Whether the watchdog has written it to standard error already, as it lasted so long. */
  readonly isWritten: boolean
}

/** How stalls are watched for. */
export interface StallOptions {
  /** The longest a turn may take, 1 ms at least; the preempt timer and 10 ms if not given. */
  readonly budgetMs?: number | undefined
  /**
   * Called on the executor's own thread, once for each stall, in a turn after it. Writes a line and the
   * stack to standard error if not given. What it throws is an uncaught exception.
   */
  readonly onStall?: ((stall: Stall) => void) | undefined
}

/** What the watchdog is started with. */
export interface WatchdogData {
  /** The executor that has started it. */
  readonly ownerId: ExecutorId
}

/** Tells the watchdog to look now whether anybody is to be watched. */
export const LOOK = 'look'
export type WatchdogMessage = typeof LOOK

/** The function that the watchdog has the stuck thread call, as a property of its `globalThis`. */
export const CAPTURE_KEY = 'percore.captureStall'

export const NO_STACK_YET = '(no stack: the thread is in a native call, which must return first)'
export const NO_STACK = '(no stack: the turn ended before it could be taken)'

/** The report as standard error gets it. */
export function formatStall(stall: Stall): string {
  const { executor, queue, durationMs, budgetMs, stack, ongoing } = stall
  const ran = ongoing ? 'has not ended after' : 'took'
  return (
    `percore: a turn of task queue '${queue}' of executor '${executor}' ${ran} ` +
    `${durationMs.toFixed(1)} ms, and ${budgetMs} ms are its budget\n${stack}\n`
  )
}
