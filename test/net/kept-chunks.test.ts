/** What plain Node code makes of a stream's chunks, which it keeps, pipes and sends elsewhere. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { after, before, test } from 'node:test'
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { createGzip, gunzipSync } from 'node:zlib'
import type { TcpStream } from '../../src/net/index.ts'
import { Pair, pattern } from './support.ts'

const SIZE = 3_000_000
const data = pattern(0, SIZE)
let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'percore-kept-chunks-'))
})

after(async () => {
  await rm(folder, { recursive: true })
})

async function collect(chunks: AsyncIterable<unknown>): Promise<Buffer> {
  const kept: Uint8Array[] = []
  for await (const chunk of chunks) kept.push(chunk as Uint8Array)
  return Buffer.concat(kept)
}

async function gzipped(stream: TcpStream): Promise<Buffer> {
  const kept: Uint8Array[] = []
  const sink = new Writable({
    write: (chunk: Uint8Array, _encoding, done) => {
      kept.push(chunk)
      done()
    },
  })
  await pipeline(stream, createGzip({ level: 1 }), sink)
  return gunzipSync(Buffer.concat(kept))
}

/** What a thread is sent: chunks, sent on as they come, and looked at when all have come. */
async function posted(stream: TcpStream): Promise<Buffer> {
  const { port1, port2 } = new MessageChannel()
  for await (const chunk of stream) port1.postMessage(chunk)
  const kept: Uint8Array[] = []
  for (let next = receiveMessageOnPort(port2); next; next = receiveMessageOnPort(port2)) {
    kept.push(next.message as Uint8Array)
  }
  port1.close()
  return Buffer.concat(kept)
}

async function hashed(stream: TcpStream): Promise<Buffer> {
  const hash = createHash('sha1')
  for await (const chunk of stream) hash.update(chunk)
  assert.equal(hash.digest('hex'), createHash('sha1').update(data).digest('hex'))
  return Buffer.from(data)
}

async function readAll(stream: TcpStream): Promise<Buffer> {
  const kept: Uint8Array[] = []
  for (let next = await stream.read(); next !== null; next = await stream.read()) kept.push(next)
  return Buffer.concat(kept)
}

async function consumed(stream: TcpStream): Promise<Buffer> {
  const kept: Uint8Array[] = []
  await new Promise<void>((resolve) => {
    stream.consume({ onChunk: (chunk) => kept.push(chunk), onEnd: () => resolve() })
  })
  return Buffer.concat(kept)
}

const PROGRAMS: Readonly<Record<string, (stream: TcpStream) => Promise<Uint8Array>>> = {
  'for await': collect,
  'read()': readAll,
  'consume()': consumed,
  'node:stream/consumers': (stream) => buffer(stream as unknown as Readable),
  'Readable.from()': (stream) => collect(Readable.from(stream)),
  'Readable.from() of bytes': (stream) => collect(Readable.from(stream, { objectMode: false })),
  'pipeline() to gzip': gzipped,
  'pipeline() to a file': async (stream) => {
    const path = join(folder, 'piped')
    await pipeline(stream, createWriteStream(path))
    return await readFile(path)
  },
  'writeFile()': async (stream) => {
    const path = join(folder, 'written')
    await writeFile(path, stream)
    return await readFile(path)
  },
  Response: async (stream) => {
    const response = new Response(stream as unknown as ReadableStream)
    return new Uint8Array(await response.arrayBuffer())
  },
  'postMessage()': posted,
  'hash.update()': hashed,
}

for (const [name, program] of Object.entries(PROGRAMS)) {
  test(`${name} of a stream gets every byte`, async () => {
    await using pair = await Pair.open()
    const sending = (async () => {
      for (let start = 0; start < SIZE; start += 100_000) {
        await pair.client.write(data.subarray(start, start + 100_000))
      }
      await pair.client.shutdown()
    })()

    const received = await program(pair.server)

    await sending
    assert.equal(Buffer.compare(received, data), 0)
  })
}

test('a message of a few bytes is sent to a thread as that, not with the memory around it', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 5))
  const chunk = await pair.server.read()

  const clone = structuredClone(chunk!)

  assert.deepEqual(clone, pattern(0, 5))
  assert.equal(clone.buffer.byteLength, 5)
})
