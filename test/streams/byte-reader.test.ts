import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spawn } from '../../src/index.ts'
import { ByteReader, fromIterable } from '../../src/streams/index.ts'
import { collect, cut, TestSource, textOf } from './support.ts'

const TEXT = 'first\nsecond line\r\n\nünï🙂côde\r\nlast without end'
const LINES = ['first', 'second line', '', 'ünï🙂côde', 'last without end']

for (const length of [1, 2, 3, 5, 7, 11, 100]) {
  test(`lines() gives each line whole when pieces are of ${length} bytes`, async () => {
    const source = new TestSource(...cut(Buffer.from(TEXT), [length]), null)
    const reader = new ByteReader(source)

    assert.deepEqual(await collect(reader.lines()), LINES)
    assert.equal(source.heldCount, 0)
    assert.equal(reader.positionBytes, Buffer.byteLength(TEXT))
  })

  test(`lineBatches() gives the same lines when pieces are of ${length} bytes`, async () => {
    const reader = new ByteReader(new TestSource(...cut(Buffer.from(TEXT), [length]), null))

    assert.deepEqual((await collect(reader.lineBatches())).flat(), LINES)
  })

  test(`linesAsBytes() gives the same lines when pieces are of ${length} bytes`, async () => {
    const reader = new ByteReader(new TestSource(...cut(Buffer.from(TEXT), [length]), null))

    const lines = await collect(reader.linesAsBytes())

    assert.deepEqual(lines.map(textOf), LINES)
  })
}

test('lines() of nothing gives nothing, and a last newline makes no line more', async () => {
  assert.deepEqual(await collect(new ByteReader(fromIterable([])).lines()), [])
  assert.deepEqual(await collect(new ByteReader(fromIterable(['a\n'])).lines()), ['a'])
  assert.deepEqual(await collect(new ByteReader(fromIterable(['\n\n'])).lines()), ['', ''])
})

test('lines() keeps a return that ends no line', async () => {
  const reader = new ByteReader(fromIterable(['a\rb\r', '\n\rc\r']))

  assert.deepEqual(await collect(reader.lines()), ['a\rb', '\rc\r'])
})

test('lines() reads bytes as characters with latin1', async () => {
  const reader = new ByteReader(fromIterable([Buffer.from('é\nü\n', 'latin1')]), {
    encoding: 'latin1',
  })

  assert.deepEqual(await collect(reader.lines()), ['é', 'ü'])
})

test('lines() of bytes that are no UTF-8 goes on with replacement characters', async () => {
  const reader = new ByteReader(fromIterable([Buffer.of(255, 10, 65, 10, 0xc3), Buffer.of(10)]))

  assert.deepEqual(await collect(reader.lines()), ['\ufffd', 'A', '\ufffd'])
})

test('lines longer than the windows that pieces are searched by are whole', async () => {
  const lines = [10, 40_000, 0, 100_000, 32_767, 32_768, 5].map((n) => 'x'.repeat(n))
  const bytes = Buffer.from(`${lines.join('\n')}\n`)

  for (const length of [1_000, 70_001, bytes.length]) {
    const pieces = cut(bytes, [length])
    assert.deepEqual(await collect(new ByteReader(fromIterable(pieces)).lines()), lines)
    const batches = await collect(new ByteReader(fromIterable(pieces)).lineBatches())
    assert.deepEqual(batches.flat(), lines)
  }
})

test('leaving lines() keeps what it has not given', async () => {
  const reader = new ByteReader(fromIterable(['head: 1\r\n\r\nbody\n', 'more']))

  for await (const line of reader.lines()) if (line === '') break

  assert.equal(textOf(await reader.readToEnd()), 'body\nmore')
})

test('readLine() and readExactly() take turns', async () => {
  const frames = ['3\n', 'abc', '5\n', '\n\n\n\n\n', '0\n', '', '2\n', 'xy']
  const reader = new ByteReader(fromIterable(cut(Buffer.from(frames.join('')), [4])))
  const bodies: (string | null)[] = []

  for (let line = await reader.readLine(); line !== null; line = await reader.readLine()) {
    bodies.push(textOf(await reader.readExactly(Number(line))))
  }

  assert.deepEqual(bodies, ['abc', '\n\n\n\n\n', '', 'xy'])
})

