import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UringKernel } from '../../src/kernel/index.ts'
import { IoMemory } from '../../src/memory/index.ts'

const KIB = 1024
const MIB = 1024 * KIB
const kernel = new UringKernel()

function createMemory(sizeBytes = 64 * KIB, sizeBytesMax = sizeBytes): IoMemory {
  return new IoMemory({ kernel, sizeBytes, sizeBytesMax })
}

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
  memory.primary.bufferIndex = 0
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

test('memory cannot be detached under a request', () => {
  const memory = createMemory()
  using buffer = memory.allocate(4096)

  const { port1 } = new MessageChannel()
  try {
    port1.postMessage(null, [buffer.bytes.buffer as ArrayBuffer])
  } catch {
    // Some versions of Node refuse, others leave the memory where it is.
  }
  port1.close()

  assert.equal(buffer.bytes.length, 4096)
  assert.equal(kernel.addressOf(buffer.bytes), buffer.address)
})
