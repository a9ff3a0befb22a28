/** Connections that break: readers must be able to tell that from the end of the stream. */

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { EHOSTUNREACH, ETIMEDOUT } from '../../src/kernel/index.ts'
import { TcpListener } from '../../src/net/index.ts'
import { SendOperation } from '../../src/net/sending/send-operation.ts'
import { simulate } from '../../src/testing/index.ts'
import { Recorder } from './recorder.ts'
import { Pair, pattern, readPattern, until } from './support.ts'

test('a reset by the peer is no end of the stream, also while a write is pending', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  for (const isWriting of [false, true]) {
    const accepting = listener.accept()
    const peer = connect(listener.address.port, '127.0.0.1').pause()
    await using stream = await accepting
    const reading = readPattern(stream, 1)
    const writing = isWriting ? stream.write(new Uint8Array(2 ** 25)) : Promise.resolve()
    const outcomes = Promise.allSettled([reading, writing])
    await until(() => !isWriting || stream.bytesWritten > 0)

    peer.resetAndDestroy()

    const [read, written] = await outcomes
    assert.equal(read.status === 'rejected' && read.reason.code, 'ECONNRESET')
    assert.equal(written.status, isWriting ? 'rejected' : 'fulfilled')
  }
})

for (const [name, run] of [
  ['Linux', (body: () => Promise<void>) => body()],
  ['the simulated kernel', (body: () => Promise<void>) => simulate(1, body)],
] as const) {
  test(`on ${name} an end of the stream stays one though a reset follows, and data as well`, async () => {
    await run(async () => {
      for (const isWriting of [false, true]) {
        await using pair = await Pair.open()
        const { client, server } = pair
        await server.write(pattern(0, 100))
        await server.shutdown()
        await server.reset()
        if (isWriting) await client.write(new Uint8Array(10)).catch(() => {})
        if (isWriting) await client.write(new Uint8Array(10)).catch(() => {})

        await readPattern(client, 100)

        assert.equal(await client.read(), null)
      }
    })
  })
}

test('a reader is told what broke the connection though the writer was told first', async (t) => {
  await simulate(1, async () => {
    for (const errno of [ETIMEDOUT, EHOSTUNREACH]) {
      await using pair = await Pair.open()
      const { client, server } = pair
      const recorder = new Recorder()
      if (errno === ETIMEDOUT) client.consume(recorder)
      const complete = SendOperation.prototype.complete
      const mock = t.mock.method(
        SendOperation.prototype,
        'complete',
        function (this: SendOperation): void {
          complete.call(this, -errno, 0)
        },
      )
      await assert.rejects(client.write(new Uint8Array(1)), { errno: -errno })
      mock.mock.restore()

      // As the kernel's answer to a receive after that.
      await server.shutdown()

      if (errno === ETIMEDOUT)
        assert.equal(((await recorder.ended) as Error & { errno: number }).errno, -errno)
      else await assert.rejects(client.read(), { errno: -errno })
    }
  })
})

test('writes of many kinds arrive in order through a small send buffer', async () => {
  await using pair = await Pair.open()
  const { client, server } = pair
  client.setSendBufferBytes(4096)
  const sizes = [10, 300_000, 0, 20, 5_000, 700_000, 1, 1, 65_536, 100_000]
  const total = sizes.reduce((sum, size) => sum + size, 0)
  let at = 0

  const writes = sizes.map((size) => {
    const data = pattern(at, size)
    at += size
    return client.write(data)
  })
  await readPattern(server, total)
  await Promise.all(writes)

  assert.equal(client.bytesWritten, total)
})
