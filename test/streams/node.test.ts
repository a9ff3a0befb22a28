/** Streams of Node over sources and sinks, and the other way round, used as Node's are. */
import assert from 'node:assert/strict'
import { spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { createGunzip, createGzip } from 'node:zlib'
import { allocateBuffer } from '../../src/index.ts'
import {
  ByteReader,
  fromIterable,
  fromNodeReadable,
  fromNodeWritable,
  pipe,
  toNodeDuplex,
  toNodeReadable,
  toNodeWritable,
} from '../../src/streams/index.ts'
import { Pair, pattern } from '../net/support.ts'
import { collect, cut, TestSink, TestSource, textOf } from './support.ts'

const WHOLE = Buffer.from(pattern(0, 200_000))

test('toNodeReadable() is read by consumers, for await and pipeline', async () => {
  const make = (): Readable => toNodeReadable(new TestSource(...cut(WHOLE, [30_000]), null))
  const sink = new TestSink()

  assert.deepEqual(await buffer(make()), WHOLE)
  assert.deepEqual(Buffer.concat(await collect(make())), WHOLE)
  await pipeline(make(), createGzip(), createGunzip(), toNodeWritable(sink))

  assert.deepEqual(Buffer.concat(sink.chunks), WHOLE)
  assert.equal(sink.isEnded, true)
})

test('toNodeReadable() gives chunks for good, and pulls as far as Node has room', async () => {
  const source = new TestSource(...cut(WHOLE, [1_000]), null)
  const readable = toNodeReadable(source, { highWaterMark: 4_000 })

  readable.read(0)
  while (readable.readableLength < 4_000) await new Promise(setImmediate)
  await new Promise(setImmediate)

  assert.equal(source.pullCount, 4)
  assert.equal(source.heldCount, 0)
  assert.deepEqual(readable.read(4_000), WHOLE.subarray(0, 4_000))
})

test('destroying what toNodeReadable() made closes the source, unless it has ended', async () => {
  const early = new TestSource('one')
  const readable = toNodeReadable(early)
  readable.resume()
  while (early.pullCount < 2) await new Promise(setImmediate)
  readable.destroy()
  await once(readable, 'close')
  assert.equal(early.closeCount, 1)

  const ended = new TestSource('one', null)
  assert.equal(await text(toNodeReadable(ended)), 'one')
  assert.equal(ended.closeCount, 0)
})

test('a failure of the source destroys what toNodeReadable() made', async () => {
  const failure = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  const source = new TestSource('one', failure)

  await assert.rejects(buffer(toNodeReadable(source)), failure)

  assert.equal(source.closeCount, 1)
})

test('leaving a loop over what toNodeReadable() made closes the source', async () => {
  const source = new TestSource('one', 'two')

  for await (const _chunk of toNodeReadable(source)) break

  assert.equal(source.closeCount, 1)
})

test('toNodeReadable() is aborted by its signal', async () => {
  const controller = new AbortController()
  const source = new TestSource('one')
  const readable = toNodeReadable(source, { signal: controller.signal })
  const reading = text(readable)
  while (source.pullCount < 2) await new Promise(setImmediate)

  controller.abort()

  await assert.rejects(reading, { name: 'AbortError' })
  assert.equal(source.closeCount, 1)
})

test('toNodeWritable() writes strings and bytes in order, many together', async () => {
  const sink = new TestSink()
  const writable = toNodeWritable(sink)

  for (let i = 0; i < 100; i++) writable.write(`${i},`)
  writable.end(Buffer.from('end'))
  await finished(writable)

  assert.equal(sink.text, `${Array.from({ length: 100 }, (_, i) => i).join(',')},end`)
  assert.equal(sink.isEnded, true)
  assert.equal(sink.abortCount, 0)
})

test('toNodeWritable() asks writers to wait while the sink does', async () => {
  const sink = new TestSink()
  let open = (): void => {}
  sink.gate = new Promise((resolve) => {
    open = resolve
  })
  const writable = toNodeWritable(sink, { highWaterMark: 10 })

  assert.equal(writable.write('12345678901'), false)
  open()
  await once(writable, 'drain')

  writable.end()
  await finished(writable)
})

test('a failure of the sink fails the pipeline, which aborts it', async () => {
  const sink = new TestSink()
  sink.failsAfter = 2
  const source = new TestSource(...cut(WHOLE, [10_000]), null)

  await assert.rejects(pipeline(toNodeReadable(source), toNodeWritable(sink)), { code: 'ENOSPC' })

  assert.equal(sink.abortReason, sink.failure)
  assert.equal(source.closeCount, 1)
})

test('a failure at the end of the sink is one of the pipeline', async () => {
  const sink = new TestSink()
  sink.end = async () => {
    throw sink.failure
  }

  await assert.rejects(pipeline(Readable.from(['x']), toNodeWritable(sink)), { code: 'ENOSPC' })
})

test('destroying what toNodeWritable() made before its end aborts the sink', async () => {
  const sink = new TestSink()
  const writable = toNodeWritable(sink)
  writable.write('half')

  writable.destroy()
  await once(writable, 'close')

  assert.equal(sink.abortCount, 1)
  assert.equal(sink.isEnded, false)
})

test('toNodeDuplex() over a connection is one that node:http serves and asks by', async () => {
  await using pair = await Pair.open()
  const server = createServer(async (incoming, response) => {
    response.end(`${incoming.method} ${await text(incoming)}`)
  })
  const duplexes = [toNodeDuplex(pair.server), toNodeDuplex(pair.client)] as const
  const closed = Promise.all(duplexes.map((duplex) => once(duplex, 'close')))
  server.emit('connection', duplexes[0])

  const asking = request({
    method: 'POST',
    createConnection: () => duplexes[1],
    headers: { connection: 'close' },
  })
  asking.end('body')
  const [response] = (await once(asking, 'response')) as [Readable]

  assert.equal(await text(response), 'POST body')
  await closed
  assert.equal(pair.server.isClosed && pair.client.isClosed, true)
})

test('toNodeDuplex() ends each direction by itself, and closes a connection with both', async () => {
  await using pair = await Pair.open()
  const duplex = toNodeDuplex(pair.client)
  duplex.end('question')
  assert.equal(textOf(await new ByteReader(pair.server).readToEnd()), 'question')
  assert.equal(pair.client.isClosed, false)

  await pair.server.write(Buffer.from('answer'))
  await pair.server.end()

  assert.equal(await text(duplex), 'answer')
  if (!duplex.closed) await once(duplex, 'close')
  assert.equal(pair.client.isClosed, true)
})

test('destroying a Duplex with an error has the peer see a failure', async () => {
  await using pair = await Pair.open()
  const duplex = toNodeDuplex(pair.client)
  duplex.on('error', () => {})
  const reading = pair.server.read()

  duplex.destroy(new Error('broken'))

  await assert.rejects(reading, { code: 'ECONNRESET' })
})

test('a Duplex is made of two ends, too', async () => {
  const sink = new TestSink()
  const duplex = toNodeDuplex({ source: fromIterable(['in']), sink })

  duplex.end('out')

  assert.equal(await text(duplex), 'in')
  await finished(duplex)
  assert.equal(sink.text, 'out')
})

test('fromNodeReadable() gives what the stream gives, then the end', async () => {
  const source = fromNodeReadable(Readable.from(cut(WHOLE, [7_000]), { objectMode: false }))

  assert.deepEqual(Buffer.from(await new ByteReader(source).readToEnd()), WHOLE)
  assert.equal(await source.pull(), null)
})

test('fromNodeReadable() fails as the stream does, also when that is destroyed early', async () => {
  const failure = new Error('broken')
  const failing = new PassThrough()
  failing.write('half')
  const reader = new ByteReader(fromNodeReadable(failing))
  assert.equal(textOf(await reader.read()), 'half')
  failing.destroy(failure)
  await assert.rejects(reader.read(), failure)

  const cut = new PassThrough()
  const pulling = fromNodeReadable(cut).pull()
  cut.destroy()
  await assert.rejects(pulling, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
})

test('fromNodeReadable() loses nothing when a pull is aborted', async () => {
  const stream = new PassThrough()
  const source = fromNodeReadable(stream)
  const controller = new AbortController()
  const aborted = source.pull({ signal: controller.signal })
  controller.abort()
  await assert.rejects(aborted, { name: 'AbortError' })
  await assert.rejects(source.pull({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  stream.end('kept')

  assert.equal(textOf(await new ByteReader(source).readToEnd()), 'kept')
})

test('closing a source over a stream destroys that, and refuses pulls', async () => {
  const stream = new PassThrough()
  const source = fromNodeReadable(stream)
  const pulling = source.pull()

  await assert.rejects(source.pull(), { code: 'ERR_STILL_HELD' })
  await source.close()

  await assert.rejects(pulling, { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(source.pull(), { code: 'ERR_HANDLE_CLOSED' })
  assert.equal(stream.destroyed, true)
})

test('fromNodeReadable() refuses streams of objects, with an encoding, and that others read', () => {
  const flowing = new PassThrough()
  flowing.on('data', () => {})

  assert.throws(() => fromNodeReadable(Readable.from(['a'])), TypeError)
  assert.throws(() => fromNodeReadable(new PassThrough().setEncoding('utf8')), TypeError)
  assert.throws(() => fromNodeReadable(flowing), { code: 'ERR_STILL_HELD' })
  assert.throws(() => fromNodeReadable({} as never), TypeError)
})

test('fromNodeWritable() copies, so that leases and arrays are free again', async () => {
  const through = new PassThrough()
  const sink = fromNodeWritable(through)
  const bytes = Buffer.from('one')
  const lease = allocateBuffer(3)
  lease.bytes.set(Buffer.from('two'))

  await sink.push(bytes)
  bytes.fill(0)
  await sink.push(lease)
  assert.equal(lease.isReleased, true)
  const ending = sink.end()

  assert.equal(await text(through), 'onetwo')
  await ending
  await assert.rejects(sink.push(bytes), { code: 'ERR_HANDLE_CLOSED' })
})

test('fromNodeWritable() waits while the stream asks for that, however many push', async () => {
  const taken: Buffer[] = []
  const callbacks: (() => void)[] = []
  const slow = new Writable({
    highWaterMark: 2,
    write(chunk: Buffer, _encoding, callback) {
      taken.push(chunk)
      callbacks.push(callback)
    },
  })
  const sink = fromNodeWritable(slow)
  let doneCount = 0
  const pushes = Array.from({ length: 20 }, (_, i) =>
    sink.push(Buffer.of(65 + i)).then(() => doneCount++),
  )
  await new Promise(setImmediate)
  await new Promise(setImmediate)

  // The first finds room for one more.
  assert.equal(doneCount, 1)
  while (taken.length < 20) {
    callbacks.shift()?.()
    await new Promise(setImmediate)
  }
  callbacks.shift()!()
  await Promise.all(pushes)
  assert.equal(Buffer.concat(taken).toString(), 'ABCDEFGHIJKLMNOPQRST')
})

test('fromNodeWritable() fails as the stream does, and from then on', async () => {
  const failure = new Error('full')
  const sink = fromNodeWritable(
    new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, callback) => callback(failure),
    }),
  )

  await assert.rejects(sink.push(Buffer.from('x')), failure)
  await assert.rejects(sink.push(Buffer.from('y')), failure)
  await assert.rejects(sink.end(), failure)
})

test('aborting a sink over a stream destroys that', async () => {
  const stream = new PassThrough()
  const sink = fromNodeWritable(stream)
  await sink.push(Buffer.from('half'))

  await sink.abort?.(new Error('enough'))

  assert.equal(stream.destroyed, true)
  await assert.rejects(sink.push(Buffer.from('more')))
})

test('pipe() goes through streams of Node at both ends', async () => {
  const upper = new Transform({
    transform: (chunk: Buffer, _encoding, callback) =>
      callback(null, chunk.toString().toUpperCase()),
  })
  const input = pipe(fromIterable(['some ', 'text']), fromNodeWritable(upper))
  const sink = new TestSink()

  await pipe(fromNodeReadable(upper), sink)

  assert.equal(sink.text, 'SOME TEXT')
  assert.equal(await input, 9)
})

test('a child process is fed and read by sources and sinks', async () => {
  const child = spawnProcess(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)'])
  const feeding = pipe(fromIterable(cut(WHOLE, [20_000])), fromNodeWritable(child.stdin))

  const answer = await new ByteReader(fromNodeReadable(child.stdout)).readToEnd()

  assert.deepEqual(Buffer.from(answer), WHOLE)
  assert.equal(await feeding, WHOLE.length)
})

test('what is made for Node refuses arguments of the wrong kind', () => {
  assert.throws(() => toNodeReadable({} as never), TypeError)
  assert.throws(() => toNodeReadable(new PassThrough() as never), TypeError)
  assert.throws(() => toNodeWritable({} as never), TypeError)
  assert.throws(() => toNodeDuplex(fromIterable([]) as never), TypeError)
  assert.throws(() => toNodeReadable(fromIterable([]), { objectMode: true } as never), TypeError)
  assert.throws(() => toNodeReadable(fromIterable([]), { highWaterMark: -1 }), RangeError)
  assert.ok(toNodeReadable(fromIterable([])) instanceof Readable)
  assert.ok(toNodeDuplex({ source: fromIterable([]), sink: new TestSink() }) instanceof Duplex)
})
