/** What the shards of `pools.test.ts` run: `argument.do` says which of it. */
import { tmpdir } from 'node:os'
import {
  allocateBuffer,
  createTaskQueue,
  executor,
  type Stall,
  spawnInto,
} from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import type { Shard } from '../../src/runtime/index.ts'
import { sleep } from '../../src/time/index.ts'

export interface Part {
  readonly do: 'count' | 'name' | 'fail' | 'stall' | 'holdAll' | 'exit' | 'sleep'
  /** Counts the functions that have begun. */
  readonly counter?: Int32Array
}

export interface StallReport {
  readonly executor: string
  readonly queue: string
}

const BUDGET_MS = 100

export default function run(shard: Shard<Part>): unknown {
  const { argument } = shard
  if (argument.counter !== undefined) Atomics.add(argument.counter, 0, 1)
  return PARTS[argument.do](shard)
}

const PARTS: Record<Part['do'], (shard: Shard<Part>) => unknown> = {
  count: (shard) => shard.id,
  name: (shard) => shard.peers[shard.id]!.executorId,
  fail: (shard) => {
    throw new Error(`shard ${shard.id}`)
  },
  stall,
  holdAll,
  exit: async () => {
    await holdAll()
    process.exit(0)
  },
  sleep: () => sleep(1e9),
}

/** Stalls once, in a queue of a name of its own, until that was reported; what else was reported, too. */
async function stall(shard: Shard<Part>): Promise<StallReport[]> {
  const reports: StallReport[] = []
  const name = `stalls ${shard.id}`
  const queue = createTaskQueue(name)
  await new Promise<void>((resolve) => {
    executor().detectStalls({
      budgetMs: BUDGET_MS,
      onStall: ({ executor: of, queue: inQueue }: Stall) => {
        reports.push({ executor: of, queue: inQueue })
        if (inQueue === name) resolve()
      },
    })
    spawnInto(queue, () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4 * BUDGET_MS)
    })
  })
  executor().detectStalls(null)
  return reports
}

/** Has a listener, a connection, an open file and I/O memory, and closes none of them. */
async function holdAll(): Promise<void> {
  const listener = await TcpListener.bind({ port: 0 })
  const [client, server] = await Promise.all([
    TcpStream.connect({ port: listener.address.port }),
    listener.accept(),
  ])
  await client.write(new Uint8Array(100))
  await server.read()
  await BufferedFile.open(tmpdir(), { write: true, tmpfile: true })
  allocateBuffer(1 << 16)
  listener.unref()
}
