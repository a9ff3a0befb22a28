/** Many clients send tiny requests ahead of the answers, by way of a proxy whose backend is slow. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { attachExecutor, type Executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { clientCount, limited } from '../limits.ts'
import { until } from './support.ts'

const REQUEST_COUNT = 20
// Of 500, a buffer each would be 8 MiB.
const MANY_COUNT = clientCount(5_000, 500)
/** Of the proxy for each client, and of the child, which has the other ends of both; some are for the rest. */
const MANY_DESCRIPTOR_COUNT = 2 * MANY_COUNT + 100

test('clients that pipeline tiny requests are all answered with fewer buffers than clients', {
  ...limited(30_000),
}, async () => {
  await using home = attachExecutor()
  // Far fewer buffers than there are connections with a request that waits.
  configureNet(home, { entryCount: 64, initialCount: 64 })

  await serveClients(home, 200)
})

test(`${MANY_COUNT} clients that pipeline tiny requests are all answered from little memory`, {
  ...limited(80_000),
  skip: lacksDescriptors(),
}, async () => {
  await using home = attachExecutor()

  const memoryBytesMax = await serveClients(home, MANY_COUNT)

  // A buffer for each of 5,000 clients would be 80 MiB.
  assert.ok(memoryBytesMax <= 2 ** 22, `${memoryBytesMax} bytes`)
})

/** Why so many clients cannot be had here, or false. */
function lacksDescriptors(): string | false {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const count = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY)
  const isEnough = count >= MANY_DESCRIPTOR_COUNT
  return isEnough ? false : `${count} open files are allowed, of ${MANY_DESCRIPTOR_COUNT}`
}

/** Runs a proxy for clients in a child, which checks each answer; resolves to the most I/O memory in use. */
async function serveClients(home: Executor, clientCount: number): Promise<number> {
  await using proxy = await TcpListener.bind({ port: 0, backlog: 4096 })
  const { pool } = netRingFor(home, home.defaultQueue)
  let memoryBytesMax = 0
  const note = (): void => {
    memoryBytesMax = Math.max(memoryBytesMax, home.stats().ioMemory.usedBytes)
  }
  const script = fileURLToPath(new URL('./pipelining-child.js', import.meta.url))
  const args = [script, proxy.address.port, clientCount, REQUEST_COUNT].map(String)
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  // A child that has failed opens no more connections, which the proxy would wait for.
  void ended.then(() => proxy.close())
  const [port] = await once(child.stdout, 'data')
  const relays: Promise<void>[] = []

  for (let count = 0; count < clientCount; count++) {
    relays.push(relay(await proxy.accept(), Number(port), note))
  }

  assert.deepEqual(await ended, [0, null])
  await Promise.all(relays)
  await until(() => pool.buffers.userCount === 0)
  return memoryBytesMax
}

async function relay(client: TcpStream, port: number, note: () => void): Promise<void> {
  await using backend = await TcpStream.connect({ port })
  for await (const request of client) {
    note()
    await backend.write(request)
    for (let count = 0; count < request.length; ) {
      const answer = await backend.read()
      assert.ok(answer !== null, 'the backend answers each request')
      count += answer.length
      await client.write(answer)
    }
  }
  await client.close()
}
