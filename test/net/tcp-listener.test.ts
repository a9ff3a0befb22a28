import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { echoAll, holdings, pattern, readPattern, until } from './support.ts'

test('bind() refuses a port that is taken with EADDRINUSE, and leaves nothing behind', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const { port } = listener.address
  const before = holdings()

  const again = TcpListener.bind({ port })

  await assert.rejects(again, { code: 'EADDRINUSE', syscall: 'bind', address: `127.0.0.1:${port}` })
  assert.deepEqual(holdings(), before)
})

test('bind() refuses arguments of the wrong kind', async () => {
  await assert.rejects(TcpListener.bind(undefined as never), TypeError)
  await assert.rejects(TcpListener.bind({ port: -1 }), RangeError)
  await assert.rejects(TcpListener.bind({ port: 0, backlog: 0 }), RangeError)
  await assert.rejects(TcpListener.bind({ port: 0, host: 1 as never }), TypeError)
})

test('bind() listens on IPv6', async () => {
  await using listener = await TcpListener.bind({ host: '::1', port: 0 })
  const accepting = listener.accept()

  await using client = await TcpStream.connect({ host: '::1', port: listener.address.port })
  await using server = await accepting

  assert.equal(listener.address.host, '::1')
  assert.deepEqual(server.remoteAddress, client.localAddress)
})

test('accept() rejects with ERR_HANDLE_CLOSED, and an iteration ends, when the listener closes', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const accepting = assert.rejects(listener.accept(), { code: 'ERR_HANDLE_CLOSED' })
  const iterating = listener[Symbol.asyncIterator]().next()

  await Promise.all([listener.close(), listener.close()])

  await accepting
  assert.deepEqual(await iterating, { value: undefined, done: true })
  await assert.rejects(listener.accept(), { code: 'ERR_HANDLE_CLOSED' })
  assert.ok(listener.isClosed)
})

test('close() closes connections that nobody has taken', async () => {
  const before = holdings()
  const listener = await TcpListener.bind({ port: 0 })
  const first = listener.accept()
  const clients = await Promise.all(
    Array.from({ length: 20 }, () => TcpStream.connect({ port: listener.address.port })),
  )
  const server = await first

  await listener.close()

  // One was taken, and lives on.
  await server.write(pattern(0, 1))
  await server.close()
  const ends = clients.map(async (client) => {
    const chunk = await client.read().catch(() => null)
    await client.close()
    return chunk?.length ?? 0
  })
  assert.deepEqual((await Promise.all(ends)).sort().at(-1), 1)
  assert.deepEqual(holdings(), before)
})

test('accept() given up leaves the connection to the next caller', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const controller = new AbortController()
  const first = listener.accept({ signal: controller.signal })
  const timed = listener.accept({ timeoutMs: 1 })
  const second = listener.accept()

  controller.abort(new Error('enough'))
  await assert.rejects(first, /enough/)
  await assert.rejects(timed, { code: 'ERR_TASK_TIMEOUT' })
  await using client = await TcpStream.connect({ port: listener.address.port })

  await using server = await second
  assert.deepEqual(server.remoteAddress, client.localAddress)
})

test('accept() that is refused leaves a connection that has come to the next caller', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const before = holdings().fdCount
  const first = listener.accept()
  await using client = await TcpStream.connect({ port: listener.address.port })
  await using other = await TcpStream.connect({ port: listener.address.port })
  await using server = await first
  await until(() => holdings().fdCount === before + 4)

  const aborted = AbortSignal.abort(new Error('enough'))
  await assert.rejects(listener.accept({ signal: aborted }), /enough/)
  await assert.rejects(listener.accept({ timeoutMs: -1 }), RangeError)
  await using next = await listener.accept()

  assert.deepEqual(server.remoteAddress, client.localAddress)
  assert.deepEqual(next.remoteAddress, other.localAddress)
})

test('accept() takes more connections than the list of unasked ones holds, in order', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const first = listener.accept()
  const clients: TcpStream[] = []
  const before = holdings().fdCount
  for (let index = 0; index < 300; index++) {
    clients.push(await TcpStream.connect({ port: listener.address.port }))
  }
  const servers = [await first]
  const accepted = holdings().fdCount - before - clients.length
  assert.ok(accepted < 200, `${accepted} were accepted`)
  while (servers.length < clients.length) servers.push(await listener.accept())

  const ports = servers.map((server) => server.remoteAddress?.port)

  assert.deepEqual(
    ports,
    clients.map((client) => client.localAddress.port),
  )
  await Promise.all([...clients, ...servers].map((stream) => stream.close()))
})

test('1,000 connections opened, used and closed leave no descriptor, operation or buffer', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const port = listener.address.port
  const loop = echoAll(listener)
  const visit = async (): Promise<void> => {
    await using stream = await TcpStream.connect({ port })
    await stream.write(pattern(0, 500))
    await readPattern(stream, 500)
  }
  await visit()
  const fdCount = holdings().fdCount

  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 50 }, visit))

  await listener.close()
  await loop
  // The echoing side sees the end a little later than the visitor does.
  while (holdings().operationCount > 0) await new Promise((resolve) => setImmediate(resolve))
  const after = holdings()
  assert.equal(after.bufferCount, 0)
  assert.ok(after.fdCount < fdCount, `${after.fdCount} descriptors`)
  assert.equal(executor().io.main.staleCount, 0)
})

test('accept() without descriptors rejects with EMFILE, waits between tries, and goes on', async () => {
  const script = fileURLToPath(new URL('./emfile-child.js', import.meta.url))
  // Node opens modules many at a time.
  const command = `ulimit -n 128; exec "${process.execPath}" "${script}"`
  const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })

  const [exitCode] = await once(child, 'close')

  assert.equal(exitCode, 0)
  assert.equal(output.trim(), 'EMFILE EMFILE EMFILE accepted iterated')
})
