/** What is counted, as the executor itself and any other thread see it: the same places. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { attachReceiver, attachSender, createSharedChannel } from '../../src/channels/index.ts'
import { allocateBuffer, attachExecutor, executor, metricsText, spawn } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { COUNTER_FOREIGN } from '../../src/stats/index.ts'
import { once as after1, sleep } from '../../src/time/index.ts'
import { postForeign } from '../executor/operations.ts'
import { limited } from '../limits.ts'
import { until } from '../net/support.ts'
import { reactorOf } from '../reactor-of.ts'

const LIMIT = limited(60_000)
attachExecutor({ name: 'counts', measureGc: true })
after(() => executor().leave())

/** The values of this executor, or of another one, by their names. */
function read(name = 'counts'): Record<string, number> {
  const series = new RegExp(`^(percore_[a-z_]+)\\{executor="${name}",id="\\d+"\\} (\\S+)$`)
  return Object.fromEntries(
    metricsText()
      .split('\n')
      .flatMap((line) => {
        const [, metric, value] = series.exec(line) ?? []
        return metric === undefined ? [] : [[metric, Number(value)]]
      }),
  )
}

/** A thread that has begun, and ends with the test. */
async function start(path: string, data?: unknown): Promise<AsyncDisposable> {
  const worker = new Worker(new URL(path, import.meta.url), { workerData: data })
  await once(worker, 'message')
  return {
    async [Symbol.asyncDispose]() {
      await worker.terminate()
    },
  }
}

test('stats() and metricsText() read the same places', async () => {
  const path = join(tmpdir(), `percore-counters-${process.pid}`)
  const file = await BufferedFile.create(path)
  await file.write(Buffer.alloc(5000), 0)
  await file.read(0, 1234)
  await sleep(1)

  const stats = executor().stats()
  const metrics = read()

  assert.deepEqual(
    {
      percore_enters_total: stats.enterCount,
      percore_tasks_total: stats.taskCount,
      percore_timers: stats.timerCount,
      percore_timers_expired_total: stats.expiredTimerCount,
      percore_turns_total: stats.turnCount,
      percore_parks_total: stats.parkCount,
      percore_crowded_total: stats.crowdedCount,
      percore_ring_submissions_total: stats.submissionCount,
      percore_ring_completions_total: stats.completionCount,
      percore_ring_foreign_completions_total: stats.foreignCompletionCount,
      percore_operations_in_flight: stats.inFlightCount,
      percore_io_memory_used_bytes: stats.ioMemory.usedBytes,
      percore_io_memory_leases: stats.ioMemory.leasedCount,
      percore_io_memory_size_bytes: stats.ioMemory.sizeBytes,
      percore_io_memory_limit_bytes: stats.ioMemory.limitBytes,
      percore_io_memory_registered_bytes: stats.ioMemory.registeredBytes,
      percore_sockets: stats.network.socketCount,
      percore_connections_total: stats.network.connectionCount,
      percore_accepts_total: stats.network.acceptCount,
      percore_received_bytes_total: stats.network.receivedBytes,
      percore_sent_bytes_total: stats.network.sentBytes,
      percore_file_operations_total: stats.files.operationCount,
      percore_file_polled_requests_total: stats.files.polledCount,
      percore_file_held_requests: stats.files.heldCount,
      percore_file_limited_total: stats.files.limitedCount,
      percore_file_read_bytes_total: stats.files.readBytes,
      percore_file_written_bytes_total: stats.files.writtenBytes,
      percore_channel_sent_total: stats.channels.sentCount,
      percore_channel_received_total: stats.channels.receivedCount,
      percore_channel_waits_total: stats.channels.waitCount,
      percore_wakes_total: stats.channels.wakeCount,
      percore_gc_pauses_total: stats.gc.pauseCount,
    },
    Object.fromEntries(
      Object.entries(metrics).filter(
        ([name]) => !name.includes('seconds') && !/host_visits|stale/.test(name),
      ),
    ),
  )
  await file.close()
  rmSync(path)
})

