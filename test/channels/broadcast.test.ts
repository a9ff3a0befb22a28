import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attachBroadcastReceiver,
  attachBroadcastSender,
  createBroadcast,
} from '../../src/channels/index.ts'
import { seedCount } from '../limits.ts'
import { settle, watch } from '../sync/watch.ts'
import { runThreads } from './shared-world.ts'

test('each receiver gets all that is sent, in order, whoever sleeps', async () => {
  for (let seed = 0; seed < seedCount(50); seed++) {
    const channel = createBroadcast({ receivers: 3, capacity: 2, codec: 'numbers' })
    const receive = async (): Promise<void> => {
      let next = 0
      for await (const value of attachBroadcastReceiver(channel)) assert.equal(value, next++)
      assert.equal(next, 20)
    }
    await runThreads(seed, [
      async () => {
        using sender = attachBroadcastSender(channel)
        for (let value = 0; value < 20; value++) await sender.send(value)
      },
      receive,
      receive,
      receive,
    ])
  }
})

test('a receiver whose thread ends, and one that closes, is waited for no more', async () => {
  for (let seed = 0; seed < seedCount(50); seed++) {
    const channel = createBroadcast({ receivers: 2, capacity: 1, codec: 'numbers' })
    await runThreads(seed, [
      async () => {
        const sender = attachBroadcastSender(channel)
        const sendAll = async (): Promise<void> => {
          for (let value = 0; ; value++) await sender.send(value)
        }
        await assert.rejects(sendAll(), { code: 'ERR_CHANNEL_CLOSED' })
        assert.equal(sender.isClosed, true)
      },
      async () => {
        const receiver = attachBroadcastReceiver(channel)
        await receiver.receive()
        receiver.close()
      },
      async ({ end }) => {
        const receiver = attachBroadcastReceiver(channel)
        for (let count = 0; count < 5; count++) await receiver.receive()
        end()
      },
    ])
  }
})

test('send() waits for the slowest, and can be aborted', async () => {
  const channel = createBroadcast({ receivers: 2, capacity: 1, codec: 'numbers' })
  const sender = attachBroadcastSender(channel)
  const fast = attachBroadcastReceiver(channel)
  const slow = attachBroadcastReceiver(channel)
  await sender.send(1)
  const second = watch(sender.send(2))
  const reason = new Error('enough')
  const controller = new AbortController()
  const third = sender.send(3, { signal: controller.signal })

  assert.equal(await fast.receive(), 1)
  await settle()
  assert.equal(second.state, 'pending')
  controller.abort(reason)
  await assert.rejects(third, reason)
  assert.equal(await slow.receive(), 1)
  assert.equal(await slow.receive(), 2)
  await settle()
  assert.equal(second.state, 'fulfilled')
})

test('more receivers than the broadcast is for, and what is none, are refused', () => {
  const channel = createBroadcast<string>({ receivers: 1, capacity: 2 })
  attachBroadcastReceiver(channel)
  attachBroadcastSender(channel)

  assert.throws(() => attachBroadcastReceiver(channel), { code: 'ERR_LIMIT_EXCEEDED' })
  assert.throws(() => attachBroadcastSender(channel), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachBroadcastSender({} as never), TypeError)
  assert.throws(() => createBroadcast({ receivers: 0, capacity: 2 }), RangeError)
})
