/** The counters of all executors of a process, as any thread reads them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createTaskQueue, executor, metricsText, spawnInto } from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { sleep } from '../../src/time/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)

after(() => executor().leave())

/** The value of each series whose name and labels contain all of `words`. */
function read(...words: readonly string[]): number[] {
  return metricsText()
    .split('\n')
    .filter((line) => !line.startsWith('#') && words.every((word) => line.includes(word)))
    .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)))
}

test('metricsText() has a type and a text for each series, which is a number', () => {
  executor()
  const described = new Set<string>()
  for (const line of metricsText().trimEnd().split('\n')) {
    const [, kind, name] = /^# (HELP|TYPE|UNIT) (percore_[a-z_]+) \S/.exec(line) ?? []
    if (kind !== undefined) {
      described.add(`${kind} ${name}`)
      continue
    }
    const series =
      /^(percore_[a-z_]+)\{executor="[^"]*",id="\d+"(,queue="[^"]*")?\} [\d.e+-]+$/.exec(line)
    assert.ok(series !== null, line)
    assert.ok(described.has(`HELP ${series[1]}`) && described.has(`TYPE ${series[1]}`), line)
  }
})

test('metricsText() counts what task queues do, as stats() does', async () => {
  const queue = createTaskQueue('"quoted\\\n', { shares: 300 })
  const tasks = Array.from({ length: 5 }, () => spawnInto(queue, () => sleep(1)))

  assert.deepEqual(read('percore_queue_tasks', 'quoted'), [5])
  await Promise.all(tasks)

  assert.deepEqual(read('percore_queue_tasks', 'queue="\\"quoted\\\\\\n"'), [0])
  assert.deepEqual(read('percore_queue_shares', 'quoted'), [300])
  const { runtimeNs, settledCount } = queue.stats()
  assert.ok(settledCount >= 10)
  assert.deepEqual(read('percore_queue_settled_total', 'quoted'), [settledCount])
  assert.deepEqual(read('percore_queue_runtime_seconds_total', 'quoted'), [runtimeNs / 1e9])
  queue.remove()
  assert.deepEqual(read('quoted'), [])
  assert.equal(queue.stats().settledCount, settledCount)
})

test('metricsText() adds up the queues that have no record', async () => {
  const queues = Array.from({ length: 70 }, (_, index) => createTaskQueue(`many ${index}`))
  await Promise.all(queues.map((queue) => spawnInto(queue, () => sleep(1))))

  const others = queues.slice(63)
  const settledCount = others.reduce((sum, queue) => sum + queue.stats().settledCount, 0)
  assert.equal(read('percore_queue_tasks', 'queue="many').length, 63)
  assert.deepEqual(read('percore_queue_settled_total', '(others)'), [settledCount])
  assert.deepEqual(read('percore_queue_tasks', '(others)'), [0])
  assert.deepEqual(read('percore_queue_shares', '(others)'), [others.length * 1000])
  for (const queue of queues) queue.remove()
  assert.deepEqual(read('percore_queue_shares', '(others)'), [0])
  const reused = createTaskQueue('reused')
  assert.deepEqual(read('percore_queue_settled_total', 'reused'), [0])
  reused.remove()
})

test('what queues of one name have counted never shrinks as some of them are removed', async () => {
  const queues = Array.from({ length: 3 }, () => createTaskQueue('same'))
  await Promise.all(queues.map((queue) => spawnInto(queue, () => sleep(1))))
  const settled = (): number[] => read('percore_queue_settled_total', '"same"')
  const [before] = settled()
  const firstStats = queues[0]!.stats()

  queues[0]!.remove()
  queues[1]!.remove()

  assert.deepEqual(settled(), [before])
  assert.deepEqual(read('percore_queue_shares', '"same"'), [1000])
  assert.deepEqual(queues[0]!.stats(), firstStats)
  await spawnInto(queues[2]!, () => sleep(1))
  assert.ok(settled()[0]! > before!)
  queues[2]!.remove()
  assert.deepEqual(settled(), [])
  const reused = Array.from({ length: 64 }, (_, index) => createTaskQueue(`again ${index}`))
  assert.equal(read('percore_queue_tasks', '"again').length, 63)
  for (const queue of reused) queue.remove()
})

test('what removed queues have moved to and from files stays among those of their name', async () => {
  const path = join(tmpdir(), `percore-metrics-${process.pid}`)
  const queues = Array.from({ length: 3 }, () => createTaskQueue('files'))
  const move = async (): Promise<void> => {
    await using file = await BufferedFile.create(path)
    await file.write(Buffer.alloc(5000), 0)
    await file.read(0, 1000)
  }
  for (const queue of queues) await spawnInto(queue, move)
  const moved = (): number[] =>
    ['transfers', 'read_bytes', 'written_bytes'].flatMap((name) =>
      read(`percore_queue_file_${name}_total`, '"files"'),
    )
  const before = moved()

  queues[0]!.remove()
  queues[1]!.remove()

  assert.deepEqual(before.slice(1), [3000, 15_000])
  assert.deepEqual(moved(), before)
  await spawnInto(queues[2]!, move)
  assert.deepEqual(moved().slice(1), [4000, 20_000])
  queues[2]!.remove()
  assert.deepEqual(moved(), [])
  rmSync(path)
})

test('metricsText() counts connections and their bytes', async () => {
  const [connections, received, sent] = [
    read('percore_connections_total'),
    read('percore_received_bytes_total'),
    read('percore_sent_bytes_total'),
  ]
  const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const [client, server] = await Promise.all([
    TcpStream.connect({ host: '127.0.0.1', port: listener.address.port }),
    listener.accept(),
  ])
  await client.write(Buffer.alloc(1000))
  let bytes = 0
  while (bytes < 1000) bytes += (await server.read())!.length

  assert.equal(read('percore_connections_total')[0]! - connections[0]!, 2)
  assert.equal(read('percore_received_bytes_total')[0]! - received[0]!, 1000)
  assert.equal(read('percore_sent_bytes_total')[0]! - sent[0]!, 1000)
  await Promise.all([client.close(), server.close(), listener.close()])
})

test(
  'metricsText() shows an executor of another thread that hangs, until it ends',
  LIMIT,
  async () => {
    const worker = new Worker(new URL('./hanging-worker.js', import.meta.url))
    await once(worker, 'message')

    assert.equal(read('percore_tasks_total', 'executor="hangs"')[0], 3)
    await worker.terminate()
    assert.deepEqual(read('executor="hangs"'), [])
  },
)
