/** What threads know of each other's use of a device. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeviceScheduler } from '../../src/io/devices/device-scheduler.ts'
import { DEVICE_WORDS, DeviceShare, EPOCH_US } from '../../src/io/devices/device-share.ts'

const MINUTE_US = 60e6
/** After so long the word of a bucket comes round again. */
const ROUND_US = 2 ** 32

test('fullUs() is never far ahead while another thread charges a bucket that nobody has used for long', (t) => {
  // Some word that is as old as that means a later moment by now.
  for (let idleUs = 2 * MINUTE_US; idleUs < ROUND_US; idleUs += 5 * MINUTE_US) {
    const words = new Int32Array(DEVICE_WORDS)
    const [charging, looking] = [new DeviceShare(words), new DeviceShare(words)]
    charging.take(1e9, 100)
    const nowUs = 1e9 + idleUs
    const seenUs: number[] = []
    const look = (): void => void seenUs.push(looking.fullUs(nowUs) - nowUs)
    for (const name of ['store', 'compareExchange'] as const) {
      const access = Atomics[name] as (...args: unknown[]) => unknown
      t.mock.method(Atomics, name, (...args: unknown[]) => {
        look()
        const value = access(...args)
        look()
        return value
      })
    }

    charging.take(nowUs, 100)
    t.mock.restoreAll()

    assert.equal(seenUs.length, 4)
    assert.ok(Math.max(...seenUs) <= 100, `${idleUs}: ${seenUs}`)
    assert.equal(looking.fullUs(nowUs), nowUs + 100)
  }
})

test('pump() looks again in an epoch, however far ahead the words say that the device is taken', () => {
  const nowUs = 1e9
  const disk = { bytesPerSecond: 1e9, operationsPerSecond: 100_000 }
  const words = new Int32Array(DEVICE_WORDS)
  const port = { issue: () => {} }
  const scheduler = new DeviceScheduler({ port, limits: { read: disk, write: disk }, words })
  new DeviceShare(words).take(nowUs, 30 * MINUTE_US)
  const read = { isMetered: true, isWrite: false, lengthBytes: 4096 }
  const owner = { shares: 1000, isLatencySensitive: false, countHeld() {}, countLimited() {} }
  const flows = [scheduler.createFlow(owner, null), scheduler.createFlow(owner, null)]

  for (const flow of flows) scheduler.offer(flow, { ...read, slot: -1 }, nowUs)

  assert.equal(scheduler.queuedCount, 1)
  assert.equal(scheduler.nextUs, nowUs + EPOCH_US)
})
