import {
  currentKernel,
  type Directory,
  DOUBLE_CROWDED,
  DOUBLE_ENTERS,
  DOUBLE_HOST_ALONE_NS,
  DOUBLE_HOST_CONTESTED_NS,
  DOUBLE_HOST_VISITS,
  DOUBLE_PARKED_NS,
  DOUBLE_PARKS,
  DOUBLE_SPUN_NS,
  DOUBLE_TURNS,
  type ExecutorId,
  KIND_EXECUTOR,
  WORD_HOLDER,
  WORD_KIND,
} from '../kernel/index.ts'
import {
  COUNTERS,
  type CounterPlace,
  describeCounter,
  EXECUTOR_NAME_INDEX,
  QUEUE_COUNTERS,
  readName,
  readQueues,
} from '../stats/index.ts'

/** What the loop hook counts: indexes of the control block, seen as doubles. */
const HOOK_COUNTERS: readonly CounterPlace[] = [
  describeCounter(
    'counter',
    'percore_parked_seconds_total',
    'Time that the thread slept, as of its last wake-up.',
    DOUBLE_PARKED_NS,
  ),
  describeCounter(
    'counter',
    'percore_spun_seconds_total',
    'Time that the thread polled before it slept.',
    DOUBLE_SPUN_NS,
  ),
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
  describeCounter('counter', 'percore_turns_total', 'Rounds of the event loop.', DOUBLE_TURNS),
  describeCounter('counter', 'percore_parks_total', 'How often the thread slept.', DOUBLE_PARKS),
  describeCounter(
    'counter',
    'percore_crowded_total',
    'How often it polled no longer before it slept, for want of CPUs.',
    DOUBLE_CROWDED,
  ),
  describeCounter('counter', 'percore_enters_total', 'Calls of io_uring_enter.', DOUBLE_ENTERS),
]

/** One executor, at one moment. */
interface Sample {
  readonly labels: string
  readonly doubles: Float64Array
  readonly counters: Float64Array
}

/**
 * The counters of every executor of this process, whatever its thread, as Prometheus text.
 *
 * They are read from shared memory: nobody is stopped or asked, and an executor that hangs is shown too. Any thread may
 * call it, also one without an executor. Within one executor the values are of about the same moment. Series are labelled by
 * the executor's name and id, those of task queues by `queue` as well; an executor's first 64 queues are shown one by one, the
 * rest as `(others)`; names are cut after 63 bytes. O(executors and their queues).
 *
 * A copy of the package has executors of its own, and shows these.
 *
 * @throws {RuntimeError} `ERR_ADDON_MISSING`
 *
 * @example Show them to Prometheus
 * ```ts run
 * import { executor, metricsText } from 'percore'
 *
 * executor()
 * console.log(metricsText())
 * ```
 */
export function metricsText(): string {
  const samples = takeSamples(currentKernel().directory)
  const lines: string[] = []
  for (const place of HOOK_COUNTERS) addFamily(lines, place, samples, ({ doubles }) => doubles)
  for (const place of COUNTERS) addFamily(lines, place, samples, ({ counters }) => counters)
  for (const place of QUEUE_COUNTERS) addQueueFamily(lines, place, samples)
  return `${lines.join('\n')}\n`
}

function takeSamples(directory: Directory): Sample[] {
  const samples: Sample[] = []
  const { usedCount } = directory
  for (let index = 1; index < usedCount; index++) {
    const slot = directory.slot(index)
    const id: ExecutorId = Atomics.load(slot.words, WORD_HOLDER)
    if (id <= 0 || slot.words[WORD_KIND] !== KIND_EXECUTOR) continue
    const doubles = slot.doubles.slice()
    const counters = slot.counters.slice()
    // ORDER: sequential: what was copied is of one executor if it was there before and after.
    if (Atomics.load(slot.words, WORD_HOLDER) !== id) continue
    const name = readName(counters, EXECUTOR_NAME_INDEX)
    samples.push({ labels: `executor=${quote(name)},id="${id}"`, doubles, counters })
  }
  return samples
}

function addFamily(
  lines: string[],
  place: CounterPlace,
  samples: readonly Sample[],
  find: (sample: Sample) => Float64Array,
): void {
  addHeader(lines, place)
  for (const sample of samples) {
    lines.push(`${place.name}{${sample.labels}} ${readValue(find(sample), place)}`)
  }
}

function addQueueFamily(lines: string[], place: CounterPlace, samples: readonly Sample[]): void {
  addHeader(lines, place)
  for (const { labels, counters } of samples) {
    // Names need not differ: a series of each name has the sum.
    const values = new Map<string, number>()
    for (const { name, fields } of readQueues(counters)) {
      values.set(name, (values.get(name) ?? 0) + readValue(fields, place))
    }
    for (const [name, value] of values) {
      lines.push(`${place.name}{${labels},queue=${quote(name)}} ${value}`)
    }
  }
}

function addHeader(lines: string[], { name, help, kind }: CounterPlace): void {
  lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`)
}

function readValue(values: Float64Array, { indexes, scale }: CounterPlace): number {
  return indexes.reduce((sum, index) => sum + values[index]!, 0) / scale
}

/** A label's value, as the text format wants it. */
function quote(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
  return `"${escaped}"`
}
