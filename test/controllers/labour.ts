/** Work for simulated tests of controllers: it is done by the slice, and says how much of it is done. */
import type { DeadlineSource } from '../../src/controllers/index.ts'
import {
  createTaskQueue,
  executor,
  needPreempt,
  spawnInto,
  type Task,
  type TaskQueue,
  yieldNow,
} from '../../src/index.ts'
import { type SimulationOptions, simulate } from '../../src/testing/index.ts'

/** Runs on a simulated machine whose slices are a millisecond long. */
export function simulateSlices<T>(
  seed: number,
  main: () => Promise<T>,
  options: SimulationOptions = {},
): Promise<T> {
  return simulate({ seed, executor: { preemptTimerMs: 1 }, ...options }, main)
}

/** Uses a slice of the thread; returns its milliseconds. */
export function useSlice(): number {
  const current = executor()
  const beganNs = current.nowNs()
  while (!needPreempt());
  return (current.nowNs() - beganNs) / 1e6
}

/** Work that needs so many milliseconds of the thread. */
export class Labour implements DeadlineSource<number> {
  readonly durationMs: number
  readonly needMs: number
  doneMs = 0
  readonly #pushedNs = executor().nowNs()

  constructor(durationMs: number, needMs: number) {
    this.durationMs = durationMs
    this.needMs = needMs
  }

  totalUnits(): number {
    return this.needMs
  }

  processedUnits(): number {
    return this.doneMs
  }

  /** Resolves to when it has ended, in milliseconds since it was made. */
  async run(): Promise<number> {
    while (this.doneMs < this.needMs) {
      this.doneMs += useSlice()
      await yieldNow()
    }
    return (executor().nowNs() - this.#pushedNs) / 1e6
  }
}

/** A queue that takes what it can get, until it is cancelled. */
export function beBusy(shares: number): { readonly queue: TaskQueue; readonly task: Task<void> } {
  const queue = createTaskQueue(`busy with ${shares}`, { shares })
  const task = spawnInto(queue, async (self: Task<void>) => {
    while (!self.isCancelled) {
      useSlice()
      await yieldNow()
    }
  })
  return { queue, task }
}
