import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Audit, type AuditSources } from '../../src/executor/audit.ts'

const nothing = { audit: (): void => {} }

interface FakeQueue {
  readonly length: number
  readonly heapIndex: number
  readonly taskCount?: number
}

function sourcesOf(waitingCount: number, liveCount: number, queues: FakeQueue[]): AuditSources {
  const audited = queues.map((queue) => ({ taskCount: 0, ...queue, ...nothing }))
  return {
    queues: Object.assign(new Set(audited), nothing),
    scheduler: nothing,
    waiting: { size: waitingCount },
    reactor: nothing,
    waits: { ...nothing, tasks: () => ({ length: liveCount }) },
    records: nothing,
  }
}

function auditOf(waitingCount: number, ...queues: FakeQueue[]): Audit {
  return new Audit(sourcesOf(waitingCount, 0, queues))
}

test('check() passes where all counts agree', () => {
  auditOf(1, { length: 3, heapIndex: 0 }, { length: 0, heapIndex: -1 }).check(1)
})

test('check() fails when a queue with waiters does not wait for a turn', () => {
  assert.throws(() => auditOf(1, { length: 1, heapIndex: -1 }).check(1), { name: 'AssertionError' })
})

test('check() fails when a queue without waiters waits for a turn', () => {
  assert.throws(() => auditOf(0, { length: 0, heapIndex: 0 }).check(0), { name: 'AssertionError' })
})

test('check() fails when the hook knows of fewer queues than are runnable', () => {
  assert.throws(() => auditOf(1, { length: 1, heapIndex: 0 }).check(0), { name: 'AssertionError' })
})

test('check() fails when a queue counts fewer tasks than have not ended', () => {
  const queues = [{ length: 0, heapIndex: -1, taskCount: 1 }]
  const audit = new Audit(sourcesOf(0, 2, queues))

  assert.throws(() => audit.check(0), { name: 'AssertionError' })
})

test('check() looks at what is in flight in one turn of 64', () => {
  let count = 0
  const audit = new Audit({ ...sourcesOf(0, 0, []), reactor: { audit: () => count++ } })

  for (let turn = 0; turn < 640; turn++) audit.check(0)

  assert.equal(count, 10)
})
