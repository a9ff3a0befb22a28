import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import {
  TcpListener,
  TcpStream,
  type TcpStreamTicket,
  UnixListener,
  UnixStream,
} from '../../src/net/index.ts'
import { ByteReader } from '../../src/streams/index.ts'
import { limited, repetitionCount } from '../limits.ts'
import { holdings, Pair, pattern, readPattern } from '../net/support.ts'

/** A listener whose backlog is full, so that further connections are not answered. */
async function openFullListener(): Promise<{ listener: TcpListener; clients: TcpStream[] }> {
  const listener = await TcpListener.bind({ port: 0, backlog: 1 })
  const { port } = listener.address
  const clients = [await TcpStream.connect({ port }), await TcpStream.connect({ port })]
  return { listener, clients }
}

test('[93] several listeners bind the same port, if all ask for it', async () => {
  await using first = await TcpListener.bind({ port: 0, reusePort: true })
  const { port } = first.address

  await using second = await TcpListener.bind({ port, reusePort: true })

  assert.deepEqual(second.address, first.address)
  await assert.rejects(TcpListener.bind({ port }), { code: 'EADDRINUSE' })
})

test('[94] a connection that one thread accepts is served by another', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const worker = new Worker(new URL('../net/hand-over-worker.js', import.meta.url))
  const accepting = listener.accept()
  await using client = await TcpStream.connect({ port: listener.address.port })
  const ticket = await (await accepting).detach()

  worker.postMessage({ kind: 'echo', ticket, lengthBytes: 100 })
  await client.write(pattern(0, 100))

  await readPattern(client, 100)
  const [returned] = (await once(worker, 'message')) as [TcpStreamTicket]
  assert.ok(TcpStream.discard(returned))
  assert.equal(await client.read(), null)
  await worker.terminate()
})

test('[94] threads accept from a socket that another has bound, and refuse it once it is closed', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const counts = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL('../net/accepting-worker.js', import.meta.url), {
    workerData: { share: listener.share(), counts, index: 0 },
  })
  await once(worker, 'message')

  await using client = await TcpStream.connect({ port: listener.address.port })

  assert.equal(await client.read(), null)
  assert.equal(Atomics.load(counts, 0), 1)
  const share = listener.share()
  await listener.close()
  await worker.terminate()
  assert.throws(() => TcpListener.adopt(share), { code: 'ERR_HANDLE_CLOSED' })
})

test('[95] an iteration takes connections one by one; without the listener none can connect', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const { port } = listener.address
  const clients = await Promise.all(Array.from({ length: 4 }, () => TcpStream.connect({ port })))
  const servers: TcpStream[] = []

  for await (const stream of listener) if (servers.push(stream) === 4) break
  await listener.close()

  await assert.rejects(TcpStream.connect({ port }), { code: 'ECONNREFUSED' })
  await Promise.all([...clients, ...servers].map((stream) => stream.close()))
})

test('[96] 128 concurrent calls of accept() all get a connection', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const { port } = listener.address
  const accepting = Array.from({ length: 128 }, () => listener.accept())

  const clients = await Promise.all(Array.from({ length: 128 }, () => TcpStream.connect({ port })))
  const servers = await Promise.all(accepting)

  const ports = new Set(servers.map((server) => server.remoteAddress?.port))
  assert.equal(ports.size, 128)
  await Promise.all([...clients, ...servers].map((stream) => stream.close()))
})

test('[99] connect() that is not answered ends with its time limit or its signal, and leaves nothing', async () => {
  const { listener, clients } = await openFullListener()
  const { port } = listener.address
  const before = holdings()
  const controller = new AbortController()

  const timed = TcpStream.connect({ host: '127.0.0.1', port, timeoutMs: 50 })
  const aborted = TcpStream.connect({ host: '127.0.0.1', port, signal: controller.signal })
  setImmediate(() => controller.abort(new Error('enough')))

  await Promise.all([
    assert.rejects(timed, { code: 'ERR_TASK_TIMEOUT' }),
    assert.rejects(aborted, /enough/),
  ])
  assert.deepEqual(holdings(), before)
  await Promise.all(clients.map((client) => client.close()))
  await listener.close()
})