test('a line of lineBytesMax with its end is given, and a longer one is refused and stays', async () => {
  const source = new TestSource('abc\n', 'abcd\nrest', null)
  const reader = new ByteReader(source, { lineBytesMax: 4 })

  assert.equal(await reader.readLine(), 'abc')
  await assert.rejects(reader.readLine(), { code: 'ERR_LIMIT_EXCEEDED' })
  await assert.rejects(collect(reader.lines()), { code: 'ERR_LIMIT_EXCEEDED' })
  await assert.rejects(collect(reader.lineBatches()), { code: 'ERR_LIMIT_EXCEEDED' })
  assert.equal(await reader.skip(5), 5)
  assert.equal(await reader.readLine(), 'rest')
})

test('lineBatches() gives the lines before one that is too long first', async () => {
  const reader = new ByteReader(fromIterable(['a\nb\nlonger\nc\n']), { lineBytesMax: 4 })
  const batches = reader.lineBatches()

  assert.deepEqual(await batches.next(), { done: false, value: ['a', 'b'] })
  await assert.rejects(batches.next(), { code: 'ERR_LIMIT_EXCEEDED' })
})

test('an endless line is refused before it takes more than the limit and a piece', async () => {
  let given = 0
  function* endless(): Generator<Uint8Array> {
    for (;;) {
      given += 65_536
      yield new Uint8Array(65_536).fill(97)
    }
  }
  const reader = new ByteReader(fromIterable(endless()))

  await assert.rejects(reader.readLine(), { code: 'ERR_LIMIT_EXCEEDED' })
  assert.equal(given, 2 ** 20 + 65_536)
  assert.equal(reader.bufferedBytes, given)
})

test('readUntil() includes the delimiter, also where pieces cut it', async () => {
  const text = 'one\r\n\r\ntwo\r\n\r\n\r\nthree'
  for (const length of [1, 2, 3, 4, 5, 6, 100]) {
    const reader = new ByteReader(fromIterable(cut(Buffer.from(text), [length])))
    const parts: (string | null)[] = []

    for (let part = await reader.readUntil('\r\n\r\n'); part !== null; ) {
      parts.push(textOf(part))
      part = await reader.readUntil('\r\n\r\n')
    }

    assert.deepEqual(parts, ['one\r\n\r\n', 'two\r\n\r\n', '\r\nthree'])
  }
})

test('readUntil() takes a byte, bytes and a string for a delimiter', async () => {
  const reader = new ByteReader(fromIterable(['a\0b;c€d']))

  assert.equal(textOf(await reader.readUntil(0)), 'a\0')
  assert.equal(textOf(await reader.readUntil(Buffer.from(';'))), 'b;')
  assert.equal(textOf(await reader.readUntil('€')), 'c€')
})

test('readUntil() refuses more than maxBytes, and leaves it', async () => {
  const source = new TestSource('abc', 'def;', null)
  const reader = new ByteReader(source)

  await assert.rejects(reader.readUntil(';', { maxBytes: 6 }), { code: 'ERR_LIMIT_EXCEEDED' })
  assert.equal(textOf(await reader.readUntil(';', { maxBytes: 7 })), 'abcdef;')
})

test('readExactly() refuses what ends before, and leaves it', async () => {
  const reader = new ByteReader(fromIterable(['ab', 'cd']))

  await assert.rejects(reader.readExactly(5), { code: 'ERR_END_OF_FILE' })
  assert.equal(textOf(await reader.readExactly(4)), 'abcd')
  assert.equal((await reader.readExactly(0)).length, 0)
  await assert.rejects(reader.readExactly(1), { code: 'ERR_END_OF_FILE' })
})

test('readExactly() takes memory for what has come, not for what was asked for', async () => {
  const source = new TestSource('abc', null)
  const reader = new ByteReader(source)
  const before = process.memoryUsage().arrayBuffers

  await assert.rejects(reader.readExactly(2 ** 30), { code: 'ERR_END_OF_FILE' })

  assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 24)
})

test('what reads give has an ArrayBuffer of its own', async () => {
  const bytes = Buffer.alloc(3_000, 'abc\n')
  const reader = new ByteReader(fromIterable(cut(bytes, [700])))

  const answers = [
    await reader.readExactly(2_000),
    await reader.readUntil('\n'),
    await reader.peek(10),
    (await reader.linesAsBytes().next()).value,
    await reader.read(5),
    await reader.readToEnd(),
  ]

  for (const answer of answers) assert.equal(answer!.buffer.byteLength, answer!.length)
})

