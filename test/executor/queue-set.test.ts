import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QueueSet } from '../../src/executor/queue-set.ts'
import type { TaskQueue } from '../../src/executor/task-queue.ts'

/** A queue with a latency class that counts how often it is asked for it. */
class Asked {
  askedCount = 0
  readonly isLatencySensitive = true
  readonly currentShares = { dueNs: Number.POSITIVE_INFINITY }
  readonly #latencyNs: number

  constructor(latencyNs: number) {
    this.#latencyNs = latencyNs
  }

  get latencyNs(): number {
    this.askedCount++
    return this.#latencyNs
  }
}

function fill(latencies: readonly number[]): [QueueSet, Asked[]] {
  const set = new QueueSet()
  const queues = latencies.map((latencyNs) => new Asked(latencyNs))
  for (const queue of queues) set.add(queue as unknown as TaskQueue)
  return [set, queues]
}

test('latencyNsMin is that of the queues that are left', () => {
  const [set, queues] = fill([5, 2, 2, 7])
  const minima = queues.map((queue) => {
    set.delete(queue as unknown as TaskQueue)
    return set.latencyNsMin
  })

  assert.deepEqual(minima, [2, 2, 7, Number.POSITIVE_INFINITY])
})

test('delete() looks at no other queue of the same class', () => {
  const [set, queues] = fill(new Array(1000).fill(1))

  for (const queue of queues) set.delete(queue as unknown as TaskQueue)

  const askedCount = queues.reduce((sum, queue) => sum + queue.askedCount, 0)
  assert.ok(askedCount <= 4000, `${askedCount} looks at 1,000 queues`)
  assert.equal(set.latencyNsMin, Number.POSITIVE_INFINITY)
})
