/** What an executor does, from two samples. */
import {
  type ExecutorSample,
  isInTurn,
  METRICS,
  type Metric,
  readHeldNs,
  readQueueValues,
} from '../../executor/index.ts'
import { DOUBLE_PARKED_NS, DOUBLE_SPUN_NS, WORD_QUEUE } from '../../kernel/index.ts'
import { type CounterText, nameOfQueue, QUEUE_COUNTERS } from '../../stats/index.ts'
import type { ProcessSample, SeenExecutor } from './processes.ts'

/** Values by the names of metrics. */
export type Values = Readonly<Record<string, number>>

/** Values at the end of an interval and, of what only grows, by how much a second it grew in it. */
export interface Activity {
  readonly name: string
  readonly values: Values
  readonly rates: Values
}

/** What a thread is doing. */
export type ThreadState = 'sleeps' | 'polls' | 'turn' | 'node' | 'runs'

/** One executor over an interval. */
export interface ExecutorActivity extends Activity {
  readonly id: number
  readonly state: ThreadState
  /** The task queue whose turn runs, or null. */
  readonly queue: string | null
  readonly heldSeconds: number
  readonly queues: readonly Activity[]
}

/**
 * What each executor did between two samples; one that was not there at the first, since it was attached. Pure.
 */
export function compare(before: ProcessSample | null, after: ProcessSample): ExecutorActivity[] {
  const earlier = new Map(before?.executors.map((executor) => [executor.key, executor]))
  return after.executors.map((executor) => {
    return compareExecutor(earlier.get(executor.key) ?? null, executor)
  })
}

function compareExecutor(before: SeenExecutor | null, after: SeenExecutor): ExecutorActivity {
  const values = readAll(after)
  const uptime = values.percore_uptime_seconds!
  const earlier = before === null ? {} : readAll(before)
  const seconds = before === null ? uptime : (after.nowNs - before.nowNs) / 1e9
  const earlierQueues = new Map(
    before === null ? [] : readQueueValues(before).map((queue) => [queue.name, queue.values]),
  )
  return {
    id: after.id,
    name: after.name,
    state: stateOf(after),
    queue: runningQueue(after),
    heldSeconds: readHeldNs(after) / 1e9,
    values,
    rates: ratesOf(METRICS, values, earlier, seconds),
    queues: readQueueValues(after).map(({ name, values: of }) => {
      const now = named(of)
      const then = named(earlierQueues.get(name) ?? new Map())
      return { name, values: now, rates: ratesOf(QUEUE_COUNTERS, now, then, seconds) }
    }),
  }
}

function readAll(sample: ExecutorSample): Record<string, number> {
  return Object.fromEntries(METRICS.map((metric: Metric) => [metric.name, metric.read(sample)]))
}

function named(values: ReadonlyMap<CounterText, number>): Record<string, number> {
  return Object.fromEntries(Array.from(values, ([{ name }, value]) => [name, value]))
}

function ratesOf(
  texts: readonly CounterText[],
  after: Values,
  before: Values,
  seconds: number,
): Record<string, number> {
  const grown = texts.filter(({ kind }) => kind === 'counter')
  return Object.fromEntries(
    grown.map(({ name }) => {
      // A queue may have been removed, and another made of its name: that one began at 0.
      const change = Math.max(0, after[name]! - (before[name] ?? 0))
      return [name, seconds > 0 ? change / seconds : 0]
    }),
  )
}

function stateOf(sample: ExecutorSample): ThreadState {
  if (isInTurn(sample)) return 'turn'
  if (sample.doubles[DOUBLE_PARKED_NS]! < 0) return 'sleeps'
  if (sample.doubles[DOUBLE_SPUN_NS]! < 0) return 'polls'
  return readHeldNs(sample) > 0 ? 'node' : 'runs'
}

function runningQueue(sample: ExecutorSample): string | null {
  if (!isInTurn(sample)) return null
  const number = sample.words[WORD_QUEUE]!
  if (number < 0) return null
  return nameOfQueue(sample.counters, number) ?? `number ${number}`
}
