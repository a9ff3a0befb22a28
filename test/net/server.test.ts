import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/index.ts'
import { serve, TcpListener, TcpStream, UnixListener, UnixStream } from '../../src/net/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { echo, holdings, pattern, readPattern } from './support.ts'

const LONG_MS = 600_000

testOnBoth('stop() lets what is under way come to its end, and loses nothing', async () => {
  const before = holdings()
  const server = serve(await TcpListener.bind({ port: 0 }), echo)
  const { port } = server.listener.address as { port: number }
  const clients = await Promise.all(Array.from({ length: 20 }, () => TcpStream.connect({ port })))
  const rounds = clients.map(async (client) => {
    const reading = readPattern(client, 200_000)
    await client.write(pattern(0, 200_000))
    await client.shutdown()
    await reading
    await client.close()
  })
  while (server.connectionCount < 20) await new Promise(setImmediate)

  const stopping = server.stop({ deadlineMs: LONG_MS })
  await server.listener.close()
  await assert.rejects(TcpStream.connect({ port }), { code: 'ECONNREFUSED' })

  await Promise.all(rounds)
  assert.equal(await stopping, 0)
  assert.equal(await server.stop(), 0)
  assert.deepEqual(holdings(), before)
})

testOnBoth('stop() breaks off at the deadline what has not ended', async () => {
  const before = holdings()
  const server = serve(await TcpListener.bind({ port: 0 }), async (stream) => {
    await stream.write(pattern(0, 1))
    // Nothing that a cancel or a signal ends.
    await new Promise(() => {})
  })
  const { port } = server.listener.address as { port: number }
  const client = await TcpStream.connect({ port })
  assert.equal((await client.read())?.length, 1)

  assert.equal(await server.stop({ deadlineMs: 1 }), 1)

  await assert.rejects(client.read(), { code: 'ECONNRESET' })
  await client.close()
  assert.deepEqual(holdings().operationCount, before.operationCount)
})

test('an executor that is closed ends its servers, which is no failure of theirs', async () => {
  const told: unknown[] = []
  const tell = (what: unknown): void => void told.push(what)
  process.on('unhandledRejection', tell)
  process.on('warning', tell)
  try {
    const server = serve(await TcpListener.bind({ port: 0 }), echo)
    const client = await TcpStream.connect({ port: server.listener.address.port })
    await client.write(pattern(0, 1))
    assert.equal((await client.read())?.length, 1)

    await executor().close()

    // By then Node has told of what nobody handles.
    await new Promise(setImmediate)
    assert.deepEqual(told, [])
    assert.equal(server.connectionCount, 0)
  } finally {
    process.off('unhandledRejection', tell)
    process.off('warning', tell)
  }
})

testOnBoth('functions are told by their signal, and those of idle peers end by it', async () => {
  const listener = await UnixListener.bind({ abstractName: `percore-server-${process.pid}` })
  const errors: unknown[] = []
  const server = serve(
    listener,
    async (stream, signal) => {
      await stream.write(pattern(0, 1))
      await stream.read({ signal })
    },
    { onError: (error) => errors.push(error) },
  )
  const client = await UnixStream.connect(listener.address)
  assert.equal((await client.read())?.length, 1)

  assert.equal(await server.stop({ deadlineMs: LONG_MS }), 0)

  assert.equal(await client.read(), null)
  assert.deepEqual(errors, [])
  await client.close()
})

testOnBoth('peers that reset or have gone hold nothing up', async () => {
  const server = serve(await TcpListener.bind({ port: 0 }), async (stream) => {
    for await (const chunk of stream) await stream.write(chunk)
  })
  const { port } = server.listener.address as { port: number }
  const clients = await Promise.all(Array.from({ length: 10 }, () => TcpStream.connect({ port })))
  await Promise.all(clients.map((client) => client.write(pattern(0, 100_000))))

  const stopping = server.stop({ deadlineMs: LONG_MS })
  await Promise.all(clients.map((client, at) => (at % 2 === 0 ? client.reset() : client.close())))

  assert.equal(await stopping, 0)
  assert.equal(server.connectionCount, 0)
})

