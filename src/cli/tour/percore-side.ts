/** The tour's measures with percore, on the one thread of this process. */

import { MIB, NS_PER_MS } from '../../base/index.ts'
import { createTaskQueue, needPreempt, spawnInto, yieldNow } from '../../executor/index.ts'
import { DirectFile, type Lease } from '../../io/index.ts'
import { TcpListener, TcpStream } from '../../net/index.ts'
import { Runtime } from '../../runtime/index.ts'
import { sleep } from '../../time/index.ts'
import { answerOrders } from './answers.ts'
import {
  BLOCK_BYTES,
  BURST_MS,
  type CoresArgs,
  type CoresResult,
  checkBlock,
  type EchoArgs,
  fillBlock,
  LATENCY_MS_MAX,
  MESSAGE_BYTES,
  measureRate,
  nextDueMs,
  percentile,
  type Rate,
  type ReadArgs,
  remainingMs,
  type SharesArgs,
  type SharesResult,
  type StartDelayArgs,
  type StartDelayResult,
  type WriteArgs,
  workOneUnit,
} from './measures.ts'

const PIECE_BYTES = MIB
const WRITERS = 8

answerOrders({ write, reads, echo, shares, startDelay, cores })

async function write(args: WriteArgs): Promise<{ seconds: number; isDirect: boolean }> {
  const options = { read: true, write: true, fallback: 'buffered' } as const
  await using file = await DirectFile.open(args.path, options)
  const fromMs = performance.now()
  let offset = 0
  const writeSome = async (): Promise<void> => {
    using buffer = file.allocateBuffer(PIECE_BYTES)
    const words = wordsOf(buffer)
    while (offset < args.sizeBytes) {
      const start = offset
      offset += PIECE_BYTES
      for (let at = 0; at < PIECE_BYTES; at += BLOCK_BYTES) {
        fillBlock(words, at / 4, (start + at) / BLOCK_BYTES)
      }
      await file.write(buffer, start)
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, writeSome))
  await file.sync()
  return { seconds: (performance.now() - fromMs) / 1_000, isDirect: file.isDirect }
}

async function reads({ path, sizeBytes, depth, durationMs }: ReadArgs): Promise<Rate> {
  await using file = await DirectFile.open(path, { fallback: 'buffered' })
  const blockCount = sizeBytes / BLOCK_BYTES
  const buffers = Array.from({ length: depth }, () => file.allocateBuffer(BLOCK_BYTES))
  const readOn = async (buffer: Lease, clock: { isOver: boolean }): Promise<number> => {
    const words = wordsOf(buffer)
    let count = 0
    while (!clock.isOver) {
      const block = Math.floor(Math.random() * blockCount)
      await file.readInto(buffer, block * BLOCK_BYTES)
      checkBlock(words, 0, block)
      count++
    }
    return count
  }
  try {
    return await measureRate(durationMs, (clock) => buffers.map((buffer) => readOn(buffer, clock)))
  } finally {
    for (const buffer of buffers) buffer.release()
  }
}

function wordsOf(buffer: Lease): Uint32Array {
  const { bytes } = buffer
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
}

async function echo({ connections, durationMs }: EchoArgs): Promise<Rate> {
  await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const serving = serve(listener)
  const { port } = listener.address
  const clients = await Promise.all(
    Array.from({ length: connections }, () => TcpStream.connect({ host: '127.0.0.1', port })),
  )
  try {
    return await measureRate(durationMs, (clock) => clients.map((client) => talk(client, clock)))
  } finally {
    await Promise.all(clients.map((client) => client.close()))
    await listener.close()
    await serving
  }
}

async function serve(listener: TcpListener): Promise<void> {
  const served: Promise<void>[] = []
  for await (const stream of listener) served.push(serveOne(stream))
  await Promise.all(served)
}

async function serveOne(stream: TcpStream): Promise<void> {
  await using owned = stream
  for await (const chunk of owned) await owned.write(chunk)
}

