/** Reads of more than one piece: how much memory they take, and what becomes of them where the size is not as told. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { BufferedFile } from '../../src/io/index.ts'
import { GrowingBytes } from '../../src/io/requests/growing-bytes.ts'
import { simulate } from '../../src/testing/index.ts'
import { assertNoLeak, holdings, makeFolder, pattern } from './support.ts'

const MIB = 1024 * 1024

test('read() of many pieces makes one array, as long as what there is', async (t) => {
  const path = join(makeFolder(t), 'file')
  const bytes = pattern(9 * MIB + 5, 1)
  await using file = await BufferedFile.create(path)
  await file.write(bytes, 0)
  const allocate = t.mock.method(Buffer, 'allocUnsafeSlow')

  const found = await file.read(3, 1024 * MIB)

  const lengths = allocate.mock.calls.map((call) => call.arguments[0])
  assert.deepEqual(lengths, [bytes.length - 3])
  assert.equal(Buffer.compare(found, bytes.subarray(3)), 0)
  assert.equal(found.buffer.byteLength, bytes.length - 3)
  assert.equal((await file.read(bytes.length + 1, MIB)).length, 0)
})

const SIZELESS = '/proc/kallsyms'
const hasSizeless: { skip: string | false } = {
  skip: existsSync(SIZELESS) ? false : `no ${SIZELESS} here`,
}

test('read() brings all of a file that tells no size', hasSizeless, async () => {
  const path = SIZELESS
  await using file = await BufferedFile.open(path)

  const found = await file.read(0, 1024 * MIB)

  assert.equal(await file.size(), 0)
  assert.equal(found.length, readFileSync(path).length)
})

test('read() of many pieces brings what a file has become meanwhile, and can be aborted', async () => {
  let changedCount = 0
  for (let seed = 0; seed < 12; seed++) {
    await simulate({ seed, executor: { ioMemoryBytes: 2 * MIB } }, async () => {
      await using file = await BufferedFile.create('/tmp/file')
      await file.write(pattern(MIB, 2), 0)

      const reading = file.read(0, 4 * MIB)
      if (seed % 3 === 0) await file.write(pattern(2 * MIB, 2), 0)
      if (seed % 3 === 1) await file.truncate(MIB / 2)
      const found = await reading

      if (found.length !== MIB) changedCount++
      assert.equal(Buffer.compare(found, pattern(2 * MIB, 2).subarray(0, found.length)), 0)
      await assert.rejects(file.read(0, MIB, { signal: AbortSignal.abort(new Error('enough')) }), {
        message: 'enough',
      })
    })
  }
  assert.ok(changedCount > 0)
})

test('read() of many pieces leaves nothing when it is aborted on the way', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  await file.write(new Uint8Array(8 * MIB), 0)
  const before = holdings()
  const controller = new AbortController()

  const reading = file.read(0, 8 * MIB, { signal: controller.signal })
  await file.size()
  controller.abort(new Error('enough'))

  await assert.rejects(reading, { message: 'enough' })
  assertNoLeak(before)
})

test('GrowingBytes keeps what comes, in order, and copies each byte a few times at most', () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 60 })
  fc.assert(
    fc.property(pieces, fc.nat(3000), (parts, expectedCount) => {
      const whole = Buffer.concat(parts)
      let preparedCount = 0
      const bytes = new GrowingBytes(expectedCount, whole.length, () => preparedCount++)
      for (const part of parts) bytes.append(part)

      const taken = bytes.take()

      assert.equal(Buffer.compare(taken, whole), 0)
      assert.equal(taken.buffer.byteLength, whole.length)
      assert.ok(preparedCount <= 2 + Math.ceil(Math.log2(whole.length + 2)))
    }),
  )
})
