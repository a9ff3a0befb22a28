/** A program that uses everything at once and checks every byte, for simulations of many seeds. */
import assert from 'node:assert/strict'
import { Prng } from '../../src/base/index.ts'
import { createChannel } from '../../src/channels/index.ts'
import { createDeferred } from '../../src/executor/index.ts'
import { createTaskQueue, needPreempt, spawn, spawnInto, yieldNow } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import type { SimFaults, Simulation, SimulationOptions } from '../../src/testing/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'

const NS_PER_MS = 1e6
const BLOCK_BYTES = 4096
const TRIES_MAX = 100

/** What a seed makes of the machine; every third has errors beside what is merely unusual. */
export function planOf(seed: number): SimulationOptions {
  const prng = new Prng(seed)
  const isFaulty = prng.chance(0.8)
  const rarely = (): number => (isFaulty && prng.chance(0.5) ? prng.pick([0.001, 0.02, 0.2]) : 0)
  const faults: SimFaults = {
    shortRead: rarely(),
    shortWrite: rarely(),
    delay: rarely() / 10,
    reorder: rarely(),
    cqOverflow: rarely() / 4,
    multishotEnd: rarely(),
    lateCancel: rarely(),
    noBuffers: rarely() / 10,
    enterBusy: rarely() / 4,
  }
  const errors =
    seed % 3 === 0 ? { EIO: rarely() / 10, ENOSPC: rarely() / 10, EINTR: rarely() } : {}
  const ringDepth = prng.pick([8, 16, 64])
  return { seed, faults: { ...faults, errors }, executor: { ringDepth, ioMemoryBytes: 1 << 20 } }
}

/** Runs the program with the plan of a seed; what it returns says what it did. */
export function runSeed(seed: number, trace?: (line: string) => void): Promise<string> {
  return simulate({ ...planOf(seed), trace }, mixedProgram)
}

/** Tasks, timers, files and sockets at the same time. */
export async function mixedProgram(simulation: Simulation): Promise<string> {
  const prng = new Prng(simulation.seed + 1)
  const done = await Promise.all([
    runQueues(simulation, prng),
    runCancels(simulation, prng),
    runChannel(prng),
    runDirectFile(prng),
    runBufferedFile(simulation, prng),
    runEcho(prng, 'first'),
    runEcho(prng, 'second'),
    runImpatientReader(prng),
    runImpatientFile(prng),
    runImpatientAccept(prng),
  ])
  // Alone, since it breaks whatever connection there is.
  const broken = await runBrokenConnection(simulation, prng)
  return [...done, broken].join(' ')
}

async function runQueues({ executor }: Simulation, prng: Prng): Promise<string> {
  const queues = [
    createTaskQueue('serving', { shares: 1000, latency: { maxMs: 2 } }),
    createTaskQueue('compaction', { shares: prng.int(1, 1000) }),
  ]
  const semaphore = new Semaphore(prng.int(1, 3))
  const taskCount = prng.int(2, 8)
  let inside = 0
  let finished = 0
  const tasks = Array.from({ length: taskCount }, () =>
    spawnInto(prng.pick(queues), async () => {
      for (let round = prng.int(1, 3); round > 0; round--) {
        using _permit = await semaphore.acquire(1)
        inside++
        assert.ok(inside <= 3)
        const startNs = executor.nowNs()
        const ms = prng.int(0, 5)
        await sleep(ms)
        assert.ok(executor.nowNs() - startNs >= ms * NS_PER_MS, 'a sleep is never short')
        for (let spin = prng.int(0, 20); spin > 0; spin--) if (needPreempt()) await yieldNow()
        inside--
      }
      finished++
    }),
  )
  await Promise.all(tasks)
  assert.equal(finished, taskCount)
  assert.equal(inside, 0)
  for (const queue of queues) queue.remove()
  return `tasks:${taskCount}`
}

async function runCancels({ executor }: Simulation, prng: Prng): Promise<string> {
  let cancelledCount = 0
  for (let round = 0; round < 4; round++) {
    const task = spawn(() => sleep(prng.int(1, 4)))
    await sleep(prng.int(0, 4))
    const isDone = task.isDone
    await task.cancel()
    if (isDone) assert.equal(task.state, 'fulfilled')
    else cancelledCount++
    assert.ok(task.isDone)
  }
  const startNs = executor.nowNs()
  const limitMs = prng.int(1, 5)
  await assert.rejects(sleep(60_000, { signal: timeoutSignal(limitMs) }), { name: 'AbortError' })
  assert.ok(executor.nowNs() - startNs < 60_000 * NS_PER_MS)
  return `cancelled:${cancelledCount}`
}

/** An abort in virtual time, where AbortSignal.timeout would use the real one. */
function timeoutSignal(ms: number): AbortSignal {
  const controller = new AbortController()
  spawn(async () => {
    await sleep(ms)
    controller.abort()
  })
  return controller.signal
}