async function talk(client: TcpStream, clock: { isOver: boolean }): Promise<number> {
  const message = new Uint8Array(MESSAGE_BYTES).fill(7)
  let count = 0
  while (!clock.isOver) {
    await client.write(message)
    for (let received = 0; received < MESSAGE_BYTES; ) {
      const chunk = await client.read()
      if (chunk === null || chunk[0] !== 7) throw new Error('Cannot go on: the echo was wrong')
      received += chunk.length
    }
    count++
  }
  return count
}

async function shares({ durationMs }: SharesArgs): Promise<SharesResult> {
  const queues = [
    createTaskQueue('two', { shares: 1000 }),
    createTaskQueue('one', { shares: 500 }),
  ] as const
  const clock = { untilMs: performance.now() + durationMs }
  const [two, one] = await Promise.all([
    spawnInto(queues[0], () => workOn(clock)),
    spawnInto(queues[1], () => workOn(clock)),
  ])
  const timesMs = queues.map((queue) => queue.stats().runtimeNs / NS_PER_MS)
  for (const queue of queues) queue.remove()
  return { units: [two, one], timesMs: [timesMs[0]!, timesMs[1]!] }
}

async function startDelay({ durationMs }: StartDelayArgs): Promise<StartDelayResult> {
  const urgent = createTaskQueue('urgent', { latency: { maxMs: LATENCY_MS_MAX } })
  const busy = createTaskQueue('busy')
  const clock = { untilMs: performance.now() + durationMs }
  const [delaysMs, units] = await Promise.all([
    spawnInto(urgent, () => startOnTime(clock)),
    spawnInto(busy, () => workOn(clock)),
  ])
  for (const queue of [urgent, busy]) queue.remove()
  return {
    p50Ms: percentile(delaysMs, 0.5),
    p99Ms: percentile(delaysMs, 0.99),
    unitsPerSecond: units / (durationMs / 1_000),
  }
}

/** Busy work in bursts that end early when somebody may not wait. */
async function workOn(clock: { readonly untilMs: number }): Promise<number> {
  let count = 0
  while (performance.now() < clock.untilMs) {
    count += workOneBurst(Math.min(performance.now() + BURST_MS, clock.untilMs))
    await yieldNow()
  }
  return count
}

// Not within the async function, where V8 leaves the hot loop half compiled: four times as slow.
function workOneBurst(untilMs: number): number {
  let count = 0
  do {
    workOneUnit()
    count++
  } while (!needPreempt() && performance.now() < untilMs)
  return count
}

/** Starts something each period, and returns how late each start was. */
async function startOnTime(clock: { readonly untilMs: number }): Promise<number[]> {
  const delaysMs: number[] = []
  let dueMs = performance.now()
  while (performance.now() < clock.untilMs) {
    dueMs = nextDueMs(dueMs, performance.now())
    await sleep(remainingMs(dueMs, performance.now()))
    delaysMs.push(performance.now() - dueMs)
  }
  return delaysMs
}

/** A thread on each processor, first one at work, then all. */
async function cores({ durationMs }: CoresArgs): Promise<CoresResult> {
  const runtime = await Runtime.start({
    layout: ({ cpus }) =>
      cpus.ids.map((id) => ({ kind: 'task', cpus: cpus.filter((cpu) => cpu.id === id) })),
  })
  try {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const module = new URL(`./cores-work.${extension}`, import.meta.url)
    const work = { module, name: 'workFor', argument: durationMs }
    const { drivers } = runtime
    const aloneRate = await drivers[0]!.run<number>(work)
    const rates = await Promise.all(drivers.map((driver) => driver.run<number>(work)))
    const togetherRate = rates.reduce((sum, rate) => sum + rate, 0)
    return { processorCount: drivers.length, aloneRate, togetherRate }
  } finally {
    await runtime.stop()
  }
}
