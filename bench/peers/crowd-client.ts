/**
 * crowd-client PORT crowd CONNECTIONS ROUNDS [hold]: opens them all, from several addresses, has each echo once in a round, and
 * prints how many requests were answered; with `hold` they stay open until its input closes.
 * crowd-client PORT churn CLIENTS SECONDS: so many at a time connect, ask a few times and break off, in different ways.
 *
 * Every answer is compared with what was sent; a missing or wrong one, or a connection that ends by itself, ends it with an error.
 */

import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { endWithStdin } from './node-server.ts'

const MESSAGE_BYTES = 64
/** Each has a port of its own, below those that the kernel gives: to look for a free one among many that are taken is dear. */
const CONNECTIONS_PER_ADDRESS = 10_000
const LOCAL_PORT_MIN = 10_000
/** How many connect, or ask, at a time. */
const ABREAST = 100
const ANSWER_MS_MAX = 60_000
/** How a client of the churn leaves: it closes, resets, or closes with an answer on its way. */
const WAYS = ['close', 'reset', 'unread'] as const

const [port = 0, mode = '', count = 0, amount = 0, hold] = process.argv
  .slice(2)
  .map((word) => (Number.isNaN(Number(word)) ? word : Number(word))) as [
  number,
  string,
  number,
  number,
  string?,
]

/** One connection, which asks one thing at a time. */
class Client {
  readonly #id: number
  readonly #socket: Socket
  #expected: Buffer = Buffer.alloc(0)
  #receivedBytes = 0
  #onAnswer: (() => void) | null = null
  #isLeaving = false

  private constructor(id: number, socket: Socket) {
    this.#id = id
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (error) => this.#isLeaving || fail(`connection ${id}: ${error.message}`))
    socket.on('close', () => this.#isLeaving || fail(`connection ${id} was closed`))
  }

  static async open(id: number): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, ...localEndOf(id) })
    const client = new Client(id, socket)
    await once(socket, 'connect')
    return client
  }

  async ask(round: number): Promise<void> {
    this.#send(round)
    await new Promise<void>((resolve) => {
      this.#onAnswer = resolve
    })
  }

  leave(way: (typeof WAYS)[number]): Promise<unknown> {
    this.#isLeaving = true
    if (way === 'unread') this.#send(-1)
    const closed = once(this.#socket, 'close')
    if (way === 'reset') this.#socket.resetAndDestroy()
    else this.#socket.destroy()
    return closed
  }

  #send(round: number): void {
    const message = Buffer.alloc(MESSAGE_BYTES, this.#id & 0xff)
    message.writeUInt32LE(this.#id, 0)
    message.writeInt32LE(round, 4)
    this.#expected = message
    this.#receivedBytes = 0
    this.#socket.write(message)
  }

  #take(chunk: Buffer): void {
    if (this.#isLeaving) return
    const end = this.#receivedBytes + chunk.length
    const part = this.#expected.subarray(this.#receivedBytes, end)
    if (!part.equals(chunk)) fail(`connection ${this.#id}: what came is not what was sent`)
    this.#receivedBytes = end
    if (end < MESSAGE_BYTES) return
    const resolve = this.#onAnswer
    this.#onAnswer = null
    resolve?.()
  }
}

function localEndOf(id: number): { localAddress: string; localPort?: number } {
  // Churn goes through ports faster than one address has them again.
  if (mode === 'churn') return { localAddress: `127.0.${1 + (id % 250)}.1` }
  const localAddress = `127.0.0.${2 + Math.floor(id / CONNECTIONS_PER_ADDRESS)}`
  return { localAddress, localPort: LOCAL_PORT_MIN + (id % CONNECTIONS_PER_ADDRESS) }
}

function fail(why: string): never {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

/** Does something for each of so many, a few at a time. */
async function forEach(total: number, run: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const workers = Array.from({ length: Math.min(ABREAST, total) }, async () => {
    while (next < total) await run(next++)
  })
  await Promise.all(workers)
}

async function crowd(): Promise<object> {
  const clients: Client[] = []
  let requests = 0
  await forEach(count, async (id) => {
    clients[id] = await Client.open(id)
  })
  for (let round = 0; round < amount; round++) {
    await forEach(count, async (id) => {
      await clients[id]!.ask(round)
      requests++
    })
  }
  return { connections: clients.length, requests }
}

async function churn(): Promise<object> {
  const endMs = performance.now() + amount * 1_000
  let connections = 0
  let requests = 0
  const come = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const id = connections++
      const client = await Client.open(id)
      for (let round = 0; round < id % 4; round++) {
        await client.ask(round)
        requests++
      }
      await client.leave(WAYS[id % WAYS.length]!)
    }
  }
  await Promise.all(Array.from({ length: count }, come))
  return { connections, requests }
}

const watch = setTimeout(() => fail('an answer is missing'), ANSWER_MS_MAX + amount * 1_000)
const result = mode === 'crowd' ? await crowd() : await churn()
clearTimeout(watch)
writeSync(1, `${JSON.stringify(result)}\n`)
if (hold === 'hold') endWithStdin()
else process.exit(0)
