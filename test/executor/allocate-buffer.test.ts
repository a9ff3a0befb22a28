import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBuffer, executor } from '../../src/index.ts'

test('allocateBuffer() gives I/O memory of this thread, aligned and as long as asked for', () => {
  const { memory } = executor()
  const before = memory.leasedCount

  const lease = allocateBuffer(5000)

  assert.equal(lease.bytes.length, 5000)
  assert.equal(lease.address % 8192, 0)
  assert.equal(memory.leasedCount, before + 1)
  lease.release()
  assert.equal(memory.leasedCount, before)
})

test('allocateBuffer() refuses lengths that are none', () => {
  for (const length of [0, -1, 1.5, Number.NaN, 2 ** 30 + 1, Infinity]) {
    assert.throws(() => allocateBuffer(length), RangeError)
  }
  assert.throws(() => allocateBuffer('1' as unknown as number), TypeError)
})
