/** Several simulated threads, each with an executor, that run one program; which of them runs is decided by the seed. */
import { confine, createDeferred, Executor } from '../../src/executor/index.ts'
import { type SimFaults, SimKernel } from '../../src/sim/index.ts'

export interface SimThreadOf {
  readonly executor: Executor
  /** Ends the thread, as a crash does: nobody is told but by the kernel. */
  end(): void
}

type Main = (self: SimThreadOf) => Promise<unknown>

/** Runs each main on a thread of its own; rejects if none can go on, or one fails. */
export async function runThreads(
  seed: number,
  mains: readonly Main[],
  faults: SimFaults = {},
): Promise<void> {
  const stuck = createDeferred<never>()
  let isOver = false
  const onStuck = (reason: string): void => {
    isOver = true
    stuck.reject(new Error(`seed ${seed} is stuck: ${reason}`))
  }
  const kernel = new SimKernel({ seed, faults }, { onStuck, turnCountMax: 200_000 })
  const executors = mains.map((_, index) => {
    // Every other seed has threads that look for what comes before they ask to be told.
    const spinBeforeParkUs = (seed & 1) * 10
    const options = {
      name: `shard ${index}`,
      ringDepth: 8,
      ioMemoryBytes: 1 << 16,
      spinBeforeParkUs,
    }
    const executor = new Executor({ ...options, kernel: index === 0 ? kernel : kernel.thread() })
    confine(executor)
    return executor
  })
  const ended = new Set<Executor>()
  const isDone = executors.map(() => false)
  const tasks = executors.map(async (executor, index) => {
    const end = (): void => {
      ended.add(executor)
      executor.leave()
    }
    const body = () => mains[index]!({ executor, end })
    await executor.spawnInto(executor.defaultQueue, body).then(undefined, (error: unknown) => {
      if (!ended.has(executor)) throw error
    })
    isDone[index] = true
  })
  // What a thread that has ended was to do may never be done.
  const waitForOthers = async (): Promise<void> => {
    const isPending = () => executors.some((one, index) => !isDone[index] && !ended.has(one))
    while (!isOver && isPending()) await new Promise((resolve) => setImmediate(resolve))
  }
  const failed = Promise.all(tasks).then(() => new Promise<never>(() => {}))
  try {
    await Promise.race([waitForOthers(), failed, stuck.promise])
  } finally {
    isOver = true
    for (const executor of executors) executor.leave()
  }
}
