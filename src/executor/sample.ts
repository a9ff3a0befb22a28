import { NS_PER_S } from '../base/index.ts'
import {
  type Directory,
  DOUBLE_AWAKE_NS,
  DOUBLE_CROWDED,
  DOUBLE_ENTERS,
  DOUBLE_HOST_ALONE_NS,
  DOUBLE_HOST_CONTESTED_NS,
  DOUBLE_HOST_VISITS,
  DOUBLE_LEFT_NS,
  DOUBLE_NOW_NS,
  DOUBLE_PARKED_NS,
  DOUBLE_PARKS,
  DOUBLE_SPUN_NS,
  DOUBLE_START_NS,
  DOUBLE_TURN_END_NS,
  DOUBLE_TURNS,
  type ExecutorId,
  KIND_EXECUTOR,
  type LoopControl,
  RING_COUNT_MAX,
  WORD_HOLDER,
  WORD_KIND,
  WORD_TURN_SEQUENCE,
} from '../kernel/index.ts'
import {
  COUNTER_FOLLOW_UPS,
  COUNTER_IN_FLIGHT,
  COUNTER_OWN_POLLS,
  COUNTERS,
  type CounterPlace,
  type CounterText,
  describeCounter,
  describeText,
  EXECUTOR_NAME_INDEX,
  readCounter,
  readName,
} from '../stats/index.ts'

/** How often a copy is made anew, since the executor went on meanwhile; a copy takes a part of a turn. */
const TRIES_MAX = 100

/** What an executor counts, copied at one moment. */
export interface CounterSample {
  /** By the clock of the executor. */
  readonly nowNs: number
  readonly words: Int32Array
  readonly doubles: Float64Array
  readonly counters: Float64Array
}

/** The same, and whose it is. */
export interface ExecutorSample extends CounterSample {
  readonly id: ExecutorId
  readonly name: string
}

/** A value of an executor as others are told of it. */
export interface Metric extends CounterText {
  read(sample: CounterSample): number
}

/** What the loop hook counts: indexes of the control block, seen as doubles. */
const HOOK_COUNTERS: readonly CounterPlace[] = [
  describeCounter(
    'counter',
    'percore_host_seconds_total',
    "Time that Node's own event loop took.",
    DOUBLE_HOST_CONTESTED_NS,
    DOUBLE_HOST_ALONE_NS,
  ),
  describeCounter(
    'counter',
    'percore_host_visits_total',
    "Iterations of Node's own event loop.",
    DOUBLE_HOST_VISITS,
  ),
  describeCounter('counter', 'percore_parks_total', 'How often the thread slept.', DOUBLE_PARKS),
  describeCounter(
    'counter',
    'percore_crowded_total',
    'How often it polled no longer before it slept, for want of CPUs.',
    DOUBLE_CROWDED,
  ),
  describeCounter('counter', 'percore_enters_total', 'Calls of io_uring_enter.', DOUBLE_ENTERS),
]

/** What is told from several places at once. */
const DERIVED: readonly Metric[] = [
  derive('gauge', 'percore_uptime_seconds', 'Time since the executor was attached.', (sample) => {
    return (sample.nowNs - sample.doubles[DOUBLE_START_NS]!) / NS_PER_S
  }),
  derive(
    'counter',
    'percore_busy_seconds_total',
    'Time that the thread neither slept nor polled: its use of a processor, at most.',
    (sample) => readBusyNs(sample) / NS_PER_S,
  ),
  derive('counter', 'percore_parked_seconds_total', 'Time that the thread slept.', (sample) => {
    return readSpanNs(sample, DOUBLE_PARKED_NS) / NS_PER_S
  }),
  derive(
    'counter',
    'percore_spun_seconds_total',
    'Time that the thread polled, before it slept or for a device.',
    (sample) => readSpanNs(sample, DOUBLE_SPUN_NS) / NS_PER_S,
  ),
  derive(
    'gauge',
    'percore_held_seconds',
    "How long a turn, or an iteration of Node's event loop, has lasted that has not ended; 0 while the thread sleeps.",
    (sample) => readHeldNs(sample) / NS_PER_S,
  ),
  derive(
    'counter',
    'percore_turns_total',
    'Rounds of the event loop, and batches that followed another within one.',
    readTurns,
  ),
  derive(
    'gauge',
    'percore_operations_in_flight',
    'Operations between submission and their last completion.',
    readInFlight,
  ),
]

/** Every value of an executor, but those of its queues. */
export const METRICS: readonly Metric[] = [
  ...DERIVED,
  ...HOOK_COUNTERS.map((place) => metricOf(place, ({ doubles }) => doubles)),
  ...COUNTERS.map((place) => metricOf(place, ({ counters }) => counters)),
]

/**
 * The state of every executor that the directory has. `nowNs` is called as {@link takeSample} says, with the slot's index:
 * whoever has a copy of the directory reads that slot anew. O(executors).
 */
