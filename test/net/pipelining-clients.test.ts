/** Many clients send tiny requests ahead of the answers, by way of a proxy whose backend is slow. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet, netRingFor } from '../../src/net/net-ring.ts'
import { hold } from './recorder.ts'
import { ignore, until } from './support.ts'

const CLIENT_COUNT = 200
const REQUEST_COUNT = 20

// Far fewer buffers than there are connections with a request that waits.
configureNet(executor(), { entryCount: 64, initialCount: 64 })

test('clients that pipeline tiny requests are all answered, however many wait', async () => {
  await using backend = await TcpListener.bind({ port: 0, backlog: 4096 })
  await using proxy = await TcpListener.bind({ port: 0, backlog: 4096 })
  const { pool } = netRingFor(executor(), executor().defaultQueue)
  const gate = hold()
  void answerAll(backend, gate.promise)
  void relayAll(proxy, backend.address.port)
  const clients: TcpStream[] = []
  let heldMax = 0

  for (let count = 0; count < CLIENT_COUNT; count++) {
    const client = await TcpStream.connect({ port: proxy.address.port })
    clients.push(client)
    for (let request = 0; request < REQUEST_COUNT; request++) {
      await client.write(new Uint8Array([request]))
    }
    heldMax = Math.max(heldMax, pool.buffers.userCount)
  }
  gate.release()
  await Promise.all(clients.map(expectAnswers))

  assert.ok(heldMax <= 64)
  for (const client of clients) await client.close()
  await until(() => pool.buffers.userCount === 0)
})

async function answerAll(backend: TcpListener, isFast: Promise<void>): Promise<void> {
  for await (const stream of backend) {
    isFast.then(() => echo(stream)).catch(ignore)
  }
}

async function echo(stream: TcpStream): Promise<void> {
  for await (const chunk of stream) await stream.write(chunk)
  await stream.close()
}

async function relayAll(proxy: TcpListener, port: number): Promise<void> {
  for await (const stream of proxy) relay(stream, port).catch(ignore)
}

async function relay(client: TcpStream, port: number): Promise<void> {
  await using backend = await TcpStream.connect({ port })
  for await (const request of client) {
    await backend.write(request)
    for (let count = 0; count < request.length; ) {
      const answer = await backend.read()
      if (answer === null) return
      count += answer.length
      await client.write(answer)
    }
  }
  await client.close()
}

async function expectAnswers(client: TcpStream): Promise<void> {
  let count = 0
  while (count < REQUEST_COUNT) {
    const answer = await client.read()
    assert.ok(answer !== null, 'the proxy answers before it ends')
    for (const byte of answer) assert.equal(byte, count++)
  }
}
