import { currentKernel } from '../kernel/index.ts'
import { type CounterText, QUEUE_COUNTERS, readCounter, readQueues } from '../stats/index.ts'
import { type ExecutorSample, METRICS, takeSamples } from './sample.ts'

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
  const samples = readExecutors()
  const lines: string[] = []
  for (const metric of METRICS) {
    addHeader(lines, metric)
    for (const sample of samples) {
      lines.push(`${metric.name}{${labelsOf(sample)}} ${metric.read(sample)}`)
    }
  }
  for (const place of QUEUE_COUNTERS) {
    addHeader(lines, place)
    for (const sample of samples) {
      for (const { name, values } of readQueueValues(sample)) {
        lines.push(`${place.name}{${labelsOf(sample)},queue=${quote(name)}} ${values.get(place)}`)
      }
    }
  }
  return `${lines.join('\n')}\n`
}

/** Every executor of this process, at one moment each. */
export function readExecutors(): ExecutorSample[] {
  const kernel = currentKernel()
  return takeSamples(kernel.directory, () => kernel.nowNs())
}

/** What task queues of one name have counted. */
export interface QueueValues {
  readonly name: string
  readonly values: ReadonlyMap<CounterText, number>
}

/** What the task queues of an executor have counted; names need not differ, and those of one have the sum. */
export function readQueueValues({ counters }: Pick<ExecutorSample, 'counters'>): QueueValues[] {
  const byName = new Map<string, Map<CounterText, number>>()
  for (const { name, fields } of readQueues(counters)) {
    const values = byName.get(name) ?? new Map<CounterText, number>()
    byName.set(name, values)
    for (const place of QUEUE_COUNTERS) {
      values.set(place, (values.get(place) ?? 0) + readCounter(fields, place))
    }
  }
  return Array.from(byName, ([name, values]) => ({ name, values }))
}

function addHeader(lines: string[], { name, help, kind, unit }: CounterText): void {
  lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`)
  if (unit !== null) lines.push(`# UNIT ${name} ${unit}`)
}

function labelsOf({ id, name }: ExecutorSample): string {
  return `executor=${quote(name)},id="${id}"`
}

/** A label's value, as the text format wants it. */
function quote(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
  return `"${escaped}"`
}
