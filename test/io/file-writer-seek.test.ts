/** Writers that move while a head is being read which nobody needs any more. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { DirectFile } from '../../src/io/index.ts'
import { makeFolder, needsDirect, pattern } from './support.ts'

const direct = needsDirect()

test('seek() waits for the head that a cancelled write has begun to read', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const old = pattern(8192, 3)
  writeFileSync(path, old)
  await using file = await DirectFile.open(path, { read: true, write: true })
  const writer = file.writer({ startBytes: 100 })
  const controller = new AbortController()
  const writing = writer.write(pattern(10, 4), { signal: controller.signal })
  controller.abort(new Error('enough'))

  const seeking = writer.seek(5000)

  await Promise.all([assert.rejects(writing, { message: 'enough' }), seeking])
  await writer.write(pattern(10, 5))
  await writer.end()
  const expected = Buffer.from(old)
  expected.set(pattern(10, 5), 5000)
  assert.equal(Buffer.compare(readFileSync(path), expected), 0)
})

test('seek() that waits for a head can be aborted, and ends with the writer', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(8192, 3))
  await using file = await DirectFile.open(path, { read: true, write: true })
  const writer = file.writer({ startBytes: 100 })
  const reason = new Error('enough')
  const controller = new AbortController()
  const { signal } = controller
  const writing = writer.write(pattern(10, 4), { signal })
  const aborted = writer.seek(5000, { signal })
  const failed = writer.seek(5000)
  const outcomes = Promise.allSettled([writing, aborted, failed])
  controller.abort(reason)
  await Promise.resolve()

  await writer.abort(new Error('over'))

  const [first, second, third] = await outcomes
  assert.deepEqual(first, { status: 'rejected', reason })
  assert.deepEqual(second, { status: 'rejected', reason })
  assert.equal(third?.status, 'rejected')
  assert.equal(Buffer.compare(readFileSync(path), pattern(8192, 3)), 0)
})