testOnBoth('what a function throws ends its connection alone', async () => {
  const errors: unknown[] = []
  const mine = new RangeError('not today')
  const onError = (error: unknown): number => errors.push(error)
  const listener = await TcpListener.bind({ port: 0 })
  const failing = async (): Promise<void> => Promise.reject(mine)
  await using server = serve(listener, failing, { onError })
  for (let round = 0; round < 2; round++) {
    await using client = await TcpStream.connect({ port: listener.address.port })
    await assert.rejects(client.read(), { code: 'ECONNRESET' })
  }

  assert.deepEqual(errors, [mine, mine])
  assert.throws(() => serve({} as never, failing), TypeError)
  assert.throws(() => serve(listener, failing, { onEror: 1 } as never), TypeError)
  await assert.rejects(server.stop({ deadlineMs: -1 }), RangeError)
  await assert.rejects(server.stop({ deadline: 1 } as never), TypeError)
})

/** Reads to the end; fails as that does. */
async function readAll(stream: TcpStream): Promise<void> {
  for await (const _ of stream);
}

testOnBoth(
  'without onError the first failure is a warning, and no peer is a rejection',
  async () => {
    const warnings: Error[] = []
    const note = (warning: Error): number => warnings.push(warning)
    process.on('warning', note)
    const codes = ['EPIPE', 'ERR_LIMIT_EXCEEDED', 'ERR_TASK_TIMEOUT']
    const listener = await TcpListener.bind({ port: 0 })
    await using server = serve(listener, async (stream) => {
      const code = codes.shift()
      if (code !== undefined) throw Object.assign(new Error(`It is ${code}`), { code })
      stream.setTimeouts({ readMs: 1 })
      await stream.read()
    })

    for (let round = 0; round < 4; round++) {
      await using client = await TcpStream.connect(listener.address)
      await assert.rejects(readAll(client), { code: 'ECONNRESET' })
    }

    await server.stop()
    await new Promise(setImmediate)
    process.off('warning', note)
    assert.equal(warnings.length, 1)
    assert.equal(warnings[0]!.name, 'ConnectionFailure')
    // With where it was thrown.
    assert.match(warnings[0]!.message, /It is ERR_LIMIT_EXCEEDED(?:.|\n)*server\.test/)
  },
)

testOnBoth('an answer that broke off does not look whole', async () => {
  const errors: unknown[] = []
  const functions = [
    async (stream: TcpStream): Promise<void> => {
      await stream.write(pattern(0, 10))
      throw new RangeError('half of it')
    },
    async (stream: TcpStream): Promise<void> => {
      stream.setTimeouts({ writeMs: 20 })
      await stream.write(pattern(0, 30_000_000))
    },
  ]
  const listener = await TcpListener.bind({ port: 0 })
  await using server = serve(listener, (stream) => functions.shift()!(stream), {
    onError: (error) => errors.push(error),
  })
  for (let round = 1; round <= 2; round++) {
    await using client = await TcpStream.connect(listener.address)
    while (errors.length < round) await new Promise(setImmediate)

    await assert.rejects(readAll(client), { code: 'ECONNRESET' })
  }
  await server.stop()
})

testOnBoth(
  'a function that lets the reason of its signal through has sent what it wrote',
  async () => {
    const server = serve(await TcpListener.bind({ port: 0 }), async (stream, signal) => {
      await stream.write(pattern(0, 100))
      await stream.read({ signal })
    })
    await using client = await TcpStream.connect(server.listener.address)
    while (server.connectionCount === 0) await new Promise(setImmediate)

    assert.equal(await server.stop({ deadlineMs: LONG_MS }), 0)

    await readPattern(client, 100)
    assert.equal(await client.read(), null)
  },
)

testOnBoth(
  'serve() refuses a listener that is closed, or whose connections others take',
  async () => {
    const listener = await TcpListener.bind({ port: 0 })
    const accepting = listener.accept()
    assert.throws(() => serve(listener, echo), { code: 'ERR_STILL_HELD' })
    const client = await TcpStream.connect(listener.address)
    await (await accepting).close()
    await client.close()

    const server = serve(listener, echo)
    assert.throws(() => serve(listener, echo), { code: 'ERR_STILL_HELD' })
    await server.stop()

    assert.throws(() => serve(listener, echo), { code: 'ERR_HANDLE_CLOSED' })
  },
)

testOnBoth('of several deadlines of stop() the earliest holds', async () => {
  const server = serve(await TcpListener.bind({ port: 0 }), () => new Promise(() => {}))
  await using client = await TcpStream.connect(server.listener.address)
  while (server.connectionCount === 0) await new Promise(setImmediate)

  const first = server.stop({ deadlineMs: LONG_MS })
  const second = server.stop({ deadlineMs: 0 })
  const third = server.stop({ deadlineMs: 1 })

  assert.deepEqual(await Promise.all([first, second, third]), [1, 1, 1])
  await assert.rejects(client.read(), { code: 'ECONNRESET' })
})
