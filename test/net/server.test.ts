import assert from 'node:assert/strict'
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
    assert.equal(await client.read(), null)
  }

  assert.deepEqual(errors, [mine, mine])
  assert.throws(() => serve({} as never, failing), TypeError)
  assert.throws(() => serve(listener, failing, { onEror: 1 } as never), TypeError)
  await assert.rejects(server.stop({ deadlineMs: -1 }), RangeError)
  await assert.rejects(server.stop({ deadline: 1 } as never), TypeError)
})
