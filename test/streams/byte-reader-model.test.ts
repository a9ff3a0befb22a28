/** Any calls in any order on any pieces give what the same calls give on the whole. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteReader } from '../../src/streams/index.ts'
import { cut, TestSource, textOf } from './support.ts'

const LINE_BYTES_MAX = 24

/** The whole, and how far it was read. */
class Whole {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get rest(): Buffer {
    return this.bytes.subarray(this.at)
  }

  take(count: number): Buffer {
    const taken = this.rest.subarray(0, count)
    this.at += taken.length
    return taken
  }

  /** A line as a reader gives it: null at the end, undefined if it is too long. */
  takeLine(): string | null | undefined {
    const { rest } = this
    const index = rest.indexOf(10)
    const length = index < 0 ? rest.length : index + 1
    if (rest.length === 0) return null
    if (length > LINE_BYTES_MAX) return undefined
    return this.take(length)
      .toString()
      .replace(/\r?\n$/, '')
  }
}

type Call = (reader: ByteReader, whole: Whole, source: TestSource) => Promise<void>

const callReadLine: Call = async (reader, whole) => {
  const line = whole.takeLine()
  if (line === undefined) await assert.rejects(reader.readLine(), { code: 'ERR_LIMIT_EXCEEDED' })
  else assert.equal(await reader.readLine(), line)
}

const callLine: Call = async (reader, whole) => {
  const line = whole.takeLine()
  const next = reader.linesAsBytes().next()
  if (line === undefined) await assert.rejects(next, { code: 'ERR_LIMIT_EXCEEDED' })
  else assert.equal(textOf((await next).value ?? null), line)
}

const callBatch: Call = async (reader, whole) => {
  const next = reader.lineBatches().next()
  const { rest, at } = whole
  const first = whole.takeLine()
  if (first === undefined) return assert.rejects(next, { code: 'ERR_LIMIT_EXCEEDED' })
  whole.at = at
  const { value } = await next
  if (value === undefined) return assert.equal(rest.length, 0)
  for (const line of value) assert.equal(line, whole.takeLine())
  assert.equal(reader.positionBytes, whole.at)
}

function callExactly(count: number): Call {
  return async (reader, whole) => {
    if (whole.rest.length < count) {
      await assert.rejects(reader.readExactly(count), { code: 'ERR_END_OF_FILE' })
    } else {
      assert.deepEqual(Buffer.from(await reader.readExactly(count)), whole.take(count))
    }
  }
}

function callRead(count: number): Call {
  return async (reader, whole) => {
    const chunk = await reader.read(count)
    if (chunk === null) return assert.equal(whole.rest.length, 0)
    assert.ok(chunk.length > 0 && chunk.length <= count)
    assert.deepEqual(Buffer.from(chunk), whole.take(chunk.length))
  }
}

function callPeek(count: number): Call {
  return async (reader, whole) => {
    assert.deepEqual(Buffer.from(await reader.peek(count)), whole.rest.subarray(0, count))
  }
}

function callSkip(count: number): Call {
  return async (reader, whole) => {
    assert.equal(await reader.skip(count), whole.take(count).length)
  }
}

function callUntil(delimiter: string, maxBytes: number): Call {
  return async (reader, whole) => {
    const index = whole.rest.indexOf(delimiter)
    const length = index < 0 ? whole.rest.length : index + Buffer.byteLength(delimiter)
    const reading = reader.readUntil(delimiter, { maxBytes })
    if (length > maxBytes) return assert.rejects(reading, { code: 'ERR_LIMIT_EXCEEDED' })
    assert.equal(textOf(await reading), length === 0 ? null : whole.take(length).toString())
  }
}

function callConsume(count: number): Call {
  return async (reader, whole) => {
    const view = await reader.fillBuffer()
    assert.deepEqual(Buffer.from(view), whole.rest.subarray(0, view.length))
    assert.equal(view.length === 0, whole.rest.length === 0)
    const taken = Math.min(count, view.length)
    reader.consume(taken)
    whole.take(taken)
  }
}

const callPull: Call = async (reader, whole) => {
  using lease = await reader.pull()
  if (lease === null) return assert.equal(whole.rest.length, 0)
  assert.deepEqual(Buffer.from(lease.bytes), whole.take(lease.lengthBytes))
}

/** A call that waits for more and is aborted takes nothing, however much has come meanwhile. */
const callAborted: Call = async (reader) => {
  const controller = new AbortController()
  const reading = reader.readExactly(10_000, { signal: controller.signal })
  reading.catch(() => {})
  controller.abort()
  await assert.rejects(reading, (error: Error & { code?: string }) => {
    return error.name === 'AbortError' || error.code === 'ERR_END_OF_FILE'
  })
}

const count = fc.nat({ max: 40 })
const call: fc.Arbitrary<Call> = fc.oneof(
  fc.constantFrom(callReadLine, callLine, callBatch, callPull, callAborted),
  count.map(callExactly),
  fc.integer({ min: 1, max: 40 }).map(callRead),
  count.map(callPeek),
  count.map(callSkip),
  fc
    .tuple(fc.constantFrom('\n', '\r\n', 'é', 'aba', 'abab'), fc.integer({ min: 1, max: 40 }))
    .map(([delimiter, maxBytes]) => callUntil(delimiter, maxBytes)),
  count.map(callConsume),
)
const text = fc
  .array(fc.constantFrom('a', 'b', 'aba', '\n', '\r\n', '\r', 'é', '🙂', 'word '), {
    maxLength: 80,
  })
  .map((parts) => Buffer.from(parts.join('')))
const lengths = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 })

test('any calls on any pieces give what they give on the whole', async () => {
  const property = fc.asyncProperty(
    text,
    lengths,
    fc.array(call, { maxLength: 30 }),
    async (bytes, pieceLengths, calls) => {
      const source = new TestSource(...cut(bytes, pieceLengths), null)
      const reader = new ByteReader(source, { lineBytesMax: LINE_BYTES_MAX })
      const whole = new Whole(bytes)

      for (const make of calls) {
        await make(reader, whole, source)
        assert.equal(reader.positionBytes, whole.at)
      }
      assert.deepEqual(Buffer.from(await reader.readToEnd()), Buffer.from(whole.rest))
      assert.equal(source.heldCount, 0)
    },
  )
  await fc.assert(property, { numRuns: 500 })
})
