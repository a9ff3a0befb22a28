import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLent, leaseHeap } from '../../src/memory/index.ts'
import { createMemory, KIB, kernel, MIB } from './support.ts'

test('allocate() gives exactly the length asked for, aligned to its power of two', () => {
  const memory = createMemory(MIB)

  for (const lengthBytes of [1, 500, 512, 513, 4096, 5000, 65_536]) {
    using buffer = memory.allocate(lengthBytes)

    const alignment = Math.max(512, 2 ** Math.ceil(Math.log2(lengthBytes)))
    assert.equal(buffer.lengthBytes, lengthBytes)
    assert.equal(buffer.address % alignment, 0)
    assert.equal(buffer.address, kernel.addressOf(buffer.bytes))
  }
  assert.equal(memory.leasedCount, 0)
})

test('allocate() throws ERR_OUT_OF_MEMORY at the limit, and serves again after a release', () => {
  const memory = createMemory()
  const first = memory.allocate(32 * KIB)
  const second = memory.allocate(32 * KIB)

  assert.throws(() => memory.allocate(1), { code: 'ERR_OUT_OF_MEMORY' })

  first.release()
  using third = memory.allocate(20 * KIB)
  assert.equal(third.lengthBytes, 20 * KIB)
  second.release()
})

test('allocate() grows by arenas that are not registered', () => {
  const memory = createMemory(64 * KIB, 64 * KIB + 16 * MIB)
  memory.primary.noteRegistered([64 * KIB])
  using first = memory.allocate(64 * KIB)

  using second = memory.allocate(64 * KIB)

  assert.deepEqual([first.bufferIndex, second.bufferIndex], [0, -1])
  assert.equal(memory.sizeBytes, 64 * KIB + 16 * MIB)
  assert.throws(() => memory.allocate(16 * MIB), { code: 'ERR_OUT_OF_MEMORY' })
})

test('allocate() throws ERR_OUT_OF_MEMORY for more than a block can have', () => {
  const memory = createMemory(64 * KIB, 2 ** 40)

  for (const lengthBytes of [2 ** 30 + 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 52]) {
    assert.throws(() => memory.allocate(lengthBytes), { code: 'ERR_OUT_OF_MEMORY' })
  }
  assert.equal(memory.leasedCount, 0)
})

test('release() gives the memory back once, whoever calls it again', () => {
  const memory = createMemory()
  const buffer = memory.allocate(64 * KIB)

  buffer.release()
  buffer.release()
  buffer[Symbol.dispose]()

  assert.equal(memory.leasedCount, 0)
  assert.equal(memory.usedBytes, 0)
})

test('a released buffer can no longer be read, nor handed out anew while it is pinned', () => {
  const memory = createMemory()
  const buffer = memory.allocate(64 * KIB)
  buffer.pin()
  buffer.pin()

  buffer.release()

  assert.ok(buffer.isReleased)
  assert.throws(() => buffer.bytes, { code: 'ERR_BUFFER_RELEASED' })
  assert.throws(() => buffer.trim(0), { code: 'ERR_BUFFER_RELEASED' })
  assert.throws(() => buffer.assertHeld(), { code: 'ERR_BUFFER_RELEASED' })
  buffer.unpin()
  assert.throws(() => memory.allocate(1), { code: 'ERR_OUT_OF_MEMORY' })
  buffer.unpin()
  assert.equal(memory.leasedCount, 0)
  memory.allocate(64 * KIB).release()
})

test('unpin() keeps a lease that was not released', () => {
  const memory = createMemory()
  using buffer = memory.allocate(512)

  buffer.pin()
  buffer.unpin()

  assert.equal(buffer.bytes.length, 512)
  assert.equal(memory.leasedCount, 1)
})

test('pins are refused of memory that is free, and end once', () => {
  const memory = createMemory()
  const buffer = memory.allocate(512)

  assert.throws(() => buffer.unpin(), { code: 'ERR_ASSERTION' })
  buffer.release()
  assert.throws(() => buffer.pin(), { code: 'ERR_ASSERTION' })
})

test('trim() shortens what is seen, not what is leased', () => {
  const memory = createMemory()
  using buffer = memory.allocate(4096)

  buffer.trim(100)

  assert.equal(buffer.lengthBytes, 100)
  assert.equal(memory.usedBytes, 4096)
  for (const wrong of [101, -1, 1.5, Number.NaN]) {
    assert.throws(() => buffer.trim(wrong), RangeError)
  }
})

test('allocateOwn() finds room however much others hold, in a reserve', () => {
  const memory = createMemory()
  const others = [memory.allocate(32 * KIB), memory.allocate(32 * KIB)]
  assert.throws(() => memory.allocate(512), { code: 'ERR_OUT_OF_MEMORY' })

  const small = Array.from({ length: 1000 }, () => memory.allocateOwn(100))
  const large = memory.allocateOwn(256 * KIB)

  assert.equal(new Set([...small, large].map((lease) => lease.address)).size, 1001)
  for (const lease of [...small, large, ...others]) lease.release()
  assert.deepEqual([memory.leasedCount, memory.usedBytes], [0, 0])
})

test('allocateOwn() throws ERR_OUT_OF_MEMORY when the reserve is used up too', () => {
  const memory = createMemory()
  const leases = [memory.allocateOwn(64 * KIB), memory.allocateOwn(MIB)]

  assert.throws(() => memory.allocateOwn(512), { code: 'ERR_OUT_OF_MEMORY' })

  for (const lease of leases) lease.release()
  memory.allocateOwn(512).release()
})

test('allocateSegment() takes three quarters at most, and the first of the reserve if need be', () => {
  const memory = createMemory(MIB)
  const taken = memory.allocateSegment(512 * KIB, false)
  assert.throws(() => memory.allocateSegment(512 * KIB, false), { code: 'ERR_OUT_OF_MEMORY' })
  const rest = memory.allocate(512 * KIB)

  const first = memory.allocateSegment(64 * KIB, true)

  assert.equal(first.bytes.length, 64 * KIB)
  assert.equal(kernel.addressOf(first.bytes), first.address)
  taken.release()
  memory.allocateSegment(512 * KIB, false).release()
  first.release()
  rest.release()
  assert.equal(memory.usedBytes, 0)
})

test('allocate() refuses with what the kernel says when there is no memory for another arena', (t) => {
  const memory = createMemory(64 * KIB, MIB)
  using _all = memory.allocate(64 * KIB)
  const cause = new RangeError('none left')
  const refusal = t.mock.method(kernel, 'allocate', () => {
    throw cause
  })

  assert.throws(() => memory.allocate(512), { code: 'ERR_OUT_OF_MEMORY', cause })

  refusal.mock.restore()
  memory.allocate(512).release()
})

test('isLent() tells the memory of leases, also of released ones, from other memory', () => {
  const memory = createMemory()
  const lease = memory.allocate(10)
  const { bytes } = lease
  lease.release()
  const segment = memory.allocateSegment(4096, true)

  assert.equal(isLent(bytes), true)
  assert.equal(isLent(bytes.subarray(2, 3)), true)
  assert.equal(isLent(segment.share(0, 512)), true)
  assert.equal(isLent(leaseHeap(new Uint8Array(10)).bytes), false)
  assert.equal(isLent(new Uint8Array(10)), false)
  segment.release()
})