async function runChannel(prng: Prng): Promise<string> {
  const { sender, receiver } = createChannel<number>({ capacity: prng.int(1, 4) })
  const count = prng.int(1, 200)
  const producer = spawn(async () => {
    for (let item = 0; item < count; item++) {
      await sender.send(item)
      if (prng.chance(0.1)) await yieldNow()
    }
    sender.close()
  })
  let expected = 0
  for await (const item of receiver) assert.equal(item, expected++)
  await producer
  assert.equal(expected, count)
  return `items:${count}`
}

async function runDirectFile(prng: Prng): Promise<string> {
  const blockCount = prng.int(1, 8)
  const model = randomBytes(prng, blockCount * BLOCK_BYTES)
  await using file = await persist(() => DirectFile.create('/tmp/direct'))
  const order = prng.shuffle(Array.from({ length: blockCount }, (_, index) => index))
  await Promise.all(
    order.map(async (index) => {
      using buffer = file.allocateBuffer(BLOCK_BYTES)
      const start = index * BLOCK_BYTES
      buffer.bytes.set(model.subarray(start, start + BLOCK_BYTES))
      const written = await persist(() => file.write(buffer, start))
      assert.equal(written, BLOCK_BYTES)
    }),
  )
  for (let round = 0; round < 3; round++) {
    const start = prng.int(0, model.length - 1)
    const length = prng.int(1, model.length - start)
    using result = await persist(() => file.read(start, length))
    assert.deepEqual(Buffer.from(result.bytes), Buffer.from(model.subarray(start, start + length)))
  }
  await persist(() => file.datasync())
  return `blocks:${blockCount}`
}

async function runBufferedFile({ kernel }: Simulation, prng: Prng): Promise<string> {
  const path = '/tmp/buffered'
  const model = randomBytes(prng, prng.int(1, 20_000))
  await using file = await persist(() => BufferedFile.create(path))
  for (let offset = 0; offset < model.length; ) {
    const length = Math.min(prng.int(1, 5_000), model.length - offset)
    const part = model.subarray(offset, offset + length)
    assert.equal(await persist(() => file.write(part, offset)), length)
    offset += length
  }
  assert.equal(await persist(() => file.size()), model.length)
  assert.deepEqual(Buffer.from(kernel.files.readFile(path)!), Buffer.from(model))
  return `bytes:${model.length}`
}

/** Half of the servers are sensitive to latency, and have the other ring. */
async function runEcho(prng: Prng, name: string): Promise<string> {
  const queue = createTaskQueue(name, prng.chance(0.5) ? { latency: { maxMs: 1 } } : {})
  const opened = createDeferred<TcpListener>()
  const clientCount = prng.int(1, 3)
  const serving = spawnInto(queue, async () => {
    await using listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
    opened.resolve(listener)
    const tasks = []
    for (let index = 0; index < clientCount; index++) {
      const stream = await listener.accept()
      tasks.push(spawnInto(queue, () => echo(stream)))
    }
    await Promise.all(tasks)
  })
  const { port } = (await opened.promise).address
  const sizes = await Promise.all(Array.from({ length: clientCount }, () => runClient(port, prng)))
  await serving
  queue.remove()
  return `echoed:${sizes.reduce((sum, size) => sum + size, 0)}`
}

async function echo(stream: TcpStream): Promise<void> {
  await using owned = stream
  for await (const chunk of owned) await owned.write(chunk)
  await owned.shutdown()
}

async function runClient(port: number, prng: Prng): Promise<number> {
  const model = randomBytes(prng, prng.int(1, 100_000))
  await using stream = await TcpStream.connect({ host: '127.0.0.1', port })
  const writing = spawn(async () => {
    for (let offset = 0; offset < model.length; ) {
      const length = Math.min(prng.int(1, 30_000), model.length - offset)
      await stream.write(model.subarray(offset, offset + length))
      offset += length
    }
    await stream.shutdown()
  })
  let received = 0
  for await (const chunk of stream) {
    const expected = model.subarray(received, received + chunk.length)
    assert.equal(Buffer.compare(chunk, expected), 0, 'an echo is what was sent')
    received += chunk.length
  }
  await writing
  assert.equal(received, model.length)
  return received
}

