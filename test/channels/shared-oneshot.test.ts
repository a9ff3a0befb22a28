import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attachOneshotReceiver,
  attachOneshotSender,
  createSharedOneshot,
} from '../../src/channels/index.ts'
import { spawn, yieldNow } from '../../src/index.ts'
import { seedCount } from '../limits.ts'
import { runThreads } from './shared-world.ts'

test('the value of one thread reaches the other, whoever comes first', async () => {
  for (let seed = 0; seed < seedCount(100); seed++) {
    const oneshot = createSharedOneshot<{ seed: number }>()
    let received: unknown
    await runThreads(seed, [
      async () => {
        received = await attachOneshotReceiver(oneshot).receive()
      },
      async () => {
        const sender = attachOneshotSender(oneshot)
        if (seed % 2 === 0) await yieldNow()
        sender.send({ seed })
      },
    ])
    assert.deepEqual(received, { seed })
  }
})

test('a sender whose thread ends fails the receiver, one that closes too', async () => {
  for (let seed = 0; seed < seedCount(50); seed++) {
    const isClosed = seed % 2 === 0
    const oneshot = createSharedOneshot<string>()
    await runThreads(seed, [
      async () => {
        const receiver = attachOneshotReceiver(oneshot)
        const code = isClosed ? 'ERR_CHANNEL_CLOSED' : 'ERR_PEER_ENDED'
        await assert.rejects(receiver.receive(), { code })
      },
      async ({ end }) => {
        const sender = attachOneshotSender(oneshot)
        if (isClosed) sender.close()
        else end()
      },
    ])
  }
})

test('the value is taken once, and sent once', async () => {
  const oneshot = createSharedOneshot<number>({ codec: 'numbers' })
  const sender = attachOneshotSender(oneshot)
  const receiver = attachOneshotReceiver(oneshot)
  const first = receiver.receive()
  const second = receiver.receive()
  sender.send(5)

  assert.equal(await first, 5)
  await assert.rejects(second, { code: 'ERR_CHANNEL_CLOSED' })
  await assert.rejects(receiver.receive(), { code: 'ERR_CHANNEL_CLOSED' })
  assert.throws(() => sender.send(6), { code: 'ERR_CHANNEL_CLOSED', value: 6 })
})

test('a receiver that closes refuses the value, which the sender has again', async () => {
  const oneshot = createSharedOneshot<string>()
  const sender = attachOneshotSender(oneshot)
  const receiver = attachOneshotReceiver(oneshot)
  const waiting = spawn(() => receiver.receive())
  await yieldNow()
  receiver.close()

  await assert.rejects(waiting, { code: 'ERR_CHANNEL_CLOSED' })
  assert.throws(() => sender.send('a'), { code: 'ERR_CHANNEL_CLOSED', value: 'a' })
})

test('a value that is too long is refused, and another may be sent', async () => {
  const oneshot = createSharedOneshot<Uint8Array>({ codec: 'bytes', valueBytes: 2 })
  const sender = attachOneshotSender(oneshot)

  assert.throws(() => sender.send(new Uint8Array(3)), RangeError)
  sender.send(new Uint8Array([1, 2]))

  const value = await attachOneshotReceiver(oneshot).receive()
  assert.deepEqual(value, new Uint8Array([1, 2]))
})

test('each end of a oneshot is attached to once, by what it is', () => {
  const oneshot = createSharedOneshot()
  attachOneshotSender(oneshot)
  attachOneshotReceiver(oneshot)

  assert.throws(() => attachOneshotSender(oneshot), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachOneshotReceiver(oneshot), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachOneshotSender({} as never), TypeError)
  assert.throws(() => createSharedOneshot({ codec: 'json' as never }), TypeError)
  assert.throws(() => createSharedOneshot({ valueBytes: -1 }), RangeError)
})

test('a codec that gives no bytes is refused, and the oneshot may be sent something else', async () => {
  const oneshot = createSharedOneshot<object>({ codec: 'custom' })
  const codec = {
    encode: (value: object) => (value instanceof Map ? Buffer.from('map') : JSON.stringify(value)),
    decode: (bytes: Uint8Array) => [Buffer.from(bytes).toString()],
  }
  const sender = attachOneshotSender(oneshot, { codec: codec as never })

  assert.throws(() => sender.send({ a: 1 }), { name: 'TypeError', message: /encode\(\)/ })

  sender.send(new Map())
  const receiver = attachOneshotReceiver(oneshot, { codec: codec as never })
  assert.deepEqual(await receiver.receive(), ['map'])
})
