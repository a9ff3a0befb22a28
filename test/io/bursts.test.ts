import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bursts } from '../../src/io/bursts.ts'
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

/** Reads so often, and returns how many system calls that took. */
function callsFor(readCount: number, ring: CountingRing, bursts: Bursts): number {
  const from = ring.callCount
  for (let index = 0; index < readCount; index++) {
    ring.unsubmittedCount++
    bursts.submit(ring as unknown as Ring)
  }
  return ring.callCount - from
}

test('Bursts submits every fourth read of a device that takes its time', () => {
  const ring = new CountingRing()
  ring.completedPart = 0.5

  assert.equal(callsFor(400, ring, new Bursts()), 100)
})

test('Bursts submits more at once where reads complete at once', () => {
  const ring = new CountingRing()
  const bursts = new Bursts()
  callsFor(100, ring, bursts)

  assert.equal(callsFor(320, ring, bursts), 10)
})

test('Bursts goes back to few when reads take their time again', () => {
  const ring = new CountingRing()
  const bursts = new Bursts()
  callsFor(100, ring, bursts)
  ring.completedPart = 0
  callsFor(32, ring, bursts)

  assert.equal(callsFor(40, ring, bursts), 10)
})
