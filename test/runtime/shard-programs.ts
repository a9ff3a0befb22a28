/** What shards run in tests: `argument.do` says which of it. */
import { executor } from '../../src/index.ts'
import { currentKernel, hasEnded } from '../../src/kernel/index.ts'
import type { Shard } from '../../src/runtime/index.ts'
import { sleep } from '../../src/time/index.ts'

export interface Wanted {
  readonly do: string
  /** Only that shard does it; the others serve until they are stopped. */
  readonly shard?: number
  /** Only in that generation. */
  readonly generation?: number
  /** Counts the functions that have begun. */
  readonly words?: Int32Array
}

export default async function run(shard: Shard<Wanted>): Promise<unknown> {
  const { argument } = shard
  const isMeant =
    (argument.shard ?? shard.id) === shard.id &&
    (argument.generation ?? shard.generation) === shard.generation
  const act = isMeant ? PROGRAMS[argument.do]! : serve
  // Nothing comes in between: whoever sees the count may rely on what a program does first.
  if (argument.words !== undefined) Atomics.add(argument.words, 0, 1)
  return await act(shard)
}

function isEnded(executorId: number): boolean {
  return hasEnded(currentKernel().directory, executorId)
}

const PROGRAMS: Record<string, (shard: Shard<Wanted>) => unknown> = {
  describe: (shard) => ({
    id: shard.id,
    count: shard.count,
    cpus: [...shard.cpus.ids],
    name: executor().name,
    peers: shard.peers.map(({ name }) => name),
  }),
  serve,
  waitForEver: () => sleep(1e9),
  waitElsewhere: () => new Promise(() => {}),
  throw: () => {
    throw Object.assign(new RangeError('no'), { code: 'ERR_OF_MINE', cause: new Error('why') })
  },
  /** The last one fails; the first, for which it counts, as well, but later. */
  throwAfterLast: async (shard) => {
    if (shard.id === shard.count - 1) throw new RangeError('the last')
    while (!isEnded(shard.peers.at(-1)!.executorId)) await sleep(1)
    throw new Error('for want of the last')
  },
  throwValue: () => {
    throw { plain: 1 }
  },
  throwLater: async () => {
    setImmediate(() => {
      throw new Error('uncaught')
    })
    await sleep(1e9)
  },
  rejectLater: async () => {
    void Promise.reject(new Error('unhandled'))
    await sleep(1e9)
  },
  exit: () => process.exit(7),
  exitZero: () => process.exit(0),
  exitCode: () => {
    process.exitCode = 5
    return 'x'
  },
  fillHeap: () => {
    const kept: unknown[] = []
    // On Node 24 V8 ends no loop that calls builtins alone, but the whole process.
    for (;;) kept.push({ name: 'kept', list: [kept.length] })
  },
  loop: () => {
    for (;;);
  },
  returnFunction: () => () => {},
  graceful: async (shard) => {
    await new Promise((resolve) => shard.signal.addEventListener('abort', resolve))
    await sleep(1)
    return 'in order'
  },
  throughSignal: async (shard) => {
    await sleep(1e9, { signal: shard.signal })
  },
  deaf: async (shard) => {
    shard.signal.addEventListener('abort', () => {})
    await new Promise(() => {})
  },
}

/** Until it is stopped. */
async function serve(shard: Shard<Wanted>): Promise<string> {
  await new Promise<void>((resolve) =>
    shard.signal.addEventListener('abort', () => resolve(), { once: true }),
  )
  return `served ${shard.id}`
}
