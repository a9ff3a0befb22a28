/** The bridge to OpenTelemetry, by the metric reader of its own software. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import {
  type DataPoint,
  DataPointType,
  MeterProvider,
  MetricReader,
} from '@opentelemetry/sdk-metrics'
import { createTaskQueue, executor, spawnInto } from '../../src/index.ts'
import { observeExecutors } from '../../src/otel/index.ts'
import { sleep } from '../../src/time/index.ts'
import { limited } from '../limits.ts'

after(() => executor().leave())

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

function setUp(): { readonly reader: Reader; readonly provider: MeterProvider } {
  const reader = new Reader()
  return { reader, provider: new MeterProvider({ readers: [reader] }) }
}

/** What was read, by name. */
async function collect(
  reader: Reader,
): Promise<Map<string, { unit: string; isMonotonic: boolean; points: DataPoint<number>[] }>> {
  const { resourceMetrics, errors } = await reader.collect()
  assert.deepEqual(errors, [])
  const all = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
  return new Map(
    all.map((metric) => [
      metric.descriptor.name,
      {
        unit: metric.descriptor.unit,
        isMonotonic: metric.dataPointType === DataPointType.SUM && metric.isMonotonic,
        points: metric.dataPoints as DataPoint<number>[],
      },
    ]),
  )
}

test('observeExecutors() shows counters, gauges and those of task queues with their attributes', async () => {
  const { reader, provider } = setUp()
  const queue = createTaskQueue('read', { shares: 300 })
  await Promise.all(Array.from({ length: 5 }, () => spawnInto(queue, () => sleep(1))))

  using _ = observeExecutors(provider.getMeter('percore'))
  const found = await collect(reader)

  const tasks = found.get('percore.tasks')!
  assert.equal(tasks.isMonotonic, true)
  assert.equal(tasks.points[0]!.value, executor().stats().taskCount)
  assert.deepEqual(Object.keys(tasks.points[0]!.attributes), [
    'percore.executor.name',
    'percore.executor.id',
  ])
  const memory = found.get('percore.io_memory_size')!
  assert.deepEqual([memory.unit, memory.isMonotonic], ['By', false])
  assert.equal(memory.points[0]!.value, executor().stats().ioMemory.sizeBytes)
  assert.equal(found.get('percore.parked')!.unit, 's')
  const shares = found.get('percore.queue_shares')!.points
  const own = shares.find(({ attributes }) => attributes['percore.queue.name'] === 'read')
  assert.equal(own?.value, 300)
  queue.remove()
  await provider.shutdown()
})

test(
  'observeExecutors() shows an executor of another thread that hangs',
  limited(60_000),
  async () => {
    const { reader, provider } = setUp()
    const worker = new Worker(new URL('../stats/hanging-worker.js', import.meta.url))
    await once(worker, 'message')

    using _ = observeExecutors(provider.getMeter('percore'))
    const { points } = (await collect(reader)).get('percore.tasks')!

    const hanging = points.find(({ attributes }) => attributes['percore.executor.name'] === 'hangs')
    assert.equal(hanging?.value, 3)
    await worker.terminate()
    await provider.shutdown()
  },
)

test('observeExecutors() shows nothing any more once it is disposed of', async () => {
  const { reader, provider } = setUp()
  executor()

  observeExecutors(provider.getMeter('percore'))[Symbol.dispose]()
  const found = await collect(reader)

  assert.deepEqual(
    [...found.values()].flatMap(({ points }) => points),
    [],
  )
  await provider.shutdown()
})

test('observeExecutors() throws for anything but a meter', () => {
  // Else it could not be ended.
  const endless = {
    createObservableCounter() {},
    createObservableGauge() {},
    addBatchObservableCallback() {},
  }
  for (const meter of [undefined, null, 5, {}, { createObservableCounter() {} }, endless]) {
    assert.throws(() => observeExecutors(meter as never), TypeError)
  }
})
