/** The records of task queues: what only grows never shrinks as queues of one name come and go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  countQueue,
  QUEUE_COUNT_MAX,
  QUEUE_COUNTERS,
  QUEUE_HELD,
  type QueueRecord,
  QueueRecords,
  readQueue,
  readQueues,
} from '../../src/stats/queues.ts'

const LENGTH = 2048
const GROWING = QUEUE_COUNTERS.filter(({ kind }) => kind === 'counter').flatMap(
  ({ indexes }) => indexes,
)

/** What the queues of a name have counted, all together, by their fields. */
function sums(counters: Float64Array, name: string): Record<number, number> {
  const result: Record<number, number> = {}
  for (const queue of readQueues(counters)) {
    if (queue.name !== name) continue
    for (const field of [...GROWING, QUEUE_HELD]) {
      result[field] = (result[field] ?? 0) + queue.fields[field]!
    }
  }
  return result
}

/** Counts a different amount in each field. */
function countAll(record: QueueRecord, factor: number): void {
  for (const field of GROWING) countQueue(record, field, factor * (field + 1))
}

test('what queues have counted that were removed is kept among those of their name', () => {
  const home = { counters: new Float64Array(LENGTH) }
  const records = new QueueRecords(home)
  const taken = [1, 2, 3, 4].map((number) => records.take('same', number))
  for (const [index, record] of taken.entries()) countAll(record, 10 ** index)
  for (const record of taken) countQueue(record, QUEUE_HELD, 1)

  const left = taken.slice(0, 3).map((record) => records.release(record))

  const expected = Object.fromEntries(GROWING.map((field) => [field, 1111 * (field + 1)]))
  assert.deepEqual(sums(home.counters, 'same'), { ...expected, [QUEUE_HELD]: 1 })
  // What is left of them has its own.
  for (const [index, record] of left.entries()) {
    for (const field of GROWING) assert.equal(readQueue(record, field), 10 ** index * (field + 1))
  }
  records.audit()
})

test('the last queue of a name takes with it what those before it have counted', () => {
  const home = { counters: new Float64Array(LENGTH) }
  const records = new QueueRecords(home)
  const taken = [1, 2, 3].map((number) => records.take('same', number))
  for (const record of taken) countAll(record, 1)

  for (const record of taken) records.release(record)
  const again = Array.from({ length: QUEUE_COUNT_MAX }, (_, number) => records.take('same', number))

  const expected = Object.fromEntries([...GROWING, QUEUE_HELD].map((field) => [field, 0]))
  assert.deepEqual(sums(home.counters, 'same'), expected)
  assert.ok(again.every(({ rest }) => rest === null))
  records.audit()
})

test('what queues without a record have counted is kept among the others', () => {
  const home = { counters: new Float64Array(LENGTH) }
  const records = new QueueRecords(home)
  for (let number = 0; number < QUEUE_COUNT_MAX; number++) records.take(`own ${number}`, number)
  const [one, two] = [records.take('one', 100), records.take('two', 101)]
  for (const record of [one, two]) countAll(record, 1)
  countQueue(one, QUEUE_HELD, 3)

  const left = records.release(one)

  const expected = Object.fromEntries(GROWING.map((field) => [field, 2 * (field + 1)]))
  assert.deepEqual(sums(home.counters, '(others)'), { ...expected, [QUEUE_HELD]: 0 })
  for (const field of GROWING) assert.equal(readQueue(left, field), field + 1)
})