test('what was given stays as it is when pieces go back', async () => {
  const source = new TestSource('abcdefgh', 'ijklmnop', null)
  const reader = new ByteReader(source)

  const first = await reader.read(3)
  const peeked = await reader.peek(10)
  const rest = await reader.readToEnd()

  assert.equal(source.heldCount, 0)
  assert.deepEqual([first, peeked, rest].map(textOf), ['abc', 'defghijklm', 'defghijklmnop'])
})

test('peek() gives the same again and again, and less only at the end', async () => {
  const reader = new ByteReader(fromIterable(['ab', 'cd', 'ef']))

  for (let time = 0; time < 10; time++) assert.equal(textOf(await reader.peek(4)), 'abcd')
  assert.equal(textOf(await reader.peek(100)), 'abcdef')
  assert.equal(await reader.skip(100), 6)
  assert.equal((await reader.peek(4)).length, 0)
  assert.equal(await reader.read(), null)
})

test('fillBuffer() gives the same until consume(), and nothing at the end', async () => {
  const source = new TestSource('abc', 'de', null)
  const reader = new ByteReader(source)

  assert.equal(textOf(await reader.fillBuffer()), 'abc')
  assert.equal(textOf(await reader.fillBuffer()), 'abc')
  assert.equal(source.pullCount, 1)
  reader.consume(2)
  assert.equal(textOf(await reader.fillBuffer()), 'c')
  assert.throws(() => reader.consume(2), RangeError)
  reader.consume(1)
  assert.equal(textOf(await reader.fillBuffer()), 'de')
  reader.consume(2)
  assert.equal((await reader.fillBuffer()).length, 0)
  assert.throws(() => reader.consume(1), RangeError)
  assert.equal(source.heldCount, 0)
})

test('readToEnd() refuses more than maxBytes, and leaves it', async () => {
  const reader = new ByteReader(fromIterable(['abc', 'def']))

  await assert.rejects(reader.readToEnd({ maxBytes: 5 }), { code: 'ERR_LIMIT_EXCEEDED' })
  assert.equal(textOf(await reader.readToEnd({ maxBytes: 6 })), 'abcdef')
  assert.equal((await reader.readToEnd()).length, 0)
})

test('a reader is iterated for chunks', async () => {
  const reader = new ByteReader(fromIterable(['abc', Buffer.alloc(70_000, 'd')]))

  const chunks = await collect(reader)

  assert.deepEqual(
    chunks.map(({ length }) => length),
    [3, 65_536, 4_464],
  )
})

test('pull() goes on where reading has stopped, on the lease of the piece', async () => {
  const source = new TestSource('line\nbo', 'dy', null)
  const reader = new ByteReader(source)
  await reader.readLine()

  const lease = await reader.pull()

  assert.equal(lease, source.leases[0])
  assert.equal(textOf(lease!.bytes), 'bo')
  lease!.release()
  assert.equal(textOf((await reader.pull())!.bytes), 'dy')
  assert.equal(await reader.pull(), null)
  assert.equal(reader.positionBytes, 9)
})

test('pull() gives what was put together of several pieces', async () => {
  const reader = new ByteReader(new TestSource('ab', 'cd', 'ef', null))
  await reader.peek(3)
  await reader.skip(1)

  using first = await reader.pull()
  using second = await reader.pull()

  assert.deepEqual([textOf(first!.bytes), textOf(second!.bytes)], ['b', 'cd'])
})

test('a waiting reader holds none of the memory of its source', async () => {
  const source = new TestSource('no end')
  const reader = new ByteReader(source)

  const line = reader.readLine()
  while (source.pullCount < 2) await new Promise(setImmediate)

  assert.equal(source.heldCount, 0)
  source.add('\n')
  assert.equal(await line, 'no end')
})