test('what other threads have posted is counted beyond 2^32', async () => {
  const { counters } = reactorOf(executor()).control
  const before = counters[COUNTER_FOREIGN]!
  counters[COUNTER_FOREIGN] = 2 ** 32 - 1

  await postForeign(2)

  const { foreignCompletionCount } = executor().stats()
  assert.equal(foreignCompletionCount, 2 ** 32 + 1)
  assert.equal(read().percore_ring_foreign_completions_total, foreignCompletionCount)
  counters[COUNTER_FOREIGN] = before + 2
})

test('operations and bytes of files are counted', async () => {
  const path = join(tmpdir(), `percore-counters-${process.pid}`)
  const before = executor().stats().files

  const file = await DirectFile.create(path)
  using buffer = allocateBuffer(8192)
  await file.write(buffer, 0)
  ;(await file.read(0, 4096)).release()
  await file.close()

  const { operationCount, readBytes, writtenBytes } = executor().stats().files
  assert.ok(operationCount - before.operationCount >= 3)
  assert.deepEqual([readBytes - before.readBytes, writtenBytes - before.writtenBytes], [4096, 8192])
  rmSync(path)
})

test('I/O memory in use is that of its allocators, and returns to what it was', () => {
  const { memory } = reactorOf(executor())
  const before = executor().stats().ioMemory

  const lease = allocateBuffer(100_000)
  const during = executor().stats().ioMemory

  assert.equal(during.usedBytes - before.usedBytes, 131_072)
  assert.equal(during.usedBytes, memory.usedBytes)
  assert.deepEqual([during.leasedCount, during.sizeBytes], [memory.leasedCount, memory.sizeBytes])
  lease.release()
  assert.deepEqual(executor().stats().ioMemory, before)
})

test('sockets, accepts and operations in flight come and go', async () => {
  const before = executor().stats()
  const listener = await TcpListener.bind({ port: 0 })
  const [client, server] = await Promise.all([
    TcpStream.connect({ host: '127.0.0.1', port: listener.address.port }),
    listener.accept(),
  ])
  const reading = server.read()
  const counted = (): boolean => {
    const { socketCount, acceptCount, connectionCount } = executor().stats().network
    const { network } = before
    const isAccepted = acceptCount > network.acceptCount
    return (
      isAccepted &&
      socketCount > network.socketCount + 1 &&
      connectionCount > network.connectionCount + 1
    )
  }
  await until(counted)

  const during = executor().stats()
  assert.equal(during.network.socketCount - before.network.socketCount, 2)
  assert.equal(during.network.acceptCount - before.network.acceptCount, 1)
  assert.equal(during.network.connectionCount - before.network.connectionCount, 2)
  assert.equal(during.inFlightCount, reactorOf(executor()).inFlightCount)
  assert.equal(read().percore_operations_in_flight, during.inFlightCount)
  await client.close()
  await reading
  await Promise.all([server.close(), listener.close()])
  await until(() => executor().stats().inFlightCount === before.inFlightCount)
  const end = executor().stats()
  assert.equal(end.network.socketCount, before.network.socketCount)
  assert.equal(end.inFlightCount, before.inFlightCount)
})

test('a connection that can not be made is no socket any more', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const { port } = listener.address
  await listener.close()
  const before = executor().stats().network

  await assert.rejects(TcpStream.connect({ host: '127.0.0.1', port }), { code: 'ECONNREFUSED' })

  assert.deepEqual(executor().stats().network, before)
})

test('timers are counted as they expire, not as they are taken back', async () => {
  const before = executor().stats()
  const never = after1(60_000, () => {})

  await sleep(1)
  assert.equal(executor().stats().timerCount, before.timerCount + 1)
  never.destroy()

  const { timerCount, expiredTimerCount } = executor().stats()
  assert.deepEqual(
    [timerCount, expiredTimerCount - before.expiredTimerCount],
    [before.timerCount, 1],
  )
})

