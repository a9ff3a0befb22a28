import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Dispatched,
  Dispatcher,
  type DispatcherHome,
} from '../../src/io/devices/dispatcher.ts'
import { ENOMEM, kernelError } from '../../src/kernel/index.ts'
import type { Ring } from '../../src/ring/index.ts'

/** A ring that counts its system calls, each of which completes a part of what it submits. */
class CountingRing {
  unsubmittedCount = 0
  readyCount = 0
  callCount = 0
  completedPart = 1

  submit(): void {
    this.callCount++
    this.readyCount += Math.floor(this.unsubmittedCount * this.completedPart)
    this.unsubmittedCount = 0
  }
}

/** A dispatcher of a device that nobody has measured. */
function passing(): Dispatcher {
  return new Dispatcher(null as never, { limits: null, words: new Int32Array(16) })
}

/** Reads so often, and returns how many system calls that took. */
function callsFor(
  readCount: number,
  ring: CountingRing,
  dispatcher: Dispatcher,
  isMetered = true,
): number {
  const from = ring.callCount
  const read = {
    isMetered,
    submitsEarly: true,
    issue: (): Ring => {
      ring.unsubmittedCount++
      return ring as unknown as Ring
    },
  }
  for (let index = 0; index < readCount; index++) {
    dispatcher.submit(read as unknown as Dispatched)
  }
  return ring.callCount - from
}

test('submit() submits every fourth read of a device that takes its time', () => {
  const ring = new CountingRing()
  ring.completedPart = 0.5

  assert.equal(callsFor(400, ring, passing()), 100)
})

test('submit() submits more at once where reads complete at once', () => {
  const ring = new CountingRing()
  const dispatcher = passing()
  callsFor(100, ring, dispatcher)

  assert.equal(callsFor(320, ring, dispatcher), 10)
})

test('submit() goes back to few when reads take their time again', () => {
  const ring = new CountingRing()
  const dispatcher = passing()
  callsFor(100, ring, dispatcher)
  ring.completedPart = 0
  callsFor(32, ring, dispatcher)

  assert.equal(callsFor(40, ring, dispatcher), 10)
})

test('submit() keeps what it learns of the page cache from reads of the device itself', () => {
  const ring = new CountingRing()
  const dispatcher = passing()
  callsFor(100, ring, dispatcher, false)
  ring.completedPart = 0.5
  const deviceCallCount = callsFor(40, ring, dispatcher)
  ring.completedPart = 1

  assert.equal(deviceCallCount, 10)
  assert.equal(callsFor(320, ring, dispatcher, false), 10)
})

const DISK = { bytesPerSecond: 1e9, operationsPerSecond: 100_000 }

/** A dispatcher of a measured device, and how often it has asked for the time, which stands still. */
class Measured {
  clockCount = 0
  readonly ring = new CountingRing()
  readonly dispatcher: Dispatcher

  constructor() {
    const nowNs = 1e12
    const home = {
      waits: { closeReason: null, addList: () => {}, removeList: () => {} },
      timers: { arm: () => {}, disarm: () => {} },
      defaultQueue: null,
      io: {
        control: {
          doubles: new Float64Array(1024).fill(nowNs),
          counters: new Float64Array(128),
        },
      },
      nowNs: () => {
        this.clockCount++
        return nowNs
      },
    }
    this.dispatcher = new Dispatcher(home as unknown as DispatcherHome, {
      limits: { read: DISK, write: DISK },
      words: new Int32Array(16),
    })
  }

  read(queue: object, isMetered: boolean, issue?: () => Ring): Dispatched {
    const ring = this.ring as unknown as Ring
    const read = { queue, isMetered, isTransfer: true, isWrite: false, lengthBytes: 1024 * 1024 }
    return { ...read, slot: -1, submitsEarly: false, issue: issue ?? (() => ring) } as never
  }
}

function makeQueue(): object {
  return { shares: 1000, isLatencySensitive: false, ioCaps: null, countHeld: () => {} }
}

test('submit() gives back what it has charged for a request that the ring refuses', () => {
  const device = new Measured()
  const { dispatcher } = device
  const alone = makeQueue()
  const refused = device.read(alone, true, () => {
    throw kernelError(-ENOMEM, { syscall: 'io_uring_enter' })
  })
  for (let count = 0; count < 100; count++) {
    assert.throws(() => dispatcher.submit(refused), { code: 'ENOMEM' })
  }
  let issuedCount = 0
  const other = device.read(makeQueue(), true, () => {
    issuedCount++
    return device.ring as unknown as Ring
  })

  dispatcher.submit(other)

  // Nothing is in flight, so that there is room for it.
  assert.deepEqual([issuedCount, dispatcher.queuedCount], [1, 0])
})

test('submit() asks for no time where the page cache answers', () => {
  const device = new Measured()
  const queues = [makeQueue(), makeQueue()]
  let issuedCount = 0
  const issue = (): Ring => {
    issuedCount++
    return device.ring as unknown as Ring
  }

  for (let count = 0; count < 10; count++) {
    device.dispatcher.submit(device.read(queues[count % 2]!, false, issue))
  }

  assert.deepEqual([issuedCount, device.clockCount], [10, 0])
})