test('[100] read() ends with its time limit, never early, and the stream goes on', async () => {
  await using pair = await Pair.open()
  const startMs = performance.now()

  await assert.rejects(pair.server.read({ timeoutMs: 100 }), { code: 'ERR_TASK_TIMEOUT' })

  assert.ok(performance.now() - startMs >= 99)
  await pair.client.write(pattern(0, 4))
  await readPattern(pair.server, 4)
})

test(
  '[101] reads that are given up, however many, leave nothing behind',
  limited(60_000),
  async () => {
    await using pair = await Pair.open()
    const before = holdings()
    const reason = new Error('given up')

    for (let count = repetitionCount(64_000, 6_400); count > 0; count--) {
      const controller = new AbortController()
      const reading = pair.server.read({ signal: controller.signal })
      controller.abort(reason)
      assert.equal(await reading.catch((error: unknown) => error), reason)
    }

    // One receive waits, as it did for the first of them.
    assert.ok(holdings().operationCount <= before.operationCount + 1)
    await pair.client.write(pattern(0, 4))
    await readPattern(pair.server, 4)
  },
)

test('[102] time limits that are none are refused; 0 is over at once', async () => {
  await using pair = await Pair.open()
  const port = pair.listener.address.port

  await assert.rejects(pair.server.read({ timeoutMs: -1 }), RangeError)
  await assert.rejects(pair.server.read({ timeoutMs: Number.NaN }), RangeError)
  await assert.rejects(pair.server.read({ timeoutMs: '1' as never }), TypeError)
  await assert.rejects(TcpStream.connect({ port, timeoutMs: Number.NaN }), RangeError)
  await assert.rejects(pair.server.read({ timeoutMs: 0 }), { code: 'ERR_TASK_TIMEOUT' })
})

test('[104] a pair of Unix streams carries bytes both ways', async () => {
  const [one, other] = UnixStream.pair()
  await using _one = one
  await using _other = other

  await Promise.all([one.write(pattern(0, 10)), other.write(pattern(10, 10))])

  assert.deepEqual(await other.read(), pattern(0, 10))
  assert.deepEqual(await one.read(), pattern(10, 10))
})

test('[104] a Unix listener is bound to a path; who connects is unnamed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-conformance-'))
  const path = join(folder, 'socket')
  const listener = await UnixListener.bind({ path })
  const accepting = listener.accept()

  const client = await UnixStream.connect({ path })
  const server = await accepting

  assert.equal(client.remoteAddress?.path, path)
  assert.equal(server.localAddress.path, path)
  assert.equal(server.remoteAddress?.path, null)
  await Promise.all([client.close(), server.close(), listener.close()])
  rmSync(folder, { recursive: true })
})

test('[95, 96, 104] 128 connections of a Unix listener are all accepted; without it none can connect', async () => {
  const abstractName = `percore-conformance-${process.pid}`
  const listener = await UnixListener.bind({ abstractName })
  const accepting = Array.from({ length: 128 }, () => listener.accept())

  const connecting = Array.from({ length: 128 }, () => UnixStream.connect({ abstractName }))
  const streams = await Promise.all([...accepting, ...connecting])

  await listener.close()
  await assert.rejects(UnixStream.connect({ abstractName }), { code: 'ECONNREFUSED' })
  await Promise.all(streams.map((stream) => stream.close()))
})

test('[97, 104] lines are read from a Unix stream, however they come', async () => {
  const [one, other] = UnixStream.pair()
  const reader = new ByteReader(other)
  await one.write(new TextEncoder().encode('first\nsec'))
  await one.write(new TextEncoder().encode('ond\n'))
  await one.shutdown()

  assert.equal(await reader.readLine(), 'first')
  assert.equal(await reader.readLine(), 'second')
  assert.equal(await reader.readLine(), null)
  await Promise.all([one.close(), other.close()])
})
