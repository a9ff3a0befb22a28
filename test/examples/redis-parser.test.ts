/** The parser of the Redis example: any cut of the bytes gives the same commands, and errors are those of Redis. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RespParser } from '../../examples/redis/parser.ts'

/** What the bytes came to, cut at these places. */
function parse(bytes: Buffer, cuts: readonly number[]): { commands: string[][]; error: unknown } {
  const parser = new RespParser({ bulkBytesMax: 1000, argumentsMax: 10 })
  const places = [...cuts.filter((cut) => cut <= bytes.length), bytes.length].sort((a, b) => a - b)
  const commands: string[][] = []
  let from = 0
  for (const until of places) {
    // Overwritten afterwards, as the memory of a lease is.
    const chunk = Buffer.from(bytes.subarray(from, until))
    commands.push(...parser.push(chunk))
    chunk.fill(0)
    from = until
  }
  return { commands, error: parser.error }
}

function encode(command: readonly string[]): Buffer {
  const parts = command.map((text) => `$${text.length}\r\n${text}\r\n`)
  return Buffer.from(`*${command.length}\r\n${parts.join('')}`, 'latin1')
}

const byteText = fc
  .uint8Array({ maxLength: 60 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'))
const anyCommand = fc.array(byteText, { minLength: 1, maxLength: 6 })
const anyCuts = fc.array(fc.nat(600), { maxLength: 20 })

test('push() gives the commands that were encoded, however they are cut', () => {
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 8 }), anyCuts, (commands, cuts) => {
      const bytes = Buffer.concat(commands.map(encode))

      assert.deepEqual(parse(bytes, cuts), { commands, error: null })
    }),
  )
})

test('push() makes the same of any bytes, however they are cut', () => {
  const piece = fc.constantFrom(
    '*',
    '$',
    '1',
    '2',
    '10',
    '-',
    '\r\n',
    '\n',
    'GET',
    '"',
    "'",
    ' ',
    'x',
    '\\',
    '\0',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), anyCuts, (pieces, cuts) => {
      const bytes = Buffer.from(pieces.join(''), 'latin1')

      assert.deepEqual(parse(bytes, cuts), parse(bytes, []))
    }),
    { numRuns: 1000 },
  )
})

for (const [text, error] of [
  ['*11\r\n', 'invalid multibulk length'],
  ['*99999999999\r\n', 'invalid multibulk length'],
  ['*x\r\n', 'invalid multibulk length'],
  ['*\r\n', 'invalid multibulk length'],
  ['*1\r\n+PING\r\n', "expected '$', got '+'"],
  ['*1\r\n$-1\r\n', 'invalid bulk length'],
  ['*1\r\n$x\r\n', 'invalid bulk length'],
  ['*1\r\n$1001\r\n', 'invalid bulk length'],
  [`*2\r\n$600\r\n${'x'.repeat(600)}\r\n$600\r\n`, 'invalid bulk length'],
  ['GET "a\r\n', 'unbalanced quotes in request'],
  ['GET "a"b\r\n', 'unbalanced quotes in request'],
  ['x'.repeat(70_000), 'too big inline request'],
  [`*${'1'.repeat(70_000)}`, 'too big mbulk count string'],
  [`*1\r\n$${'1'.repeat(70_000)}`, 'too big bulk count string'],
] as const) {
  test(`push() refuses ${JSON.stringify(text.slice(0, 24))} with: ${error}`, () => {
    const bytes = Buffer.from(`*1\r\n$4\r\nPING\r\n${text}`)

    const found = parse(bytes, [])

    assert.deepEqual(found, { commands: [['PING']], error })
    assert.deepEqual(parse(bytes, [15, 16, 17, 40_000]), found)
  })
}

test('push() gives nothing after an error', () => {
  const parser = new RespParser()
  parser.push(Buffer.from('*x\r\n'))

  assert.deepEqual(parser.push(Buffer.from('PING\r\n')), [])
  assert.equal(parser.error, 'invalid multibulk length')
})

for (const [line, words] of [
  ['SET a b', ['SET', 'a', 'b']],
  ['  PING\t ', ['PING']],
  ['', []],
  ['SET a "x y\\n\\x41\\q\\""', ['SET', 'a', 'x y\nAq"']],
  ["SET a 'it\\'s \\n'", ['SET', 'a', "it's \\n"]],
  ['SET "" pre"fix"', ['SET', '', 'prefix']],
] as const) {
  test(`push() splits the inline command ${JSON.stringify(line)}`, () => {
    const { commands, error } = parse(Buffer.from(`${line}\r\n${line}\n`), [])

    assert.deepEqual(
      { commands, error },
      { commands: words.length > 0 ? [words, words] : [], error: null },
    )
  })
}

test('push() passes over arrays that are empty or null', () => {
  const { commands, error } = parse(Buffer.from('*0\r\n*-1\r\n\r\nPING\r\n'), [])

  assert.deepEqual({ commands, error }, { commands: [['PING']], error: null })
})