/** A reader that gives up again and again, and may lose nothing by it. */
async function runImpatientReader(prng: Prng): Promise<string> {
  await using listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
  const accepting = listener.accept()
  const { port } = listener.address
  await using writer = await TcpStream.connect({ host: '127.0.0.1', port })
  await using reader = await accepting
  const model = randomBytes(prng, prng.int(1, 5_000))
  const writing = spawn(async () => {
    for (let offset = 0; offset < model.length; ) {
      const length = Math.min(prng.int(1, 700), model.length - offset)
      await writer.write(model.subarray(offset, offset + length))
      offset += length
      if (prng.chance(0.5)) await sleep(prng.int(0, 3))
    }
    await writer.shutdown()
  })
  let received = 0
  let gaveUpCount = 0
  for (;;) {
    try {
      const chunk = await reader.read({ timeoutMs: prng.pick([0, 0.01, 0.1, 1]) })
      if (chunk === null) break
      const expected = model.subarray(received, received + chunk.length)
      assert.equal(Buffer.compare(chunk, expected), 0, 'a read that was given up loses nothing')
      received += chunk.length
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_TASK_TIMEOUT') throw error
      gaveUpCount++
    }
  }
  await writing
  assert.equal(received, model.length)
  return `given-up:${gaveUpCount}`
}

/** Files opened, read and written by tasks that are cancelled at any time: nothing may leak. */
async function runImpatientFile(prng: Prng): Promise<string> {
  const path = '/tmp/impatient'
  let endedCount = 0
  for (let round = 0; round < 6; round++) {
    const task = spawn(async () => {
      await using file = await BufferedFile.create(path)
      await file.write(new Uint8Array(10_000).fill(round), 0)
      await file.read(0, 10_000)
    })
    const ending = task.then(
      () => 'ended',
      (error: unknown) => (error as { code: string }).code,
    )
    await sleep(prng.pick([0, 0.05, 0.2, 0.5, 1, 3]))
    await task.cancel()
    const outcome = await ending
    const isExpected = ['ended', 'ERR_TASK_CANCELLED', 'EIO', 'ENOSPC', 'EINTR'].includes(outcome)
    assert.ok(isExpected, outcome)
    if (outcome === 'ended') endedCount++
  }
  return `survived:${endedCount}`
}

/** Accepts that are given up, while connections come: each is accepted once, or reset. */
async function runImpatientAccept(prng: Prng): Promise<string> {
  await using listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
  const { port } = listener.address
  const clientCount = prng.int(1, 4)
  const clients = spawn(async () => {
    for (let index = 0; index < clientCount; index++) {
      await sleep(prng.pick([0, 0.05, 1]))
      await using client = await TcpStream.connect({ host: '127.0.0.1', port })
      await client.write(Uint8Array.of(index))
    }
  })
  const seen: number[] = []
  while (seen.length < clientCount) {
    try {
      await using stream = await listener.accept({ timeoutMs: prng.pick([0, 0.05, 0.5]) })
      const chunk = await stream.read()
      seen.push(chunk![0]!)
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_TASK_TIMEOUT') throw error
    }
  }
  await clients
  assert.deepEqual(
    seen,
    Array.from({ length: clientCount }, (_, index) => index),
  )
  return `accepted:${clientCount}`
}

/** A connection that breaks while both ends are busy: what arrived is right, and both ends hear of it. */
async function runBrokenConnection({ kernel }: Simulation, prng: Prng): Promise<string> {
  await using listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
  const accepting = listener.accept()
  await using client = await TcpStream.connect({
    host: '127.0.0.1',
    port: listener.address.port,
  })
  await using server = await accepting
  const fds = socketFds(kernel)
  const model = randomBytes(prng, 50_000)
  const sending = spawn(async () => {
    for (;;) await client.write(model)
  })
  const sent = sending.then(
    () => 'ended',
    (error: unknown) => (error as { code: string }).code,
  )
  let received = 0
  let outcome = 'ended'
  const breakAtBytes = prng.int(0, 200_000)
  try {
    for await (const chunk of server) {
      for (let index = 0; index < chunk.length; index += 97) {
        assert.equal(chunk[index], model[(received + index) % model.length])
      }
      received += chunk.length
      if (received > breakAtBytes) kernel.resetConnection(prng.pick(fds))
    }
  } catch (error) {
    outcome = (error as { code: string }).code
  }
  const codes = ['ECONNRESET', 'EPIPE', 'ended']
  assert.ok(codes.includes(outcome), outcome)
  assert.ok(codes.includes(await sent), await sent)
  return `broken:${received}`
}

function socketFds(kernel: Simulation['kernel']): number[] {
  const { descriptors } = kernel.leftovers()
  return descriptors.filter((text) => text.includes('connected')).map((text) => parseInt(text, 10))
}

/** Tries again after an error that the simulation may inject. */
async function persist<T>(body: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await body()
    } catch (error) {
      const code = (error as { code?: unknown }).code
      const isInjected = code === 'EIO' || code === 'ENOSPC' || code === 'EINTR'
      if (!isInjected || tries === TRIES_MAX) throw error
    }
  }
}

export function randomBytes(prng: Prng, length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  for (let index = 0; index < words.length; index++) words[index] = prng.uint32()
  return new Uint8Array(words.buffer, 0, length)
}
