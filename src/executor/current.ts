import type { Executor } from './executor.ts'
import type { Preemption } from './preempt.ts'

/** The one ambient value: the executor of this thread. Factories read it as their default. */
let current: Executor | null = null
let preemption: Preemption | null = null

export function currentOrNull(): Executor | null {
  return current
}

export function setCurrent(executor: Executor | null): void {
  current = executor
  preemption = executor?.preemption ?? null
}

/**
 * Whether the running task should `await yieldNow()`: its slice is over, or work that may not wait
 * has become ready (a latency-sensitive queue's I/O or timer, Node's own timers).
 *
 * Any thread; false where no executor runs. One atomic load, about 5 ns: no system call, no clock.
 *
 * Source: glommio's `need_preempt`, which does not cover timers and sockets; this does.
 *
 * @example Count without holding up others
 * ```ts run
 * import { needPreempt, yieldNow } from 'percore'
 *
 * let sum = 0
 * for (let i = 0; i < 1e6; i++) {
 *   sum += i
 *   if (needPreempt()) await yieldNow()
 * }
 * ```
 */
export function needPreempt(): boolean {
  const watch = preemption
  if (watch === null) return false
  if (watch.isDue) return true
  // ORDER: the kernel moves the tail under our feet; a plain load could be hoisted out of a loop.
  return Atomics.load(watch.words, watch.index) !== watch.seen && watch.check()
}
