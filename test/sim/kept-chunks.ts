/** What plain Node code makes of a stream's chunks: kept, collected, piped on. Every byte is checked at the end. */
import assert from 'node:assert/strict'
import { Readable, Transform, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { Prng } from '../../src/base/index.ts'
import { createTaskQueue, spawn, spawnInto } from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { planOf, randomBytes } from './program.ts'

const BYTES_MAX = 60_000
/** Of one write; small ones make many chunks, so that buffers come round while some are kept. */
const WRITE_BYTES_MAX = [300, 3_000, 20_000] as const

/** Receives a stream to its end, and keeps what it gives. */
type Collect = (stream: TcpStream) => Promise<Uint8Array[]>

const STYLES: Readonly<Record<string, Collect>> = {
  'for await': collectLoop,
  'read()': collectReads,
  'Array.fromAsync': collectFromAsync,
  'stream/consumers': async (stream) => [await buffer(stream)],
  'Readable.from': (stream) => collectLoop(Readable.from(stream)),
  'Readable.from of bytes': (stream) => collectLoop(Readable.from(stream, { objectMode: false })),
  pipeline: collectPipeline,
}

/** Runs all styles with the plan of a seed; what it returns says how much each has received. */
export function runKeptChunks(seed: number, trace?: (line: string) => void): Promise<string> {
  return simulate({ ...planOf(seed), trace }, () => keepChunks(seed))
}

/** The same on the kernel that there is. */
export async function keepChunks(seed: number): Promise<string> {
  const prng = new Prng(seed + 2)
  const received = Object.entries(STYLES).map(async ([name, collect]) => {
    const count = await transfer(prng, name, collect)
    return `${name}:${count}`
  })
  return (await Promise.all([...received, echoUnawaited(prng)])).join(' ')
}

/** One connection: the client sends, the server keeps, and compares when all has come. */
async function transfer(prng: Prng, name: string, collect: Collect): Promise<number> {
  const model = randomBytes(prng, prng.int(1, BYTES_MAX))
  const queue = createTaskQueue(name, prng.chance(0.3) ? { latency: { maxMs: 1 } } : {})
  await using listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
  const receiving = spawnInto(queue, async () => {
    await using server = await listener.accept()
    return await collect(server)
  })
  await using client = await TcpStream.connect({ host: '127.0.0.1', port: listener.address.port })
  await send(prng, client, model)
  const chunks = await receiving
  assertEqual(Buffer.concat(chunks), model, name)
  queue.remove()
  return model.length
}

/** A server that writes what comes without waiting, and whose streams are on the other ring. */
async function echoUnawaited(prng: Prng): Promise<string> {
  const model = randomBytes(prng, prng.int(1, BYTES_MAX))
  const queue = createTaskQueue('echo', { latency: { maxMs: 1 } })
  await using listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
  const { port } = listener.address
  const kept: Uint8Array[] = []
  const relaying = spawn(async () => {
    await using server = await listener.accept()
    const relayed = createRelay(queue, kept)
    for await (const chunk of server) relayed.write(chunk)
    await relayed.end()
  })
  await using client = await TcpStream.connect({ host: '127.0.0.1', port })
  await send(prng, client, model)
  await relaying
  queue.remove()
  assertEqual(Buffer.concat(kept), model, 'un-awaited writes')
  return `relayed:${model.length}`
}

/** Writes to a connection of a queue's own, un-awaited; its other end keeps what comes. */
function createRelay(
  queue: ReturnType<typeof createTaskQueue>,
  kept: Uint8Array[],
): { write(chunk: Uint8Array): void; end(): Promise<void> } {
  const waiting: Uint8Array[] = []
  const writes: Promise<unknown>[] = []
  let client: TcpStream | null = null
  const relaying = spawnInto(queue, async () => {
    await using listener = await TcpListener.bind({ port: 0, host: '127.0.0.1' })
    const accepting = listener.accept()
    client = await TcpStream.connect({ host: '127.0.0.1', port: listener.address.port })
    const server = await accepting
    for (const chunk of waiting.splice(0)) writes.push(client.write(chunk))
    return { client, server, received: spawn(() => collectLoop(server)) }
  })
  return {
    write(chunk): void {
      if (client === null || waiting.length > 0) waiting.push(chunk)
      else writes.push(client.write(chunk))
    },
    async end(): Promise<void> {
      const opened = await relaying
      await using _client = opened.client
      await using _server = opened.server
      for (const chunk of waiting.splice(0)) writes.push(opened.client.write(chunk))
      await Promise.all(writes)
      await opened.client.shutdown()
      kept.push(...(await opened.received))
    },
  }
}

async function send(prng: Prng, stream: TcpStream, model: Uint8Array): Promise<void> {
  const bytesMax = prng.pick(WRITE_BYTES_MAX)
  for (let offset = 0; offset < model.length; ) {
    const length = Math.min(prng.int(1, bytesMax), model.length - offset)
    await stream.write(model.subarray(offset, offset + length))
    offset += length
  }
  await stream.shutdown()
}

async function collectLoop(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const kept: Uint8Array[] = []
  for await (const chunk of chunks) kept.push(chunk)
  return kept
}

async function collectReads(stream: TcpStream): Promise<Uint8Array[]> {
  const kept: Uint8Array[] = []
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read())
    kept.push(chunk)
  return kept
}

/** `Array.fromAsync()`, which Node 20 does not have. */
async function collectFromAsync(stream: TcpStream): Promise<Uint8Array[]> {
  const chunks = stream[Symbol.asyncIterator]()
  const kept: Uint8Array[] = []
  for (let step = await chunks.next(); !step.done; step = await chunks.next()) kept.push(step.value)
  return kept
}

async function collectPipeline(stream: TcpStream): Promise<Uint8Array[]> {
  const kept: Uint8Array[] = []
  const invert = new Transform({
    transform(chunk: Buffer, _encoding, done): void {
      done(null, Buffer.from(chunk.map((byte) => ~byte)))
    },
  })
  const keep = new Writable({
    write(chunk: Buffer, _encoding, done): void {
      kept.push(chunk.map((byte) => ~byte))
      done()
    },
  })
  await pipeline(stream, invert, keep)
  return kept
}

function assertEqual(received: Uint8Array, model: Uint8Array, name: string): void {
  assert.equal(received.length, model.length, `${name}: all is received`)
  assert.equal(Buffer.compare(received, model), 0, `${name}: chunks stay as they were`)
}
