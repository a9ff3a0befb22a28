/** What shards of simulated pools run: `argument.do` says which of it. */
import { executor, yieldNow } from '../../src/index.ts'
import { TcpListener } from '../../src/net/index.ts'
import type { Shard } from '../../src/runtime/index.ts'
import { sleep } from '../../src/time/index.ts'

interface Wanted {
  readonly do: string
  readonly at?: number
  /** The shard that it is about. */
  readonly shard?: number
}

export default async function run(shard: Shard<Wanted>): Promise<unknown> {
  return await PROGRAMS[shard.argument.do]!(shard)
}

const PROGRAMS: Record<string, (shard: Shard<Wanted>) => unknown> = {
  describe: ({ id, count, argument, peers }) => ({
    id,
    count,
    name: executor().name,
    at: argument.at,
    peers: peers.map(({ name }) => name),
  }),
  place: () => null,
  serve,
  waitForEver: () => sleep(1e9),
  waitElsewhere: () => new Promise(() => {}),
  loop: async () => {
    for (;;) await yieldNow()
  },
  throwFirst: async (shard) => {
    if (shard.id !== shard.argument.shard || shard.generation > 1) return await serve(shard)
    await sleep(1)
    throw new Error('no')
  },
}

async function serve({ id, signal }: Shard<Wanted>): Promise<void> {
  await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 7000 + id })
  for (;;) await (await listener.accept({ signal })).close()
}
