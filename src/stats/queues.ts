/**
 * The counters of an executor's task queues: a record for each of up to 64 of them, and one that has the sum of the rest.
 */
import { assert } from '../base/index.ts'
import { type CounterPlace, type Counters, describeCounter } from './counters.ts'
import { readName, writeName } from './names.ts'

/** How many queues have a record of their own. */
export const QUEUE_COUNT_MAX = 64

// Fields of a record, which is two lines long; the name is the second.
export const QUEUE_RUNTIME_NS = 0
export const QUEUE_TURNS = 1
export const QUEUE_SETTLED = 2
export const QUEUE_TASKS = 3
export const QUEUE_SHARES = 4
/** Its number, by which the control block names the one whose turn runs. */
export const QUEUE_NUMBER = 5
const QUEUE_IS_USED = 7
const QUEUE_NAME = 8
const RECORD_DOUBLES = 16
const RECORDS_INDEX = 128
const REST_INDEX = RECORDS_INDEX + QUEUE_COUNT_MAX * RECORD_DOUBLES
/** What the sum of all others is called. */
const REST_NAME = '(others)'

/** The counters of each queue; the indexes are fields of its record. */
export const QUEUE_COUNTERS: readonly CounterPlace[] = [
  describeCounter(
    'counter',
    'percore_queue_runtime_seconds_total',
    'Time that turns of the task queue took.',
    QUEUE_RUNTIME_NS,
  ),
  describeCounter('counter', 'percore_queue_turns_total', 'Turns of the task queue.', QUEUE_TURNS),
  describeCounter(
    'counter',
    'percore_queue_settled_total',
    'Waits that turns of the task queue have settled, starts of tasks included.',
    QUEUE_SETTLED,
  ),
  describeCounter(
    'gauge',
    'percore_queue_tasks',
    'Tasks of the task queue that have not ended.',
    QUEUE_TASKS,
  ),
  describeCounter('gauge', 'percore_queue_shares', 'Shares of the task queue.', QUEUE_SHARES),
]

/** Fields that only grow. */
const GROWING = QUEUE_COUNTERS.filter(({ kind }) => kind === 'counter').flatMap(
  ({ indexes }) => indexes,
)

/** Where one queue counts. */
export interface QueueRecord {
  readonly home: Counters
  /** Of its first field. */
  readonly index: number
  /** Where it is counted once more, with others that have no record: else null. */
  readonly rest: Counters | null
}

/** The queues of one name that have records. */
interface Namesakes {
  count: number
  /** Where what those have counted that were removed before the others is kept, or -1: the sum of all never shrinks. */
  removedIndex: number
}

/** Gives queues their records. Belongs to the executor's thread; O(1). */
export class QueueRecords {
  readonly #home: Counters
  readonly #free: number[] = []
  readonly #byName = new Map<string, Namesakes>()
  #usedCount = 0

  constructor(home: Counters) {
    this.#home = home
  }

