/** Threads of a simulated program by the port that pools start them with, and how each of them ended. */
import { createDeferred } from '../../src/executor/index.ts'
import {
  currentThreadStarter,
  type FromShard,
  type ShardMain,
  type ShardProgram,
  type ShardThread,
  type ThreadEnd,
} from '../../src/runtime/index.ts'
import { nameFunction } from '../../src/testing/simulated-starter.ts'

export interface StartedShard {
  readonly thread: ShardThread
  /** All that it has said until now. */
  readonly messages: readonly FromShard[]
  readonly ready: Promise<void>
  readonly ended: Promise<ThreadEnd>
}

/** Starts a thread for a function, or for the module of a URL; {@link letGo} has it begin. */
export function startShard(main: ShardMain | URL, id = 0, argument: unknown = null): StartedShard {
  const messages: FromShard[] = []
  const ready = createDeferred<void>()
  const ended = createDeferred<ThreadEnd>()
  const module = main instanceof URL ? { url: main.href, forget() {} } : nameFunction(main)
  const program: ShardProgram = {
    id,
    count: 1,
    generation: 1,
    name: `shard-${id}`,
    module: module.url,
    argument,
    cpus: [],
    node: null,
    executor: {},
    asksForNodes: 'no',
  }
  const thread = currentThreadStarter().start(
    { program, heap: {} },
    {
      onMessage(message) {
        messages.push(message)
        if (message.kind === 'ready') ready.resolve(undefined)
      },
      onEnd(end) {
        module.forget()
        // One that has never been ready is waited for by nobody.
        ready.resolve(undefined)
        ended.resolve(end)
      },
    },
  )
  return { thread, messages, ready: ready.promise, ended: ended.promise }
}

/** Lets threads begin once all are ready. */
export async function letGo(shards: readonly StartedShard[]): Promise<void> {
  await Promise.all(shards.map(({ ready }) => ready))
  for (const { thread } of shards) thread.post({ kind: 'go', peers: [] })
}

/** Runs a function on so many threads, and resolves to what each has said last, once all have ended. */
export async function runShards(
  count: number,
  main: ShardMain,
): Promise<(FromShard | undefined)[]> {
  const shards = Array.from({ length: count }, (_, id) => startShard(main, id))
  await letGo(shards)
  await Promise.all(shards.map(({ ended }) => ended))
  return shards.map(({ messages }) => messages.at(-1))
}

/** What a shard's function returned. */
export function resultOf(message: FromShard | undefined): unknown {
  if (message?.kind !== 'returned')
    throw new Error(`it has not returned: ${JSON.stringify(message)}`)
  return message.value
}