test('values of shared channels are counted, however they are sent and received', async () => {
  const channel = createSharedChannel<number>({ capacity: 8, codec: 'numbers' })
  const [sender, receiver] = [attachSender(channel), attachReceiver(channel)]
  const before = executor().stats().channels
  const sending = spawn(async () => {
    for (let i = 0; i < 50; i++) await sender.send(i)
    await sender.sendBatch(Float64Array.from({ length: 100 }))
    sender.close()
  })

  let count = 0
  for await (const _ of receiver) count++
  await sending

  const { sentCount, receivedCount, waitCount } = executor().stats().channels
  assert.equal(count, 150)
  assert.deepEqual([sentCount - before.sentCount, receivedCount - before.receivedCount], [150, 150])
  // There is room for eight.
  assert.ok(waitCount > before.waitCount)
})

test('pauses of the garbage collector are counted where they are measured', LIMIT, async () => {
  const before = executor().stats().gc

  let kept: unknown[] = []
  while (executor().stats().gc.pauseCount < before.pauseCount + 3) {
    for (let i = 0; i < 20_000; i++) kept.push({ i })
    if (kept.length > 100_000) kept = []
    await new Promise((resolve) => setImmediate(resolve))
  }

  const { pauseNs, longestPauseNs } = executor().stats().gc
  assert.ok(pauseNs > before.pauseNs && longestPauseNs > 0 && longestPauseNs <= pauseNs)
})

test('the times of an executor add up to its life', LIMIT, async () => {
  // A busy machine may leave nothing of one wait to park for.
  do await sleep(5)
  while (executor().stats().parkedNs === 0)
  const { busyNs, parkedNs, spunNs } = executor().stats()
  const metrics = read()

  assert.ok(busyNs > 0 && parkedNs > 0, `${busyNs} ${parkedNs}`)
  assert.equal(spunNs, 0)
  const sum =
    metrics.percore_busy_seconds_total! +
    metrics.percore_parked_seconds_total! +
    metrics.percore_spun_seconds_total!
  assert.ok(Math.abs(sum - metrics.percore_uptime_seconds!) < 1e-6)
})

test(
  'what only grows never shrinks, whatever the thread does that is looked at',
  LIMIT,
  async () => {
    await using _ = await start('./restless-worker.js')
    const growing = ['busy', 'parked', 'spun'].map((name) => `percore_${name}_seconds_total`)

    let last = read('restless')
    for (let round = 0; round < 2000; round++) {
      const next = read('restless')
      for (const name of growing) assert.ok(next[name]! >= last[name]!, `${name} in round ${round}`)
      assert.ok(next.percore_turns_total! >= last.percore_turns_total!)
      last = next
    }

    // It polls before it sleeps, and sleeps.
    for (const name of growing) assert.ok(last[name]! > 0, name)
  },
)

test('a thread that hangs is busy all of the time, and held', LIMIT, async () => {
  await using _ = await start('./hanging-worker.js')

  const first = read('hangs')
  await sleep(20)
  const second = read('hangs')

  const elapsed = second.percore_uptime_seconds! - first.percore_uptime_seconds!
  const busy = second.percore_busy_seconds_total! - first.percore_busy_seconds_total!
  assert.ok(Math.abs(busy - elapsed) < 1e-6, `${busy} of ${elapsed}`)
  assert.ok(second.percore_held_seconds! - first.percore_held_seconds! > 0.019)
})

test('waking another thread is counted by both', LIMIT, async () => {
  const channel = createSharedChannel<number>({ capacity: 8, codec: 'numbers' })
  const answers = createSharedChannel<number>({ capacity: 8, codec: 'numbers' })
  await using _ = await start('./answering-worker.js', { channel, answers })
  const [sender, receiver] = [attachSender(channel), attachReceiver(answers)]

  // Until it was found asleep.
  for (let i = 0; executor().stats().channels.wakeCount === 0; i++) {
    await sender.send(i)
    assert.equal(await receiver.receive(), i)
    await sleep(1)
  }
  await sender.send(-1)
  await receiver.receive()

  assert.ok(read('answers').percore_ring_foreign_completions_total! > 0)
})
