import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BuddyAllocator } from '../../src/memory/index.ts'

const SIZE_BYTES = 1 << 16
const BLOCK_BYTES_MIN = 512

test('BuddyAllocator never gives a byte twice, aligns, and merges what is freed', () => {
  const action = fc.oneof(
    fc.record({ length: fc.nat({ max: SIZE_BYTES }), free: fc.constant(-1) }),
    fc.record({ length: fc.integer({ min: 1, max: 2000 }), free: fc.constant(-1) }),
    fc.record({ length: fc.constant(0), free: fc.nat() }),
  )
  fc.assert(
    fc.property(fc.array(action, { maxLength: 150 }), (actions) => {
      const allocator = new BuddyAllocator(SIZE_BYTES, BLOCK_BYTES_MIN)
      const blocks = new Map<number, number>()
      for (const { length, free } of actions) {
        if (free >= 0) {
          const offset = [...blocks.keys()][free % Math.max(1, blocks.size)]
          if (offset === undefined) continue
          allocator.free(offset)
          blocks.delete(offset)
        } else {
          const offset = allocator.allocate(length)
          if (offset === -1) continue
          const bytes = allocator.blockBytes(length)
          assert.ok(bytes >= length && offset % bytes === 0 && offset + bytes <= SIZE_BYTES)
          for (const [other, otherBytes] of blocks) {
            assert.ok(offset >= other + otherBytes || offset + bytes <= other)
          }
          blocks.set(offset, bytes)
        }
        assert.equal(
          allocator.usedBytes,
          [...blocks.values()].reduce((sum, bytes) => sum + bytes, 0),
        )
      }
      for (const offset of blocks.keys()) allocator.free(offset)
      assert.equal(allocator.allocate(SIZE_BYTES), 0, 'all has merged into one')
    }),
  )
})

test('allocate() finds room whenever a block of that size is free', () => {
  const allocator = new BuddyAllocator(SIZE_BYTES, BLOCK_BYTES_MIN)
  const count = SIZE_BYTES / BLOCK_BYTES_MIN

  const offsets = Array.from({ length: count }, () => allocator.allocate(1))

  assert.equal(new Set(offsets).size, count)
  assert.equal(allocator.allocate(1), -1)
  allocator.free(offsets[5]!)
  assert.equal(allocator.allocate(512), offsets[5])
})

test('allocate() of more than all is -1, of nothing the smallest block', () => {
  const allocator = new BuddyAllocator(SIZE_BYTES, BLOCK_BYTES_MIN)

  assert.equal(allocator.allocate(SIZE_BYTES + 1), -1)
  assert.equal(allocator.allocate(0), 0)
  assert.equal(allocator.usedBytes, BLOCK_BYTES_MIN)
})

test('free() refuses what is not allocated', () => {
  const allocator = new BuddyAllocator(SIZE_BYTES, BLOCK_BYTES_MIN)
  const offset = allocator.allocate(4096)
  allocator.free(offset)

  for (const wrong of [offset, 512, 100, -512, SIZE_BYTES]) {
    assert.throws(() => allocator.free(wrong), { code: 'ERR_ASSERTION' })
  }
})
