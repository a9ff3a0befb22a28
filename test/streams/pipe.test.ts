import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as later } from 'node:timers/promises'
import { executor, spawn } from '../../src/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import {
  ByteReader,
  type ByteSink,
  type ByteSource,
  fromIterable,
  pipe,
} from '../../src/streams/index.ts'
import { testOnBoth } from '../net/both-kernels.ts'
import { Pair, pattern } from '../net/support.ts'
import { TestSink, TestSource } from './support.ts'

test('pipe() moves everything as leases, ends the sink, and tells how much it was', async () => {
  const source = new TestSource('one,', 'two,', 'three', null)
  const sink = new TestSink()

  const movedBytes = await pipe(source, sink)

  assert.equal(movedBytes, 13)
  assert.equal(sink.text, 'one,two,three')
  assert.equal(sink.leaseCount, 3)
  assert.equal(sink.isEnded, true)
  assert.equal(source.heldCount, 0)
  assert.equal(source.closeCount, 0)
})

test('pipe() pulls no more while the sink is busy', async () => {
  const source = new TestSource('one', 'two', null)
  const sink = new TestSink()
  let open = (): void => {}
  sink.gate = new Promise((resolve) => {
    open = resolve
  })

  const piping = pipe(source, sink)
  while (sink.chunks.length === 0) await new Promise(setImmediate)
  await new Promise(setImmediate)

  assert.equal(source.pullCount, 1)
  open()
  assert.equal(await piping, 6)
})

test('pipe() closes the source and aborts the sink when the sink fails', async () => {
  const source = new TestSource('one', 'two', 'three', null)
  const sink = new TestSink()
  sink.failsAfter = 1

  await assert.rejects(pipe(source, sink), sink.failure)

  assert.equal(source.closeCount, 1)
  assert.equal(source.heldCount, 0)
  assert.equal(sink.abortReason, sink.failure)
  assert.equal(sink.isEnded, false)
})

test('pipe() fails when ending the sink fails: the disk was full at the close', async () => {
  const sink = new TestSink()
  sink.failsAfter = 1

  await assert.rejects(pipe(new TestSource('one', null), sink), { code: 'ENOSPC' })
  assert.equal(sink.abortCount, 1)
})

test('pipe() aborts the sink, and does not end it, when the source fails', async () => {
  const failure = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  const source = new TestSource('one', failure)
  const sink = new TestSink()

  await assert.rejects(pipe(source, sink), failure)

  assert.equal(sink.text, 'one')
  assert.equal(sink.isEnded, false)
  assert.equal(sink.abortReason, failure)
  assert.equal(source.closeCount, 1)
})

test('pipe() rejects with what failed first, though closing fails too', async () => {
  const failure = new Error('first')
  const source = new TestSource(failure)
  source.close = async () => {
    throw new Error('second')
  }
  const sink: ByteSink = { push: async () => {}, end: async () => {} }

  await assert.rejects(pipe(source, sink), failure)
})

test('pipe() can be aborted while it waits, and takes a time limit for all of it', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const source = new TestSource('one')
  const sink = new TestSink()

  const piping = pipe(source, sink, { signal: controller.signal })
  while (source.pullCount < 2) await new Promise(setImmediate)
  controller.abort(reason)

  await assert.rejects(piping, reason)
  assert.equal(source.closeCount, 1)
  assert.equal(sink.abortReason, reason)
  const late = pipe(new TestSource('one'), new TestSink(), { timeoutMs: 1 })
  await assert.rejects(late, { code: 'ERR_TASK_TIMEOUT' })
})