export function takeSamples(
  directory: Pick<Directory, 'usedCount' | 'slot'>,
  nowNs: (index: number) => number,
): ExecutorSample[] {
  const samples: ExecutorSample[] = []
  const { usedCount } = directory
  for (let index = 1; index < usedCount; index++) {
    const slot = directory.slot(index)
    const id: ExecutorId = Atomics.load(slot.words, WORD_HOLDER)
    if (id <= 0 || slot.words[WORD_KIND] !== KIND_EXECUTOR) continue
    const sample = takeSample(slot, () => nowNs(index))
    // ORDER: sequential: what was copied is of one executor if it was there before and after.
    if (Atomics.load(slot.words, WORD_HOLDER) !== id) continue
    samples.push({ ...sample, id, name: readName(sample.counters, EXECUTOR_NAME_INDEX) })
  }
  return samples
}

/**
 * Copies what an executor counts. The clock is read while nothing began or ended, or the times would not fit each
 * other: what only grows would seem to shrink.
 */
export function takeSample(
  { words, doubles, counters }: LoopControl,
  nowNs: () => number,
): CounterSample {
  for (let tries = 1; ; tries++) {
    const sample = {
      words: words.slice(),
      doubles: doubles.slice(),
      counters: counters.slice(),
      nowNs: nowNs(),
    }
    // It is -1 while the hook reads the clock, by which it counts what has ended.
    const isSame =
      sample.doubles[DOUBLE_AWAKE_NS]! >= 0 &&
      doubles[DOUBLE_PARKED_NS] === sample.doubles[DOUBLE_PARKED_NS] &&
      doubles[DOUBLE_SPUN_NS] === sample.doubles[DOUBLE_SPUN_NS] &&
      doubles[DOUBLE_LEFT_NS] === sample.doubles[DOUBLE_LEFT_NS] &&
      doubles[DOUBLE_AWAKE_NS] === sample.doubles[DOUBLE_AWAKE_NS] &&
      Atomics.load(words, WORD_TURN_SEQUENCE) === sample.words[WORD_TURN_SEQUENCE]
    if (isSame || tries === TRIES_MAX) return sample
  }
}

/** Time spent in what may go on: {@link DOUBLE_PARKED_NS}, {@link DOUBLE_SPUN_NS}. */
export function readSpanNs({ doubles, nowNs }: CounterSample, index: number): number {
  const countedNs = doubles[index]!
  return countedNs < 0 ? countedNs + nowNs : countedNs
}

/** Time that the thread neither slept nor polled. */
export function readBusyNs(sample: CounterSample): number {
  const { doubles, nowNs } = sample
  const idleNs = readSpanNs(sample, DOUBLE_PARKED_NS) + readSpanNs(sample, DOUBLE_SPUN_NS)
  // Between two steps of the hook it may be about to sleep from the last moment on that it knows.
  const isKnown = doubles[DOUBLE_PARKED_NS]! < 0 || doubles[DOUBLE_SPUN_NS]! < 0 || isHeld(sample)
  const untilNs = isKnown
    ? nowNs
    : Math.max(doubles[DOUBLE_AWAKE_NS]!, doubles[DOUBLE_TURN_END_NS]!)
  return Math.max(0, untilNs - doubles[DOUBLE_START_NS]! - idleNs)
}

/** Whether a turn, or an iteration of the host loop, goes on. */
function isHeld(sample: CounterSample): boolean {
  return isInTurn(sample) || sample.doubles[DOUBLE_LEFT_NS]! !== 0
}

/** Whether a turn of a task queue runs. */
export function isInTurn({ words }: CounterSample): boolean {
  return (words[WORD_TURN_SEQUENCE]! & 1) === 1
}

/** How long a turn, or an iteration of the host loop, has lasted; 0 where there is none. */
export function readHeldNs(sample: CounterSample): number {
  const { doubles, nowNs } = sample
  const sinceNs = isInTurn(sample) ? doubles[DOUBLE_NOW_NS]! : doubles[DOUBLE_LEFT_NS]!
  return sinceNs === 0 ? 0 : Math.max(0, nowNs - sinceNs)
}

/** Rounds of the event loop, and batches that followed another within one. */
export function readTurns({ doubles, counters }: CounterSample): number {
  return doubles[DOUBLE_TURNS]! + counters[COUNTER_FOLLOW_UPS]!
}

/** Operations between submission and their last completion, but for the loop's own; as of its last look at completions. */
export function readInFlight({ counters }: CounterSample): number {
  return sumRings(counters, COUNTER_IN_FLIGHT) - counters[COUNTER_OWN_POLLS]!
}

/** The sum of what each ring has, from `index` on. */
export function sumRings(values: Float64Array, index: number): number {
  let sum = 0
  for (let ring = 0; ring < RING_COUNT_MAX; ring++) sum += values[index + ring]!
  return sum
}

function derive(
  kind: Metric['kind'],
  name: string,
  help: string,
  read: (sample: CounterSample) => number,
): Metric {
  return { ...describeText(kind, name, help), read }
}

function metricOf(place: CounterPlace, find: (sample: CounterSample) => Float64Array): Metric {
  const { kind, name, unit, help } = place
  return { kind, name, unit, help, read: (sample) => readCounter(find(sample), place) }
}
