import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Executor } from '../../src/executor/index.ts'
import { slotOf, WORD_DOORBELL } from '../../src/kernel/index.ts'
import { type Doorbell, ringDoorbell } from '../../src/reactor/index.ts'
import { SimKernel } from '../../src/sim/index.ts'

/** Which all threads ring that end. */
const INBOX_OF_ENDS = 0

test('add() gives an inbox that can be rung though who had its number ended while ringing', () => {
  const executor = new Executor({
    name: 'receiver',
    kernel: new SimKernel({ seed: 1 }),
    ringDepth: 8,
    ioMemoryBytes: 1 << 16,
  })
  const { doorbell, kernel } = executor
  const slot = kernel.directory.slot(slotOf(doorbell.address))
  const inbox = { collect() {} }
  const first = doorbell.add(inbox)
  // All that a sender did which was terminated before it could set the doorbell.
  Atomics.or(slot.inboxes, first >> 5, 1 << (first & 31))
  doorbell.remove(first)
  const second = doorbell.add(inbox)

  ringDoorbell(slot, second)

  assert.equal(second, first)
  assert.notEqual(Atomics.load(slot.words, WORD_DOORBELL), 0)
  executor.leave()
})

test('the end of a thread is heard by an inbox of many, one of whose senders ended while ringing', () => {
  const executor = new Executor({
    name: 'receiver',
    kernel: new SimKernel({ seed: 1 }),
    ringDepth: 8,
    ioMemoryBytes: 1 << 16,
  })
  const { doorbell, kernel } = executor
  const slot = kernel.directory.slot(slotOf(doorbell.address))
  let collectCount = 0
  const number = doorbell.addForMany({
    collect() {
      collectCount++
    },
  })
  const answer = (): void => (doorbell as Doorbell).answer()
  // All that one sender did which was terminated before it could set the doorbell; so the next one does not ring at all.
  Atomics.or(slot.inboxes, number >> 5, 1 << (number & 31))
  ringDoorbell(slot, number)
  answer()
  const before = collectCount

  ringDoorbell(slot, INBOX_OF_ENDS)
  answer()
  const atEnd = collectCount
  ringDoorbell(slot, number)
  answer()

  assert.deepEqual([before, atEnd, collectCount], [0, 1, 2])
  executor.leave()
})
