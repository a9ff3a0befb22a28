/** Connections between real threads: every byte is checked, and threads are terminated before, in and after it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { TcpListener, TcpStream, type TcpStreamTicket } from '../../src/net/index.ts'
import { limited } from '../limits.ts'
import type { Order } from './hand-over-worker.ts'
import { assertPattern, Pair, pattern } from './support.ts'

const ROUNDS = 1000
const LENGTH_BYTES: number = 280 * ROUNDS
const LIMIT = limited(90_000)

function start(): Worker {
  return new Worker(new URL('./hand-over-worker.js', import.meta.url))
}

async function ask<T>(worker: Worker, order: Order): Promise<T> {
  worker.postMessage(order)
  const [answer] = await once(worker, 'message')
  return answer as T
}

function fdCount(): number {
  return readdirSync('/proc/self/fd').length
}

test(
  'a connection goes back and forth between threads a thousand times, under load',
  LIMIT,
  async () => {
    const workers = [start(), start()]
    const pair = await Pair.open()
    const send = async (): Promise<void> => {
      for (let sent = 0; sent < LENGTH_BYTES; sent += 1000) {
        await pair.client.write(pattern(sent, 1000))
      }
      await pair.client.shutdown()
    }
    const receive = async (): Promise<void> => {
      let position = 0
      for await (const chunk of pair.client) {
        assertPattern(chunk, position)
        position += chunk.length
      }
      assert.equal(position, LENGTH_BYTES)
    }
    const handOn = async (): Promise<number> => {
      let rounds = 0
      let ticket: TcpStreamTicket | null = await pair.server.detach()
      while (ticket !== null) {
        const order: Order = { kind: 'echo', ticket, lengthBytes: 1 + ((rounds * 151) % 500) }
        ticket = await ask<TcpStreamTicket | null>(workers[rounds++ % 2]!, order)
      }
      return rounds
    }

    const [rounds] = await Promise.all([handOn(), send(), receive()])

    assert.ok(rounds > ROUNDS, `there were ${rounds} rounds`)
    await Promise.all(workers.map((worker) => worker.terminate()))
    await pair[Symbol.asyncDispose]()
  },
)

test('of threads that adopt one ticket at once one gets it', LIMIT, async () => {
  const workers = [start(), start(), start()]
  await using listener = await TcpListener.bind({ port: 0 })

  for (let round = 0; round < 50; round++) {
    const accepting = listener.accept()
    await using client = await TcpStream.connect({ port: listener.address.port })
    const ticket = await (await accepting).detach()
    const orders = workers.map((worker) => ask<string>(worker, { kind: 'try', ticket }))

    const answers = (await Promise.all(orders)).sort()

    assert.deepEqual(answers, ['ERR_TICKET_SPENT', 'ERR_TICKET_SPENT', 'adopted'])
    assert.equal(client.isClosed, false)
  }
  await Promise.all(workers.map((worker) => worker.terminate()))
})

test('a taker that is terminated closes what it had adopted', LIMIT, async () => {
  await using pair = await Pair.open()
  const worker = start()
  await ask(worker, { kind: 'hold', ticket: await pair.server.detach() })

  await worker.terminate()

  assert.equal(await pair.client.read(), null)
})

test(
  'a giver that is terminated closes what nobody has taken, unless that is to outlive it',
  LIMIT,
  async () => {
    await using listener = await TcpListener.bind({ port: 0 })
    const { port } = listener.address
    for (const outlivesThread of [false, true]) {
      const worker = start()
      const accepting = listener.accept()
      const order: Order = { kind: 'connect', port, outlivesThread }
      const ticket = await ask<TcpStreamTicket>(worker, order)
      await using server = await accepting

      await worker.terminate()

      if (outlivesThread) {
        await using adopted = TcpStream.adopt(ticket)
        await adopted.write(pattern(0, 4))
        assert.equal((await server.read())?.length, 4)
      } else {
        assert.throws(() => TcpStream.adopt(ticket), { code: 'ERR_TICKET_SPENT' })
        assert.equal(TcpStream.discard(ticket), false)
        assert.equal(await server.read(), null)
      }
    }
  },
)

test(
  'threads that are terminated while they give connections away leave no descriptor',
  LIMIT,
  async () => {
    const runOne = async (): Promise<void> => {
      const worker = start()
      await ask(worker, { kind: 'churn' })
      await worker.terminate()
    }
    await runOne()
    const before = fdCount()

    for (let round = 0; round < 6; round++) await runOne()

    assert.equal(fdCount(), before)
  },
)