test('pipe() releases the piece that comes when its time is over', async () => {
  const inner = new TestSource('one', null)
  const home = executor()
  const startNs = home.nowNs()
  const source: ByteSource = {
    // As one that takes no notice of the limit.
    pull: async () => {
      while (home.nowNs() - startNs < 3e6) await new Promise(setImmediate)
      return inner.pull()
    },
    close: () => inner.close(),
  }
  const sink = new TestSink()

  await assert.rejects(pipe(source, sink, { timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })

  assert.equal(inner.pullCount, 1)
  assert.equal(inner.heldCount, 0)
  assert.equal(sink.leaseCount, 0)
})

test('closing a source does not wait for a generator that waits itself', async () => {
  let goOn = (): void => {}
  const gate = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let isOver = false
  async function* slow(): AsyncGenerator<string> {
    try {
      await gate
      yield 'late'
    } finally {
      isOver = true
    }
  }
  const source = fromIterable(slow())
  const pulling = source.pull()

  const closing = source.close()

  await assert.rejects(pulling, { code: 'ERR_HANDLE_CLOSED' })
  await closing
  assert.equal(isOver, false)
  goOn()
  while (!isOver) await new Promise(setImmediate)
})

test('closing a source waits for the end of a generator that has given its chunk', async () => {
  let isOver = false
  async function* pieces(): AsyncGenerator<string> {
    try {
      yield 'one'
    } finally {
      await new Promise(setImmediate)
      isOver = true
    }
  }
  const source = fromIterable(pieces())
  const lease = await source.pull()
  lease?.release()

  await source.close()

  assert.equal(isOver, true)
})

test('pipe() leaves what it is told to leave', async () => {
  const source = new TestSource('one', null)
  const sink = new TestSink()
  await pipe(source, sink, { end: false })
  assert.equal(sink.isEnded, false)

  const failing = new TestSource(new Error('failure'))
  await assert.rejects(pipe(failing, sink, { end: false, close: false }))

  assert.equal(sink.abortCount, 0)
  assert.equal(failing.closeCount, 0)
})

test('pipe() goes on behind what a reader has read', async () => {
  const reader = new ByteReader(new TestSource('head\nbo', 'dy', null))
  const sink = new TestSink()

  assert.equal(await reader.readLine(), 'head')
  await pipe(reader, sink)

  assert.equal(sink.text, 'body')
})

test('pipe() ends with its task', async () => {
  const source = new TestSource('one')
  const task = spawn(() => pipe(source, new TestSink()))
  while (source.pullCount < 2) await new Promise(setImmediate)

  await task.cancel()

  assert.equal(source.closeCount, 1)
})

test('pipe() refuses what is no source, no sink, or an unknown option', async () => {
  const source = new TestSource(null)

  await assert.rejects(pipe({} as never, new TestSink()), TypeError)
  await assert.rejects(pipe(source, {} as never), TypeError)
  await assert.rejects(pipe(source, process.stdout as never), /fromNodeWritable/)
  await assert.rejects(pipe(source, new WritableStream() as never), /fromWebWritable/)
  await assert.rejects(pipe(source, new TestSink(), { preventClose: true } as never), TypeError)
  await assert.rejects(pipe(source, new TestSink(), { end: 1 } as never), TypeError)
})

/** Larger than what sockets and their peers' buffers hold together. */
const LARGE_BYTES = 12 * 2 ** 20

testOnBoth('pipe() from socket to socket is a proxy, both ways at once', async () => {
  await using outer = await Pair.open()
  await using inner = await Pair.open()
  const sent = pattern(0, 300_000)
  const proxy = Promise.all([pipe(outer.server, inner.client), pipe(inner.client, outer.server)])
  const echo = pipe(inner.server, inner.server)

  const answer = new ByteReader(outer.client).readToEnd()
  await outer.client.write(sent)
  await outer.client.end()

  assert.deepEqual(Buffer.from(await answer), Buffer.from(sent))
  assert.deepEqual(await proxy, [sent.length, sent.length])
  assert.equal(await echo, sent.length)
})

test('pipe() to a socket whose peer does not read waits, and lends no more than a piece', async () => {
  await using pair = await Pair.open()
  let givenBytes = 0
  let heldCount = 0
  function* pieces(): Generator<Uint8Array> {
    while (givenBytes < LARGE_BYTES) {
      givenBytes += 65_536
      yield pattern(givenBytes - 65_536, 65_536)
    }
  }
  const source = fromIterable(pieces())
  const counting = {
    pull: async (): Promise<Lease | null> => {
      heldCount++
      return source.pull()
    },
    close: () => source.close(),
  }

  const piping = pipe(counting, pair.client)
  let before = -1
  // The peer's buffers fill up, and then nothing moves.
  while (before !== givenBytes) {
    before = givenBytes
    await later(20)
  }
  assert.ok(givenBytes < LARGE_BYTES)
  assert.equal(heldCount, givenBytes / 65_536)

  let position = 0
  for await (const chunk of pair.server) {
    assert.deepEqual(Buffer.from(chunk), Buffer.from(pattern(position, chunk.length)))
    position += chunk.length
  }
  assert.equal(position, LARGE_BYTES)
  assert.equal(await piping, LARGE_BYTES)
})

testOnBoth('pipe() of a source that fails has the peer see a failure, not an end', async () => {
  await using pair = await Pair.open()
  const failure = new Error('no more')
  const reading = new ByteReader(pair.server).readToEnd()

  await assert.rejects(pipe(new TestSource('half', failure), pair.client), failure)

  await assert.rejects(reading, { code: 'ECONNRESET' })
  assert.equal(pair.client.isClosed, true)
})

testOnBoth('pipe() of a socket to itself that fails has the peer see a failure, too', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const reason = new Error('enough')
  const echo = pipe(pair.server, pair.server, { signal: controller.signal })
  const reader = new ByteReader(pair.client)
  await pair.client.write(Buffer.from('line\n'))
  assert.equal(await reader.readLine(), 'line')

  controller.abort(reason)

  await assert.rejects(echo, reason)
  await assert.rejects(reader.readLine(), { code: 'ECONNRESET' })
})

testOnBoth('pipe() to a peer that has gone fails, and closes the source', async () => {
  await using pair = await Pair.open()
  await pair.server.reset()
  const source = new TestSource(...Array.from({ length: 100 }, () => 'piece'), null)

  await assert.rejects(pipe(source, pair.client), (error: NodeJS.ErrnoException) => {
    return error.code === 'EPIPE' || error.code === 'ECONNRESET'
  })
  assert.equal(source.closeCount, 1)
})
