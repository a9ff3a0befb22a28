/** The process directory, as both kernels have it. */
import assert from 'node:assert/strict'
import {
  COUNTERS_OFFSET_BYTES,
  ENOSPC,
  EXECUTOR_COUNT_MAX,
  type ExecutorId,
  GENERATION_MAX,
  hasEnded,
  type Kernel,
  type LoopHost,
  slotOf,
  WORD_DOORBELL,
  WORD_GENERATION,
  WORD_HOLDER,
  WORD_RUNNABLE,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'

function attach(kernel: Kernel): LoopHost {
  const host = kernel.attachLoop(() => {})
  assert.ok(typeof host !== 'number', `no slot: ${String(host)}`)
  return host
}

contract('attachLoop() gives an executor an id that ends with it', (kernel) => {
  const host = attach(kernel)
  const { id } = host

  assert.ok(id > 0 && id < 2 ** 31)
  assert.equal(hasEnded(kernel.directory, id), false)
  assert.ok(slotOf(id) < kernel.directory.usedCount)
  host.detach()
  assert.equal(hasEnded(kernel.directory, id), true)
})

contract('attachLoop() gives ten thousand executors an id each, in the same slot', (kernel) => {
  const ids = new Set<ExecutorId>()
  const first = attach(kernel)
  first.detach()
  const { usedCount } = kernel.directory
  let last = first.id
  for (let count = 0; count < 10_000; count++) {
    const host = attach(kernel)
    assert.equal(hasEnded(kernel.directory, last), true)
    ids.add(host.id)
    last = host.id
    host.detach()
  }

  assert.equal(ids.size, 10_000)
  assert.equal(ids.has(first.id), false)
  assert.equal(kernel.directory.usedCount, usedCount)
})

contract('attachLoop() refuses one executor too many, until another has left', (kernel) => {
  const hosts = Array.from({ length: EXECUTOR_COUNT_MAX }, () => attach(kernel))

  assert.equal(
    kernel.attachLoop(() => {}),
    -ENOSPC,
  )
  const left = hosts.pop()!
  left.detach()
  const next = attach(kernel)
  assert.equal(slotOf(next.id), slotOf(left.id))
  assert.notEqual(next.id, left.id)
  for (const host of [...hosts, next]) host.detach()
})

contract('attachLoop() gives no slot whose ids are used up', (kernel) => {
  const host = attach(kernel)
  const { words } = kernel.directory.slot(slotOf(host.id))
  words[WORD_GENERATION] = GENERATION_MAX
  host.detach()

  const next = attach(kernel)

  assert.notEqual(slotOf(next.id), slotOf(host.id))
  next.detach()
})

contract('a slot is handed on empty, whatever its last executor left or writes later', (kernel) => {
  const host = attach(kernel)
  const slot = kernel.directory.slot(slotOf(host.id))
  const counters = new Float64Array(slot.memory, COUNTERS_OFFSET_BYTES)
  host.control.words[WORD_RUNNABLE] = 7
  Atomics.or(slot.inboxes, 100, 1)
  Atomics.or(slot.words, WORD_DOORBELL, 1)
  counters[9] = 7
  host.detach()

  const next = attach(kernel)
  host.control.words[WORD_RUNNABLE]!++
  host.control.inboxes[100] = 1

  assert.equal(slotOf(next.id), slotOf(host.id))
  assert.equal(host.control.words[WORD_RUNNABLE], 8, 'what is left of an executor keeps a copy')
  assert.equal(slot.words[WORD_HOLDER], next.id)
  assert.equal(slot.words[WORD_RUNNABLE], 0)
  assert.equal(slot.words[WORD_DOORBELL], 0)
  assert.equal(slot.inboxes[100], 0)
  assert.equal(counters[9], 0)
  next.detach()
})

contract('detach() rings inbox 0 of every other executor', (kernel) => {
  const [first, second, third] = [attach(kernel), attach(kernel), attach(kernel)]

  second.detach()

  for (const { control } of [first, third]) {
    assert.equal(control.inboxes[0], 1)
    assert.equal(control.words[WORD_DOORBELL], 1)
  }
  first.detach()
  third.detach()
})
