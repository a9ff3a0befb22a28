import { validateFunction, wrongType } from '../base/index.ts'
import { METRICS, readExecutors, readQueueValues } from '../executor/index.ts'
import { type CounterText, QUEUE_COUNTERS } from '../stats/index.ts'

const ACTION = 'observe executors'
const METHODS: readonly (keyof MetricMeter<unknown>)[] = [
  'createObservableCounter',
  'createObservableGauge',
  'addBatchObservableCallback',
  'removeBatchObservableCallback',
]
const UNITS = { seconds: 's', bytes: 'By' } as const

/** How an instrument is described. */
export interface MetricText {
  readonly description: string
  readonly unit?: string
}

/** What a reader of metrics is told values by. */
export interface MetricResult<I> {
  observe(instrument: I, value: number, attributes?: Record<string, string | number>): void
}

/** What is used of a `Meter` of `@opentelemetry/api`, of which each version since 1.3 has this. */
export interface MetricMeter<I> {
  createObservableCounter(name: string, options?: MetricText): I
  createObservableGauge(name: string, options?: MetricText): I
  addBatchObservableCallback(callback: (result: MetricResult<I>) => void, instruments: I[]): void
  removeBatchObservableCallback(callback: (result: MetricResult<I>) => void, instruments: I[]): void
}

/**
 * Shows the counters of every executor of this process to OpenTelemetry, until it is disposed of.
 *
 * They are those of {@link metricsText}, read when a reader of metrics asks, by whatever thread this was called on:
 * nobody is stopped or asked, and an executor that hangs is shown too. Call it on one thread of a process. Names are
 * `percore.…` without the unit, as `percore.io_memory_used` in `By`; attributes are `percore.executor.name` and
 * `percore.executor.id` and, of task queues, `percore.queue.name`. O(executors and their queues) for each reading.
 *
 * Needs no package by itself: whoever has a meter has `@opentelemetry/api`.
 *
 * @throws {TypeError} for anything but a meter.
 *
 * @example Export them as all other metrics of the program
 * ```ts
 * import { metrics } from '@opentelemetry/api'
 * import { observeExecutors } from 'percore/otel'
 *
 * observeExecutors(metrics.getMeter('percore'))
 * ```
 */
export function observeExecutors<I>(meter: MetricMeter<I>): Disposable {
  validateMeter(meter)
  const own = METRICS.map((metric) => ({ metric, instrument: createInstrument(meter, metric) }))
  const ofQueues = QUEUE_COUNTERS.map((text) => ({
    text,
    instrument: createInstrument(meter, text),
  }))
  const observe = (result: MetricResult<I>): void => {
    for (const sample of readExecutors()) {
      const attributes = {
        'percore.executor.name': sample.name,
        'percore.executor.id': sample.id,
      }
      for (const { metric, instrument } of own) {
        result.observe(instrument, metric.read(sample), attributes)
      }
      for (const { name, values } of readQueueValues(sample)) {
        const ofQueue = { ...attributes, 'percore.queue.name': name }
        for (const { text, instrument } of ofQueues) {
          result.observe(instrument, values.get(text)!, ofQueue)
        }
      }
    }
  }
  const instruments = [...own, ...ofQueues].map(({ instrument }) => instrument)
  meter.addBatchObservableCallback(observe, instruments)
  return {
    [Symbol.dispose]: () => meter.removeBatchObservableCallback(observe, instruments),
  }
}

function createInstrument<I>(meter: MetricMeter<I>, text: CounterText): I {
  const { name, kind, unit, help } = text
  const suffix = unit === null ? /(?:_total)?$/ : new RegExp(`_${unit}(?:_total)?$`)
  const plain = name.replace('percore_', 'percore.').replace(suffix, '')
  const options = { description: help, ...(unit !== null && { unit: UNITS[unit] }) }
  return kind === 'counter'
    ? meter.createObservableCounter(plain, options)
    : meter.createObservableGauge(plain, options)
}

function validateMeter(meter: unknown): void {
  if (typeof meter !== 'object' || meter === null)
    throw wrongType(ACTION, 'meter', 'a Meter', meter)
  const given = meter as Partial<Record<string, unknown>>
  for (const name of METHODS) validateFunction(ACTION, `meter.${name}`, given[name])
}
