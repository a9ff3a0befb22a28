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
/** Reads and writes of files that are held back. */
export const QUEUE_HELD = 6
const QUEUE_IS_USED = 7
const QUEUE_NAME = 8
// What it moves to and from files has no room there, and lies behind all records: with its fields the numbers go on.
export const QUEUE_TRANSFERS = 8
export const QUEUE_BYTES_READ = 9
export const QUEUE_BYTES_WRITTEN = 10
export const QUEUE_HELD_NS = 11
export const QUEUE_LIMITED = 12
const FIELD_COUNT = 13
const RECORD_DOUBLES = 16
const FILES_DOUBLES = FIELD_COUNT - QUEUE_NAME
const RECORDS_INDEX = 128
const REST_INDEX = RECORDS_INDEX + QUEUE_COUNT_MAX * RECORD_DOUBLES
const FILES_INDEX = REST_INDEX + RECORD_DOUBLES
const REST_FILES_INDEX = FILES_INDEX + QUEUE_COUNT_MAX * FILES_DOUBLES
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
  describeCounter(
    'counter',
    'percore_queue_file_transfers_total',
    'Reads and writes of files of the task queue that have not failed.',
    QUEUE_TRANSFERS,
  ),
  describeCounter(
    'counter',
    'percore_queue_file_read_bytes_total',
    'Bytes that it has read from files.',
    QUEUE_BYTES_READ,
  ),
  describeCounter(
    'counter',
    'percore_queue_file_written_bytes_total',
    'Bytes that it has written to files.',
    QUEUE_BYTES_WRITTEN,
  ),
  describeCounter(
    'gauge',
    'percore_queue_file_held_requests',
    'Its reads and writes of files that are held back: for its share of a device, or by its own limits.',
    QUEUE_HELD,
  ),
  describeCounter(
    'counter',
    'percore_queue_file_held_seconds_total',
    'How long reads and writes of files were held back, all together, as far as they have gone on.',
    QUEUE_HELD_NS,
  ),
  describeCounter(
    'counter',
    'percore_queue_file_limited_total',
    'How often its own limits have held back whatever was next.',
    QUEUE_LIMITED,
  ),
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
  /** Of the first of those that are about files. */
  readonly filesIndex: number
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
      return { ...ownRecord(new Float64Array(RECORD_DOUBLES + FILES_DOUBLES)), rest: this.#home }
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
    return { home: this.#home, index, filesIndex: filesIndexOf(index), rest: null }
  }

  /**
   * Lets another queue have the record, unless others of its name are left, among whose counts its own stay; returns a copy, for
   * what is left of this one.
   */
  release(record: QueueRecord): QueueRecord {
    const { home, index, filesIndex, rest } = record
    const counters = new Float64Array(RECORD_DOUBLES + FILES_DOUBLES)
    counters.set(home.counters.subarray(index, index + RECORD_DOUBLES))
    counters.set(home.counters.subarray(filesIndex, filesIndex + FILES_DOUBLES), RECORD_DOUBLES)
    if (rest === null) {
      assert(home.counters[index + QUEUE_IS_USED] === 1, 'a record is released once')
      this.#leave(index)
    } else {
      addToRest(rest, QUEUE_SHARES, -counters[QUEUE_SHARES]!)
      addToRest(rest, QUEUE_HELD, -counters[QUEUE_HELD]!)
    }
    return ownRecord(counters)
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
      counters[index + QUEUE_HELD] = 0
      counters[index + QUEUE_NUMBER] = -1
    } else {
      for (const field of GROWING) {
        counters[placeOf(removedIndex, field)]! += counters[placeOf(index, field)]!
      }
      this.#empty(index)
    }
  }

  #empty(index: number): void {
    const { counters } = this.#home
    const filesIndex = filesIndexOf(index)
    counters.fill(0, index, index + RECORD_DOUBLES)
    counters.fill(0, filesIndex, filesIndex + FILES_DOUBLES)
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

/** Where what is about files begins, of the record at `index`. */
function filesIndexOf(index: number): number {
  return FILES_INDEX + ((index - RECORDS_INDEX) / RECORD_DOUBLES) * FILES_DOUBLES
}

/** Where a field is, of the record at `index`. */
function placeOf(index: number, field: number): number {
  return field < QUEUE_NAME ? index + field : filesIndexOf(index) + field - QUEUE_NAME
}

/** A record that nobody else sees. */
function ownRecord(counters: Float64Array): QueueRecord {
  return { home: { counters }, index: 0, filesIndex: RECORD_DOUBLES, rest: null }
}

/** Adds to a field of a queue, and of the others where it is counted among them. */
export function countQueue(record: QueueRecord, field: number, amount: number): void {
  const { home, index, filesIndex, rest } = record
  const at = field < QUEUE_NAME ? index + field : filesIndex + field - QUEUE_NAME
  home.counters[at]! += amount
  if (rest !== null) addToRest(rest, field, amount)
}

/** A field of a queue. */
export function readQueue({ home, index, filesIndex }: QueueRecord, field: number): number {
  const at = field < QUEUE_NAME ? index + field : filesIndex + field - QUEUE_NAME
  return home.counters[at]!
}

function addToRest(rest: Counters, field: number, amount: number): void {
  const at = field < QUEUE_NAME ? REST_INDEX + field : REST_FILES_INDEX + field - QUEUE_NAME
  rest.counters[at]! += amount
}

/** The name of each queue with its fields, as another thread sees them. */
export function* readQueues(
  counters: Float64Array,
): Generator<{ readonly name: string; readonly fields: Float64Array }> {
  assert(counters.length >= REST_FILES_INDEX + FILES_DOUBLES, 'records are among the counters')
  for (let number = 0; number <= QUEUE_COUNT_MAX; number++) {
    const index = RECORDS_INDEX + number * RECORD_DOUBLES
    if (counters[index + QUEUE_IS_USED] !== 1) continue
    const filesIndex = filesIndexOf(index)
    const fields = new Float64Array(FIELD_COUNT)
    fields.set(counters.subarray(index, index + QUEUE_NAME))
    fields.set(counters.subarray(filesIndex, filesIndex + FILES_DOUBLES), QUEUE_NAME)
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
