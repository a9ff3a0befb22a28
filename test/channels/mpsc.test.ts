import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attachMpscReceiver,
  attachMpscSender,
  createMpscChannel,
} from '../../src/channels/index.ts'
import { placesOf, takePlace } from '../../src/channels/ring-table.ts'
import { abandonEnd, SpscNumberProducer } from '../../src/channels/shared/index.ts'
import { seedCount } from '../limits.ts'
import { runThreads } from './shared-world.ts'

test('all that many threads send to one arrives, what each sends in order', async () => {
  for (let seed = 0; seed < seedCount(50); seed++) {
    const channel = createMpscChannel({ senders: 3, capacity: 2, codec: 'numbers' })
    const next = [0, 0, 0]
    await runThreads(seed, [
      async () => {
        for await (const value of attachMpscReceiver(channel)) {
          const sender = Math.floor(value / 1000)
          assert.equal(value % 1000, next[sender]!++)
        }
      },
      ...next.map((_, index) => async () => {
        const sender = attachMpscSender(channel)
        for (let value = 0; value < 20 + index; value++) await sender.send(index * 1000 + value)
        sender.close()
      }),
    ])
    assert.deepEqual(next, [20, 21, 22])
  }
})

test('more senders than the channel is for are refused', () => {
  const channel = createMpscChannel<string>({ senders: 1, capacity: 2 })
  attachMpscSender(channel)

  assert.throws(() => attachMpscSender(channel), { code: 'ERR_LIMIT_EXCEEDED' })
  attachMpscReceiver(channel)
  assert.throws(() => attachMpscReceiver(channel), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachMpscReceiver({} as never), TypeError)
  assert.throws(() => createMpscChannel({ senders: 0, capacity: 2 }), RangeError)
  assert.throws(() => createMpscChannel({ capacity: 2 } as never), TypeError)
})

test('a place that is abandoned as a thread comes to it leaves that the next one', () => {
  const channel = createMpscChannel({ senders: 2, capacity: 2, codec: 'numbers' })
  const [first] = placesOf(channel, 'producer')
  const tried: number[] = []

  const producer = takePlace('attach', channel, 'producer', ({ ring }) => {
    tried.push(ring.offsetBytes)
    // For another thread, which has ended: between the look at the place and its claim.
    if (tried.length === 1) assert.ok(abandonEnd(first!.words, first!.claim))
    return SpscNumberProducer.attach(ring)
  })

  assert.ok(producer instanceof SpscNumberProducer)
  assert.equal(new Set(tried).size, 2)
  assert.throws(() => attachMpscSender(channel), { code: 'ERR_LIMIT_EXCEEDED' })
})