  /** A record for a queue of this name, all zero. */
  take(name: string, queueNumber: number): QueueRecord {
    const number = this.#free.pop() ?? this.#usedCount
    assert(number <= QUEUE_COUNT_MAX, 'there are so many records')
    if (number === QUEUE_COUNT_MAX) {
      markUsed(this.#home.counters, REST_INDEX, REST_NAME, -1)
      return { home: { counters: new Float64Array(RECORD_DOUBLES) }, index: 0, rest: this.#home }
    }
    if (number === this.#usedCount) this.#usedCount++
    const index = RECORDS_INDEX + number * RECORD_DOUBLES
    const { counters } = this.#home
    markUsed(counters, index, name, queueNumber)
    // As others see it, cut.
    const shown = readName(counters, index + QUEUE_NAME)
    const namesakes = this.#byName.get(shown) ?? { count: 0, removedIndex: -1 }
    namesakes.count++
    this.#byName.set(shown, namesakes)
    return { home: this.#home, index, rest: null }
  }

  /**
   * Lets another queue have the record, unless others of its name are left, among whose counts its own stay; returns a copy, for
   * what is left of this one.
   */
  release(record: QueueRecord): QueueRecord {
    const { home, index, rest } = record
    const counters = home.counters.slice(index, index + RECORD_DOUBLES)
    if (rest === null) {
      assert(home.counters[index + QUEUE_IS_USED] === 1, 'a record is released once')
      this.#leave(index)
    } else {
      addToRest(rest, QUEUE_SHARES, -counters[QUEUE_SHARES]!)
    }
    return { home: { counters }, index: 0, rest: null }
  }

  #leave(index: number): void {
    const { counters } = this.#home
    const shown = readName(counters, index + QUEUE_NAME)
    const namesakes = this.#byName.get(shown)
    assert(namesakes !== undefined, 'a queue with a record is counted by its name')
    namesakes.count--
    const { count, removedIndex } = namesakes
    if (count === 0) {
      this.#byName.delete(shown)
      if (removedIndex !== -1) this.#empty(removedIndex)
      this.#empty(index)
    } else if (removedIndex === -1) {
      namesakes.removedIndex = index
      counters[index + QUEUE_TASKS] = 0
      counters[index + QUEUE_SHARES] = 0
      counters[index + QUEUE_NUMBER] = -1
    } else {
      for (const field of GROWING) counters[removedIndex + field]! += counters[index + field]!
      this.#empty(index)
    }
  }

  #empty(index: number): void {
    this.#home.counters.fill(0, index, index + RECORD_DOUBLES)
    this.#free.push((index - RECORDS_INDEX) / RECORD_DOUBLES)
  }

  /** Checks which records are whose. O(records): for audits. */
  audit(): void {
    const { counters } = this.#home
    assert(this.#usedCount <= QUEUE_COUNT_MAX, 'there are so many records')
    const free = new Set(this.#free)
    assert(free.size === this.#free.length, 'a record is free once')
    for (let number = 0; number < this.#usedCount; number++) {
      const isUsed = counters[RECORDS_INDEX + number * RECORD_DOUBLES + QUEUE_IS_USED] === 1
      assert(isUsed !== free.has(number), 'a record is free, or that of a queue')
    }
    let usedCount = 0
    for (const { count, removedIndex } of this.#byName.values()) {
      assert(count > 0, 'a name is known while a queue has it')
      usedCount += count + (removedIndex === -1 ? 0 : 1)
    }
    assert(usedCount === this.#usedCount - free.size, 'records are counted by their names')
  }
}

/** Counts a queue without a record among the others. */
export function addToRest(rest: Counters, field: number, amount: number): void {
  rest.counters[REST_INDEX + field]! += amount
}

/** The name of each queue with its fields, as another thread sees them. */
export function* readQueues(
  counters: Float64Array,
): Generator<{ readonly name: string; readonly fields: Float64Array }> {
  assert(counters.length >= REST_INDEX + RECORD_DOUBLES, 'all records are among the counters')
  for (let index = RECORDS_INDEX; index <= REST_INDEX; index += RECORD_DOUBLES) {
    if (counters[index + QUEUE_IS_USED] !== 1) continue
    const fields = counters.subarray(index, index + QUEUE_NAME)
    yield { name: readName(counters, index + QUEUE_NAME), fields }
  }
}

/** The name of the queue with a number, if it has a record of its own. */
export function nameOfQueue(counters: Float64Array, number: number): string | null {
  for (const { name, fields } of readQueues(counters)) {
    if (fields[QUEUE_NUMBER] === number) return name
  }
  return null
}

function markUsed(counters: Float64Array, index: number, name: string, number: number): void {
  writeName(counters, index + QUEUE_NAME, name)
  counters[index + QUEUE_NUMBER] = number
  counters[index + QUEUE_IS_USED] = 1
}
