/** Streams of the Web over sources and sinks, and the other way round. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ByteReader,
  fromIterable,
  fromWebReadable,
  fromWebWritable,
  pipe,
  toWebReadable,
  toWebWritable,
} from '../../src/streams/index.ts'
import { Pair, pattern } from '../net/support.ts'
import { collect, cut, TestSink, TestSource, textOf } from './support.ts'

type Bytes = { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }

const WHOLE = Buffer.from(pattern(0, 100_000))

test('toWebReadable() is a body of a Response, and is iterated', async () => {
  const make = (): ReadableStream<Uint8Array> =>
    toWebReadable(new TestSource(...cut(WHOLE, [9_000]), null))

  assert.deepEqual(Buffer.from(await new Response(make()).arrayBuffer()), WHOLE)
  assert.deepEqual(Buffer.concat(await collect(make())), WHOLE)
})

test('toWebReadable() goes through compression and back', async () => {
  const stream = toWebReadable(new TestSource(...cut(WHOLE, [9_000]), null))
    .pipeThrough(new CompressionStream('gzip') as unknown as Bytes)
    .pipeThrough(new DecompressionStream('gzip') as unknown as Bytes)

  assert.deepEqual(Buffer.from(await new Response(stream).arrayBuffer()), WHOLE)
})

test('toWebReadable() pulls for a reader, not ahead', async () => {
  const source = new TestSource('one', 'two', null)
  const reader = toWebReadable(source).getReader()
  await new Promise(setImmediate)
  assert.equal(source.pullCount, 0)

  assert.equal(textOf((await reader.read()).value ?? null), 'one')

  assert.equal(source.pullCount, 1)
  assert.equal(source.heldCount, 0)
})

test('toWebReadable() fills the memory that a byob reader brings, piece by piece', async () => {
  const source = new TestSource('abcdefgh', 'ij', null)
  const reader = toWebReadable(source).getReader({ mode: 'byob' })
  const parts: (string | null)[] = []

  let memory = new Uint8Array(3)
  while (true) {
    const { done, value } = await reader.read(memory)
    if (done) break
    parts.push(textOf(value))
    memory = new Uint8Array(value.buffer as ArrayBuffer)
  }

  assert.deepEqual(parts, ['abc', 'def', 'gh', 'ij'])
  assert.equal(source.heldCount, 0)
})

test('cancelling what toWebReadable() made closes the source and gives pieces back', async () => {
  const source = new TestSource('abcdefgh')
  const reader = toWebReadable(source).getReader({ mode: 'byob' })
  await reader.read(new Uint8Array(3))
  assert.equal(source.heldCount, 1)

  await reader.cancel()

  assert.equal(source.heldCount, 0)
  assert.equal(source.closeCount, 1)
})

test('cancelling while a read is pending ends it, and loses no lease', async () => {
  const source = new TestSource()
  const reader = toWebReadable(source).getReader()
  const reading = reader.read()
  while (source.pullCount === 0) await new Promise(setImmediate)

  await reader.cancel()

  assert.equal((await reading).done, true)
  assert.equal(source.closeCount, 1)
})

test('a failure of the source errors the stream, and closes the source', async () => {
  const failure = new Error('broken')
  const source = new TestSource('one', failure)

  await assert.rejects(new Response(toWebReadable(source)).text(), failure)
  assert.equal(source.closeCount, 1)
})

test('toWebWritable() writes in order and ends the sink', async () => {
  const sink = new TestSink()

  await new Response(WHOLE).body!.pipeTo(toWebWritable(sink))

  assert.deepEqual(Buffer.concat(sink.chunks), WHOLE)
  assert.equal(sink.isEnded, true)
})

test('toWebWritable() takes any bytes, and refuses text', async () => {
  const sink = new TestSink()
  const writer = toWebWritable(sink).getWriter()

  await writer.write(new Uint16Array([0x6261]) as never)
  await writer.write(Buffer.from('c').buffer.slice(0, 0) as never)
  await assert.rejects(writer.write('text' as never), /TextEncoderStream/)

  assert.equal(sink.text, 'ab')
  assert.equal(sink.abortCount, 1)
})

test('a failure of the sink fails pipeTo(), and aborting aborts the sink', async () => {
  const failing = new TestSink()
  failing.failsAfter = 0
  await assert.rejects(new Response('text').body!.pipeTo(toWebWritable(failing)), failing.failure)

  const sink = new TestSink()
  const reason = new Error('enough')
  await toWebWritable(sink).abort(reason)
  assert.equal(sink.abortReason, reason)
})

test('streams of the Web fail with what failed first, though putting it right fails too', async () => {
  const second = async (): Promise<void> => {
    throw new Error('second')
  }
  const failure = new Error('first')
  const source = new TestSource(failure)
  source.close = second
  const sink = new TestSink()
  sink.failsAfter = 0
  sink.abort = second

  await assert.rejects(new Response(toWebReadable(source)).text(), failure)
  const writer = toWebWritable(sink).getWriter()
  await assert.rejects(writer.write(Buffer.from('text')), sink.failure)
  await assert.rejects(writer.closed, sink.failure)
})

test('fromWebReadable() gives a body line by line, and closing it cancels the stream', async () => {
  const reader = new ByteReader(fromWebReadable(new Response('one\ntwo\n').body!))
  assert.deepEqual(await collect(reader.lines()), ['one', 'two'])

  let cancelled = false
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(10)),
    cancel: () => {
      cancelled = true
    },
  })
  await fromWebReadable(endless).close()
  assert.equal(cancelled, true)
})

test('fromWebReadable() fails as the stream does', async () => {
  const failure = new Error('broken')
  const stream = new ReadableStream<Uint8Array>({ pull: (it) => it.error(failure) })

  await assert.rejects(fromWebReadable(stream).pull(), failure)
})

test('fromWebWritable() gives what is pushed, waits for room, and closes', async () => {
  const chunks: Uint8Array[] = []
  let isClosed = false
  const stream = new WritableStream<Uint8Array>({
    write: async (chunk) => {
      await new Promise(setImmediate)
      chunks.push(chunk)
    },
    close: () => {
      isClosed = true
    },
  })

  assert.equal(await pipe(fromIterable(cut(WHOLE, [9_000])), fromWebWritable(stream)), WHOLE.length)

  assert.deepEqual(Buffer.concat(chunks), WHOLE)
  assert.equal(isClosed, true)
})

test('fromWebWritable() fails as the stream does, and aborts it', async () => {
  const failure = new Error('full')
  const failing = fromWebWritable(
    new WritableStream({
      write: () => {
        throw failure
      },
    }),
  )
  await assert.rejects(pipe(fromIterable(['a', 'b', 'c', 'd']), failing), failure)

  let reason: unknown
  const sink = fromWebWritable(
    new WritableStream({
      abort: (why) => {
        reason = why
      },
    }),
  )
  await sink.abort?.(failure)
  assert.equal(reason, failure)
})

test('a connection is two streams of the Web', async () => {
  await using pair = await Pair.open()
  const echoing = toWebReadable(pair.server).pipeTo(toWebWritable(pair.server))

  const writing = new Response(WHOLE).body!.pipeTo(toWebWritable(pair.client))
  const answer = await new Response(toWebReadable(pair.client)).arrayBuffer()

  assert.deepEqual(Buffer.from(answer), WHOLE)
  await Promise.all([writing, echoing])
})

test('what is no stream, or locked, is refused', () => {
  const locked = new ReadableStream<Uint8Array>()
  locked.getReader()

  assert.throws(() => toWebReadable({} as never), TypeError)
  assert.throws(() => toWebWritable({} as never), TypeError)
  assert.throws(() => fromWebReadable(locked), TypeError)
  assert.throws(() => fromWebReadable({} as never), TypeError)
  assert.throws(() => fromWebWritable({} as never), TypeError)
})
