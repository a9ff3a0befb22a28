/** An end whose attach is refused for want of an inbox is left to others, and so are all that came with it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attachBroadcastReceiver,
  attachBroadcastSender,
  attachMpscReceiver,
  attachMpscSender,
  attachOneshotReceiver,
  attachOneshotSender,
  attachReceiver,
  attachSender,
  attachWatchReader,
  createBroadcast,
  createMesh,
  createMpscChannel,
  createSharedChannel,
  createSharedOneshot,
  createSharedWatch,
  joinMesh,
} from '../../src/channels/index.ts'
import { executor } from '../../src/index.ts'
import { runThreads } from './shared-world.ts'

/** Leaves the executor so many inboxes; what it returns gives the others back. */
function takeInboxes(leftCount: number): () => void {
  const { doorbell } = executor()
  const taken: number[] = []
  try {
    for (;;) taken.push(doorbell.add({ collect() {} }))
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'ERR_LIMIT_EXCEEDED')
  }
  const giveBack = (count: number): void => {
    for (const number of taken.splice(0, count)) doorbell.remove(number)
  }
  giveBack(leftCount)
  return () => giveBack(taken.length)
}

/** Attaches with too few inboxes, and again with enough of them. */
function attachTwice(leftCount: number, attach: () => Disposable): void {
  const giveBack = takeInboxes(leftCount)
  try {
    assert.throws(attach, { code: 'ERR_LIMIT_EXCEEDED' })
    // Nothing of it is left: neither an end, nor an inbox.
    assert.throws(attach, { code: 'ERR_LIMIT_EXCEEDED' })
  } finally {
    giveBack()
  }
  attach()[Symbol.dispose]()
}

const numbers = { capacity: 2, codec: 'numbers' } as const

test('attachSender() and attachReceiver() leave the end to others where there is no inbox', () => {
  const channel = createSharedChannel(numbers)

  attachTwice(0, () => attachSender(channel))
  attachTwice(0, () => attachReceiver(channel))
})

test('ends of a oneshot, and readers of a watch, are left to others where there is no inbox', () => {
  const oneshot = createSharedOneshot()
  const watch = createSharedWatch({ readers: 1 })

  attachTwice(0, () => attachOneshotSender(oneshot))
  attachTwice(0, () => attachOneshotReceiver(oneshot))
  attachTwice(0, () => attachWatchReader(watch))
})

test('attachMpscSender() and attachBroadcastReceiver() leave their place to others', () => {
  const many = createMpscChannel({ ...numbers, senders: 1 })
  const all = createBroadcast({ ...numbers, receivers: 1 })

  attachTwice(0, () => attachMpscSender(many))
  attachTwice(0, () => attachBroadcastReceiver(all))
})

test('who attaches to many ends has all of them or none', () => {
  const many = createMpscChannel({ ...numbers, senders: 3 })
  const all = createBroadcast({ ...numbers, receivers: 3 })

  attachTwice(2, () => attachMpscReceiver(many))
  attachTwice(2, () => attachBroadcastSender(all))
})

test('joinMesh() has a place whole or not at all, and the next one that joins is heard', async () => {
  for (const leftCount of [0, 1, 2, 3]) {
    const mesh = createMesh({ ...numbers, shards: 2 })
    await runThreads(leftCount, [
      async () => {
        const giveBack = takeInboxes(leftCount)
        assert.throws(() => joinMesh(mesh, 0), { code: 'ERR_LIMIT_EXCEEDED' })
        giveBack()
        const self = joinMesh(mesh, 0)
        await self.send(1, 5)
        assert.deepEqual(await self.receiver.receive(), { from: 1, value: 6 })
      },
      async () => {
        const self = joinMesh(mesh, 1)
        await self.send(0, 6)
        assert.deepEqual(await self.receiver.receive(), { from: 0, value: 5 })
      },
    ])
  }
})

test('a place that was given back is the next one’s, whatever order they come in', () => {
  const channel = createMpscChannel({ ...numbers, senders: 2 })
  attachMpscSender(channel)
  const giveBack = takeInboxes(0)
  assert.throws(() => attachMpscSender(channel), { code: 'ERR_LIMIT_EXCEEDED' })
  giveBack()

  attachMpscSender(channel)

  assert.throws(() => attachMpscSender(channel), { code: 'ERR_LIMIT_EXCEEDED' })
})
