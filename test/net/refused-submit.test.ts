import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { executor, yieldNow } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { refuseEntries, refuseEntry } from '../ring/refuse.ts'

test('connect() and shutdown() whose entry is refused leave nothing', async (t) => {
  await simulate(1, async ({ kernel }) => {
    const { reactor } = executor()
    const { signal } = new AbortController()
    const wait = { signal, timeoutMs: 1e6 }
    const listener = await TcpListener.bind({ port: 7000 })
    const client = await TcpStream.connect({ port: 7000 })
    const held = (): unknown[] => [
      kernel.leftovers().descriptors,
      reactor.memory.leasedCount,
      reactor.timers.size,
      getEventListeners(signal, 'abort').length,
    ]
    const before = held()

    for (const action of [
      () => TcpStream.connect({ port: 7000, ...wait }),
      () => client.shutdown(wait),
    ]) {
      const wasRefused = refuseEntry(t, reactor.main, 0)
      await assert.rejects(action, { code: 'ENOMEM' })
      assert.ok(wasRefused())
    }

    assert.deepEqual(held(), before)
    await client.close()
    await listener.close()
  })
})

test('accept() whose entry is refused rejects, and the next one is served', async (t) => {
  await simulate(1, async () => {
    const { main } = executor().reactor
    const listener = await TcpListener.bind({ port: 7000 })
    const wasRefused = refuseEntry(t, main, 0)

    await assert.rejects(listener.accept(), { code: 'ENOMEM' })
    assert.ok(wasRefused())

    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: 7000 })
    const server = await accepting
    await Promise.all([client.close(), server.close(), listener.close()])
  })
})

test('reads and writes whose entry is refused reject, and the next ones go on', async (t) => {
  await simulate(1, async () => {
    const { main } = executor().reactor
    const { client, server, listener } = await connected()
    for (const action of [
      () => client.write(new Uint8Array(10)),
      () => server.read(),
      () => server[Symbol.asyncIterator]().next(),
    ]) {
      const wasRefused = refuseEntry(t, main, 0)
      await assert.rejects(action, { code: 'ENOMEM' })
      assert.ok(wasRefused())
    }

    await client.write(new Uint8Array([1, 2, 3]))
    assert.deepEqual(await server.read({ copy: true }), new Uint8Array([1, 2, 3]))
    await Promise.all([client.close(), server.close(), listener.close()])
  })
})

test('a consumer whose receive is refused is told, and the stream is free for another', async (t) => {
  await simulate(1, async () => {
    const { client, server, listener } = await connected()
    const wasRefused = refuseEntry(t, executor().reactor.main, 0)

    const error = await new Promise((resolve) => {
      server.consume({ onChunk() {}, onEnd: resolve })
    })

    assert.ok(wasRefused())
    assert.equal((error as { code: string }).code, 'ENOMEM')
    await client.write(new Uint8Array([4]))
    assert.deepEqual(await server.read({ copy: true }), new Uint8Array([4]))
    await Promise.all([client.close(), server.close(), listener.close()])
  })
})

test('close() whose entries are refused closes all the same', async (t) => {
  for (let count = 0; count < 4; count++) {
    await simulate(1, async () => {
      const { client, server, listener } = await connected()
      const reading = server.read()
      const accepting = listener.accept()
      await yieldNow()
      const restore = refuseEntries(t, executor().reactor.main, count, 2)

      const closing = Promise.all([server.close(), client.close(), listener.close()])

      await assert.rejects(reading, { code: 'ERR_HANDLE_CLOSED' })
      await assert.rejects(accepting, { code: 'ERR_HANDLE_CLOSED' })
      await closing
      restore()
    })
  }
})

test('sockets of a closed executor refuse, and close at once', async () => {
  await simulate({ seed: 1, checkDescriptors: false }, async ({ executor: current }) => {
    const { client, server, listener } = await connected()
    current.close()

    await assert.rejects(server.read(), { code: 'ERR_EXECUTOR_CLOSED' })
    await assert.rejects(client.write(new Uint8Array(1)), { code: 'ERR_EXECUTOR_CLOSED' })
    await assert.rejects(listener.accept(), { code: 'ERR_EXECUTOR_CLOSED' })
    await Promise.all([client.close(), server.close(), listener.close()])
  })
})

async function connected(): Promise<{
  client: TcpStream
  server: TcpStream
  listener: TcpListener
}> {
  const listener = await TcpListener.bind({ port: 7000 })
  const accepting = listener.accept()
  const client = await TcpStream.connect({ port: 7000 })
  return { client, server: await accepting, listener }
}
