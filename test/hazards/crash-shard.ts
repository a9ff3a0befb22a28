/**
 * The shards of `shard-crash.test.ts`: shard 0 crashes as it is told to through a channel, shard 1 tells it so and serves an
 * echo over TCP before, meanwhile and after.
 */
import {
  attachReceiver,
  attachSender,
  type ChannelError,
  type SharedChannel,
  type SharedReceiver,
  type SharedSender,
} from '../../src/channels/index.ts'
import { spawn } from '../../src/index.ts'
import { TcpListener } from '../../src/net/index.ts'
import type { Shard } from '../../src/runtime/index.ts'
import { sleep } from '../../src/time/index.ts'

/** Ways to crash. */
export type Crash =
  | 'throw'
  | 'throwLater'
  | 'rejectLater'
  | 'exit'
  | 'fillHeap'
  | 'sleep'
  | 'loop'
  | 'loopInTask'

/** A channel there and one back, both between the two shards. */
export interface Link {
  readonly there: SharedChannel<number>
  readonly back: SharedChannel<number>
}

export interface CrashArgument {
  readonly crash: Crash
  /** By generation of the shard that crashes; one link for each generation that is to be. */
  readonly links: readonly Link[]
  /** Where the port of the echo is, and whether the crash has begun. */
  readonly words: Int32Array
}

/** What the shard that lives on found at the ends of its channels. */
export interface Findings {
  readonly sendCode: string
  /** The value that the failed send gave back, and that which it was called with. */
  readonly returned: readonly [got: unknown, sent: number]
  /** What was accepted, and never received. */
  readonly takenBack: readonly number[]
  /** What had come before the crash. */
  readonly received: readonly number[]
  readonly receiveCode: string
  /** What the shard that took the place of the other answered to 7, or null. */
  readonly answer: number | null
}

export const WORD_PORT = 0
export const WORD_CRASHING = 1
/** What shard 0 sends before it crashes. */
export const GREETING: readonly number[] = [1, 2, 3]

export default async function run(shard: Shard<CrashArgument>): Promise<Findings | null> {
  if (shard.id === 1) return await live(shard)
  const { links, crash, words } = shard.argument
  const link = links[shard.generation - 1]!
  const sender = attachSender(link.back)
  const receiver = attachReceiver(link.there)
  if (shard.generation > 1) {
    for await (const value of receiver) await sender.send(10 * value)
    return null
  }
  await sender.sendBatch(GREETING)
  await receiver.receive()
  Atomics.store(words, WORD_CRASHING, 1)
  await CRASHES[crash]()
  return null
}

const CRASHES: Record<Crash, () => unknown> = {
  throw: () => {
    throw new RangeError('planted')
  },
  throwLater: async () => {
    setImmediate(() => {
      throw new RangeError('planted')
    })
    await sleep(1e9)
  },
  rejectLater: async () => {
    void Promise.reject(new RangeError('planted'))
    await sleep(1e9)
  },
  exit: () => process.exit(7),
  fillHeap: () => {
    const kept: unknown[] = []
    for (;;) kept.push(new Array(1000).fill({}))
  },
  sleep: () => sleep(1e9),
  loop: () => {
    for (;;);
  },
  loopInTask: () =>
    spawn(async () => {
      await sleep(0)
      for (;;);
    }),
}

async function live(shard: Shard<CrashArgument>): Promise<Findings> {
  const { links, words } = shard.argument
  const listener = await TcpListener.bind({ port: 0 })
  Atomics.store(words, WORD_PORT, listener.address.port)
  let onServed = (): void => {}
  const isServed = new Promise<void>((resolve) => {
    onServed = resolve
  })
  const serving = serve(listener, onServed)
  const { there, back } = links[0]!
  const sender = attachSender(there)
  const receiver = attachReceiver(back)
  // Somebody is being served as the other shard crashes.
  await isServed
  const [sent, received] = await Promise.all([sendAll(sender), receiveAll(receiver)])
  const answer = links[1] === undefined ? null : await ask(links[1])
  await new Promise((resolve) => shard.signal.addEventListener('abort', resolve, { once: true }))
  await listener.close()
  await serving
  return { ...sent, takenBack: sender.takeBack(), ...received, answer }
}

async function serve(listener: TcpListener, onServed: () => void): Promise<void> {
  const serving: Promise<void>[] = []
  for await (const stream of listener) {
    const echo = async (): Promise<void> => {
      for await (const chunk of stream) {
        await stream.write(chunk)
        onServed()
      }
      await stream.close()
    }
    serving.push(echo())
  }
  await Promise.all(serving)
}

/** Sends until that fails. */
async function sendAll(
  sender: SharedSender<number>,
): Promise<Pick<Findings, 'sendCode' | 'returned'>> {
  for (let value = 0; ; value++) {
    try {
      await sender.send(value)
    } catch (error) {
      const { code, value: returned } = error as ChannelError<number>
      return { sendCode: code, returned: [returned, value] }
    }
  }
}

async function receiveAll(
  receiver: SharedReceiver<number>,
): Promise<Pick<Findings, 'received' | 'receiveCode'>> {
  const received: number[] = []
  try {
    for await (const value of receiver) received.push(value)
    return { received, receiveCode: 'none' }
  } catch (error) {
    return { received, receiveCode: (error as ChannelError).code }
  }
}

async function ask({ there, back }: Link): Promise<number> {
  using sender = attachSender(there)
  using receiver = attachReceiver(back)
  await sender.send(7)
  return (await receiver.receive())!
}
