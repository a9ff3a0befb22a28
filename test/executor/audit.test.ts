import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Audit, type AuditSources } from '../../src/executor/audit.ts'

const nothing = { audit: (): void => {} }

function auditOf(waitingCount: number, ...queues: { length: number; heapIndex: number }[]): Audit {
  const sources: AuditSources = {
    queues: new Set(queues.map((queue) => ({ ...queue, ...nothing }))),
    scheduler: nothing,
    waiting: { size: waitingCount },
    reactor: nothing,
    waits: nothing,
  }
  return new Audit(sources)
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

test('check() looks at what is in flight in one turn of 64', () => {
  let count = 0
  const audit = new Audit({
    queues: new Set(),
    scheduler: nothing,
    waiting: { size: 0 },
    reactor: { audit: () => count++ },
    waits: nothing,
  })

  for (let turn = 0; turn < 640; turn++) audit.check(0)

  assert.equal(count, 10)
})
