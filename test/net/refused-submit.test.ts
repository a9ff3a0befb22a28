import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { executor, yieldNow } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet } from '../../src/net/memory/net-ring.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { reactorOf } from '../reactor-of.ts'
import { refuseEntries, refuseEntry } from '../ring/refuse.ts'
import { Recorder, rounds } from './recorder.ts'

test('connect() and shutdown() whose entry is refused leave nothing', async (t) => {
  await simulate(1, async ({ kernel }) => {
    const reactor = reactorOf(executor())
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
    const { main } = executor().io
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
    const { main } = executor().io
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
    assert.deepEqual(await server.read(), new Uint8Array([1, 2, 3]))
    await Promise.all([client.close(), server.close(), listener.close()])
  })
})

test('a consumer whose receive is refused gets its chunks all the same', async (t) => {
  await simulate(1, async () => {
    const { client, server, listener } = await connected()
    const wasRefused = refuseEntry(t, executor().io.main, 0)
    const recorder = new Recorder()

    server.consume(recorder)
    await client.write(new Uint8Array([4]))
    await client.close()

    assert.ok(wasRefused())
    assert.equal(await recorder.ended, null)
    assert.equal(recorder.lengthBytes, 1)
    await Promise.all([server.close(), listener.close()])
  })
})

test('a consumer that has chunks goes on though the receive of more is refused', async (t) => {
  await simulate(1, async () => {
    configureNet(executor(), {
      multishot: false,
      entryCount: 16,
      bufferBytes: 512,
      initialCount: 8,
    })
    const { client, server, listener } = await connected()
    let wasRefused = (): boolean => false
    const recorder = new Recorder(() => {
      // What is received ahead, beside the chunk that waits: the receive of the third.
      if (recorder.chunkCount === 1) wasRefused = refuseEntry(t, executor().io.main, 0)
    })

    await client.write(new Uint8Array(2000))
    server.consume(recorder)
    await client.close()

    assert.equal(await recorder.ended, null)
    assert.equal(recorder.lengthBytes, 2000)
    assert.ok(wasRefused())
    await Promise.all([server.close(), listener.close()])
  })
})

test('connects whose cancelling is refused end as soon as it is not', async (t) => {
  await simulate(1, async () => {
    const listener = await TcpListener.bind({ port: 7000, backlog: 1 })
    const { main } = executor().io
    const first = await TcpStream.connect({ port: 7000 })
    const controller = new AbortController()
    const reason = new Error('no more')
    const waiting = [{ signal: controller.signal }, { timeoutMs: 50 }, { timeoutMs: 50 }].map(
      (wait) => TcpStream.connect({ port: 7000, ...wait }),
    )
    const ended = Promise.allSettled(waiting)
    await sleep(40)

    const restore = refuseEntries(t, main, 0, 3)
    controller.abort(reason)
    const outcomes = await ended

    assert.ok(restore())
    assert.deepEqual(
      outcomes.map(
        (outcome) => outcome.status === 'rejected' && (outcome.reason.code ?? outcome.reason),
      ),
      [reason, 'ERR_TASK_TIMEOUT', 'ERR_TASK_TIMEOUT'],
    )
    await Promise.all([first.close(), listener.close()])
  })
})

test('close() whose entries are refused closes all the same', async (t) => {
  for (let count = 0; count < 4; count++) {
    await simulate(1, async () => {
      const { client, server, listener } = await connected()
      const reading = server.read()
      const accepting = listener.accept()
      await yieldNow()
      const restore = refuseEntries(t, executor().io.main, count, 2)

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
    const writing = client.write(new Uint8Array(2 ** 24))
    await current.close()

    await assert.rejects(writing, { code: 'ERR_EXECUTOR_CLOSED' })
    await assert.rejects(server.read(), { code: 'ERR_EXECUTOR_CLOSED' })
    await assert.rejects(client.write(new Uint8Array(1)), { code: 'ERR_EXECUTOR_CLOSED' })
    await assert.rejects(listener.accept(), { code: 'ERR_EXECUTOR_CLOSED' })
    assert.throws(() => client.localAddress, { code: 'ERR_HANDLE_CLOSED' })
    assert.throws(() => client.setNoDelay(true), { code: 'ERR_HANDLE_CLOSED' })
    await server.reset()
    await assert.rejects(client.shutdown(), { code: 'ERR_EXECUTOR_CLOSED' })
    assert.ok(client.isClosed && server.isClosed && listener.isClosed)
    await Promise.all([client.close(), server.close(), listener.close()])
  })
})

test('a consumer that closes the executor and fails is told of its failure', async () => {
  await simulate({ seed: 1, checkDescriptors: false }, async ({ executor: current }) => {
    const { client, server } = await connected()
    const failure = new Error('after the close')
    const recorder = new Recorder(() => {
      void current.close()
      throw failure
    })

    server.consume(recorder)
    await client.write(new Uint8Array(1))
    await rounds()
    await current.close()

    assert.equal(recorder.chunkCount, 1)
    assert.equal(recorder.endCount, 1)
    assert.equal(await recorder.ended, failure)
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
