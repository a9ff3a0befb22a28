/** Glommio's behaviours of buffered reading, over files and connections. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { ByteReader, type ByteSource, pipe } from '../../src/streams/index.ts'
import { makeFolder } from '../io/support.ts'
import { Pair, pattern } from '../net/support.ts'
import { collect, textOf } from '../streams/support.ts'

/** A file with so much in it, opened in both ways. */
async function openBoth(
  t: TestContext,
  bytes: Uint8Array | string,
): Promise<readonly (BufferedFile | DirectFile)[]> {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, bytes)
  const files = [
    await BufferedFile.open(path),
    await DirectFile.open(path, { fallback: 'buffered' }),
  ]
  t.after(() => Promise.all(files.map((file) => file.close())))
  return files
}

/** The other end of a connection that was sent `bytes`, and nothing more. */
async function receive(t: TestContext, bytes: Uint8Array | string): Promise<ByteSource> {
  const pair = await Pair.open()
  t.after(() => pair[Symbol.asyncDispose]())
  await pair.client.write(Buffer.from(bytes))
  await pair.client.end()
  return pair.server
}

test('[72] an exact read tells its position, and fails at the end of the file or the range', async (t) => {
  for (const file of await openBoth(t, pattern(0, 300_000))) {
    const reader = new ByteReader(file.stream())
    assert.deepEqual(await reader.readExactly(100), pattern(0, 100))
    assert.equal(reader.positionBytes, 100)
    assert.deepEqual(await reader.readExactly(131_072), pattern(100, 131_072))
    assert.equal(reader.positionBytes, 131_172)
    await assert.rejects(reader.readExactly(300_000), { code: 'ERR_END_OF_FILE' })
    assert.equal((await reader.readExactly(168_828)).length, 168_828)
    await reader.close()

    await using bounded = new ByteReader(file.stream({ endBytes: 50 }))
    await assert.rejects(bounded.readExactly(51), { code: 'ERR_END_OF_FILE' })
    assert.deepEqual(await bounded.readExactly(50), pattern(0, 50))
  }
})

test('[73] reading to the end works with any read-ahead, and after a skip', async (t) => {
  for (const file of await openBoth(t, pattern(0, 300_000))) {
    for (const readAhead of [0, 1, 4, 64]) {
      await using whole = new ByteReader(file.stream({ blockBytes: 65_536, readAhead }))
      assert.deepEqual(await whole.readToEnd(), pattern(0, 300_000))

      await using part = new ByteReader(file.stream({ blockBytes: 65_536, readAhead }))
      assert.equal(await part.skip(150_001), 150_001)
      assert.deepEqual(await part.readToEnd(), pattern(150_001, 149_999))
    }
  }
})

test('[86] lines, parts and exact reads of a file mix', async (t) => {
  for (const file of await openBoth(t, 'one\ntwo\r\n\nk1;k2;rest')) {
    await using reader = new ByteReader(file.stream())

    assert.equal(await reader.readLine(), 'one')
    assert.equal(textOf(await reader.readExactly(2)), 'tw')
    assert.deepEqual(await reader.lines().next(), { done: false, value: 'o' })
    assert.equal(await reader.readLine(), '')
    assert.equal(textOf(await reader.readUntil(';')), 'k1;')
    assert.equal(textOf(await reader.readUntil(';')), 'k2;')
    assert.deepEqual(await collect(reader.lines()), ['rest'])
    assert.equal(await reader.readLine(), null)
    assert.equal(await reader.readUntil(';'), null)
  }
})

test('[86] reading goes on from any position: a stream that begins there', async (t) => {
  for (const file of await openBoth(t, pattern(0, 10_000))) {
    for (const startBytes of [0, 1, 4_096, 9_999, 10_000, 20_000]) {
      await using reader = new ByteReader(file.stream({ startBytes }))
      const length = Math.max(0, 10_000 - startBytes)
      assert.deepEqual(await reader.readToEnd(), pattern(startBytes, length))
    }
  }
})

test('[97] what fills the buffer is the same until it is consumed, and nothing at the end', async (t) => {
  const reader = new ByteReader(await receive(t, 'abcdef'))

  assert.equal(textOf(await reader.fillBuffer()), 'abcdef')
  assert.equal(textOf(await reader.fillBuffer()), 'abcdef')
  reader.consume(4)
  assert.equal(textOf(await reader.fillBuffer()), 'ef')
  assert.throws(() => reader.consume(3), RangeError)
  reader.consume(2)
  assert.equal((await reader.fillBuffer()).length, 0)
})

test('[98] ten peeks return the same four bytes, and none at the end', async (t) => {
  const reader = new ByteReader(await receive(t, 'abcd'))

  for (let time = 0; time < 10; time++) assert.equal(textOf(await reader.peek(4)), 'abcd')
  await reader.skip(4)

  assert.equal((await reader.peek(4)).length, 0)
})

test('a file is piped to a connection, and a connection to a file', async (t) => {
  const sent = pattern(0, 1_000_003)
  for (const file of await openBoth(t, sent)) {
    await using pair = await Pair.open()
    const path = join(makeFolder(t), 'copy')
    await using copy = await BufferedFile.create(path)

    const receiving = pipe(pair.server, copy.writer())
    assert.equal(await pipe(file.stream(), pair.client), sent.length)
    assert.equal(await receiving, sent.length)

    assert.equal(await copy.size(), sent.length)
    assert.deepEqual(await copy.read(0, sent.length), sent)
  }
})
