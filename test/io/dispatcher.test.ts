import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Dispatched, Dispatcher } from '../../src/io/dispatcher.ts'
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
function callsFor(readCount: number, ring: CountingRing, dispatcher: Dispatcher): number {
  const from = ring.callCount
  const read = {
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
