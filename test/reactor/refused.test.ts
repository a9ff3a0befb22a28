/** A ring that takes nothing for a moment: neither the loop nor who asks for the time stops over it. */

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createTaskQueue, executor, needPreempt, spawnInto } from '../../src/executor/index.ts'
import { EAGAIN, ENOMEM, kernelError, WORD_ARMED } from '../../src/kernel/index.ts'
import { encodeNop } from '../../src/ring/index.ts'
import { sleep } from '../../src/time/index.ts'
import { reactorOf } from '../reactor-of.ts'
import { refuseEntries } from '../ring/refuse.ts'

test('events of Node arrive although the poll for them was refused', async (t) => {
  const { main } = executor().io
  await sleep(1)
  const begin = main.begin.bind(main)
  let refusedCount = 0
  t.mock.method(main, 'begin', () => {
    if (refusedCount === 3) return begin()
    refusedCount++
    throw kernelError(-ENOMEM, { syscall: 'io_uring_enter' })
  })

  // It is armed again after an event that came while the thread was parked, which not each does.
  while (refusedCount < 3) await readFile(import.meta.filename)

  await readFile(import.meta.filename)
})

test('a ring that the loop has no memory for leaves neither descriptor nor registered place', async (t) => {
  const { host } = reactorOf(executor())
  const urgent = createTaskQueue('unserved', { latency: { maxMs: 1 } })
  const refusal = t.mock.method(host, 'addRing', () => -ENOMEM)
  const descriptorCount = (): number => readdirSync('/proc/self/fd').length
  const before = descriptorCount()

  // More often than a thread may have rings registered.
  for (let count = 0; count < 20; count++) {
    assert.throws(() => reactorOf(executor()).latency, { code: 'ERR_MEMLOCK_LIMIT' })
  }

  assert.equal(descriptorCount(), before)
  refusal.mock.restore()
  await spawnInto(urgent, () => sleep(0.1))
  assert.notEqual(reactorOf(executor()).latency.entry.enterFlags, 0)
})

test('needPreempt() says when a slice is over although its tick was refused', async (t) => {
  const urgent = createTaskQueue('urgent', { latency: { maxMs: 1 } })
  await spawnInto(urgent, () => sleep(0.1))
  const { latency } = reactorOf(executor())
  await spawnInto(urgent, () => {
    while (!needPreempt());
  })
  const isRefused = refuseEntries(t, latency, 0, Number.POSITIVE_INFINITY)

  await spawnInto(urgent, () => {
    while (!needPreempt());
  })

  assert.ok(isRefused())
})

test('a poll that completes while room is made for it is armed again', async (t) => {
  const reactor = reactorOf(executor())
  const { main, control } = reactor
  const tryBegin = main.tryBegin.bind(main)
  const mock = t.mock.method(main, 'tryBegin', () => {
    const base = tryBegin()
    // As a completion does that the ring reaps to make room.
    control.words[WORD_ARMED] = 0
    return base
  })
  const arm = reactor.arm.bind(reactor)
  let isArmed = 1
  t.mock.method(reactor, 'arm', () => {
    const triesBefore = mock.mock.callCount()
    arm()
    if (mock.mock.callCount() > triesBefore) isArmed = control.words[WORD_ARMED]!
  })

  while (mock.mock.callCount() === 0) await readFile(import.meta.filename)

  assert.equal(isArmed, 0)
})

test('who can wait for room asks the kernel a few times only', (t) => {
  const { main } = executor().io
  const submit = t.mock.method(main, 'submit', () => -EAGAIN)
  while (main.unsubmittedCount < main.memory.layout.sqEntryCount) {
    encodeNop(main.sqes, main.begin())
    main.commitUnwatched()
  }

  assert.equal(main.tryBegin(), -1)
  assert.ok(submit.mock.callCount() < 10)
  submit.mock.restore()
  assert.notEqual(main.tryBegin(), -1)
})