test('nothing is lost when a call is aborted or times out', async () => {
  const source = new TestSource('ab')
  const reader = new ByteReader(source)
  const controller = new AbortController()
  const { signal } = controller
  const reason = new Error('enough')

  const aborted = reader.readLine({ signal })
  while (source.pullCount < 2) await new Promise(setImmediate)
  controller.abort(reason)
  await assert.rejects(aborted, reason)
  await assert.rejects(reader.readLine({ signal }), reason)
  await assert.rejects(reader.readExactly(3, { timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  await assert.rejects(reader.readUntil(';', { timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  await assert.rejects(reader.lines({ timeoutMs: 1 }).next(), { code: 'ERR_TASK_TIMEOUT' })
  source.add('c\nd', null)

  assert.equal(await reader.readLine(), 'abc')
  assert.equal(await reader.readLine(), 'd')
})

test('a call ends when its task is cancelled, and loses nothing', async () => {
  const source = new TestSource('ab')
  const reader = new ByteReader(source)

  const task = spawn(() => reader.readLine())
  while (source.pullCount < 2) await new Promise(setImmediate)
  await task.cancel()
  source.add('c\n', null)

  assert.equal(await reader.readLine(), 'abc')
})

test('a failure of the source is thrown after what came before it', async () => {
  const failure = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  const reader = new ByteReader(new TestSource('one\ntwo', failure))

  assert.equal(await reader.readLine(), 'one')
  await assert.rejects(reader.readLine(), failure)
  assert.equal(textOf(await reader.read()), 'two')
  await assert.rejects(reader.read(), failure)
})

test('a second call is refused while one is pending', async () => {
  const source = new TestSource()
  const reader = new ByteReader(source)
  const first = reader.readLine()

  await assert.rejects(reader.read(), { code: 'ERR_STILL_HELD' })
  await assert.rejects(reader.lines().next(), { code: 'ERR_STILL_HELD' })
  assert.throws(() => reader.consume(0), { code: 'ERR_STILL_HELD' })
  source.add('line\n')

  assert.equal(await first, 'line')
})

test('close() closes the source, ends what is pending, and gives pieces back', async () => {
  const source = new TestSource('abc')
  const reader = new ByteReader(source)
  await reader.fillBuffer()
  assert.equal(source.heldCount, 1)
  const pending = reader.peek(10)

  await reader.close()

  await assert.rejects(pending, { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(reader.read(), { code: 'ERR_HANDLE_CLOSED' })
  assert.throws(() => reader.consume(1), { code: 'ERR_HANDLE_CLOSED' })
  assert.equal(source.heldCount, 0)
  assert.equal(source.closeCount, 1)
})

test('arguments of the wrong kind are refused', async () => {
  const reader = new ByteReader(fromIterable(['text']))

  assert.throws(() => new ByteReader({} as never), TypeError)
  assert.throws(() => new ByteReader(process.stdin as never), /fromNodeReadable/)
  assert.throws(() => new ByteReader(new ReadableStream() as never), /fromWebReadable/)
  assert.throws(() => new ByteReader(fromIterable([]), { lineMax: 1 } as never), TypeError)
  assert.throws(() => new ByteReader(fromIterable([]), { lineBytesMax: 0 }), RangeError)
  assert.throws(() => new ByteReader(fromIterable([]), { encoding: 'hex' as never }), TypeError)
  assert.throws(() => fromIterable('text' as never), TypeError)
  assert.throws(() => fromIterable(Buffer.from('text') as never), TypeError)
  await assert.rejects(reader.read(0), RangeError)
  await assert.rejects(reader.readExactly(-1), RangeError)
  await assert.rejects(reader.readExactly('4' as never), TypeError)
  await assert.rejects(reader.peek(2 ** 40), RangeError)
  await assert.rejects(reader.readUntil(''), RangeError)
  await assert.rejects(reader.readUntil(256), RangeError)
  await assert.rejects(reader.readUntil(/x/ as never), TypeError)
  await assert.rejects(reader.readUntil(';', { max: 1 } as never), TypeError)
  await assert.rejects(reader.readLine({ timeout: 1 } as never), TypeError)
  assert.throws(() => reader.lines({ timeout: 1 } as never), TypeError)
  assert.equal(await reader.readLine(), 'text')
})

test('a chunk of an iterable that is no bytes fails the read', async () => {
  const reader = new ByteReader(fromIterable(['a', 1 as never]))

  await assert.rejects(reader.readLine(), TypeError)
  assert.equal(textOf(await reader.read()), 'a')
})

for (const encoding of ['utf8', 'latin1'] as const) {
  test(`many lines of all lengths are right in ${encoding}, whatever is decoded together`, async () => {
    const lines = Array.from({ length: 4_000 }, (_, index) => {
      const unit = index % 7 === 0 ? 'é' : index % 211 === 0 ? '🙂€' : 'abcdefg'
      return unit.repeat((index * 37) % 97).slice(0, (index * 53) % 700)
    }).map((line) => Buffer.from(line, encoding).toString(encoding))
    const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''), encoding)

    for (const length of [1_000, 40_000, bytes.length]) {
      const open = (): ByteReader =>
        new ByteReader(fromIterable(cut(bytes, [length])), { encoding })
      assert.deepEqual(await collect(open().lines()), lines)
      assert.deepEqual((await collect(open().lineBatches())).flat(), lines)
    }
  })
}
