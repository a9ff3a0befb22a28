import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { IORING_CQE_BUFFER_SHIFT, IORING_CQE_F_BUFFER } from '../../src/kernel/index.ts'
import { type IoMemory, POISON } from '../../src/memory/index.ts'
import { BufferRing } from '../../src/ring/index.ts'
import { collectUntil, createMemory, KIB, MIB, steal } from '../memory/support.ts'
import { reactorOf } from '../reactor-of.ts'

let groupId = 100

function createBuffers(
  entryCount: number,
  initialCount: number,
  memory: IoMemory = executor().memory,
  bufferBytes = 4096,
): BufferRing {
  const { kernel, main } = reactorOf(executor())
  groupId++
  return new BufferRing({
    kernel,
    ring: main,
    memory,
    groupId,
    entryCount,
    bufferBytes,
    initialCount,
  })
}

/** The kernel has filled a buffer, whole unless told otherwise. */
function take(buffers: BufferRing, buffer: number, result: number = buffers.bufferBytes): void {
  assert.ok(buffers.take(result, IORING_CQE_F_BUFFER | (buffer << IORING_CQE_BUFFER_SHIFT)))
  assert.equal(buffers.takeNext(), false)
}

test('take() and release() count who has how many buffers', () => {
  const buffers = createBuffers(8, 4)

  take(buffers, 1)
  assert.deepEqual([buffers.kernelCount, buffers.userCount, buffers.freeCount], [3, 1, 4])
  buffers.release(1)

  assert.deepEqual([buffers.kernelCount, buffers.userCount, buffers.freeCount], [4, 0, 4])
  buffers.close()
})

test('release() and take() refuse what our own mistakes would ask', () => {
  const buffers = createBuffers(8, 4)

  assert.throws(() => buffers.release(0), { code: 'ERR_ASSERTION' })
  take(buffers, 0)
  assert.throws(() => take(buffers, 0), { code: 'ERR_ASSERTION' })
  buffers.close()
})

test('view() and addressOf() tell where a buffer is, of every segment; copy() what it holds', () => {
  const buffers = createBuffers(16, 2)
  assert.ok(buffers.grow())
  assert.ok(buffers.grow())
  const { kernel } = executor()

  for (let buffer = 0; buffer < buffers.bufferCount; buffer++) {
    take(buffers, buffer)
    const view = buffers.view(buffer, 10, 20)
    view.fill(buffer)
    assert.equal(buffers.addressOf(buffer) + 10, kernel.addressOf(view))
    assert.deepEqual(buffers.copy(buffer, 10, 20), new Uint8Array(10).fill(buffer))
    assert.equal(buffers.copy(buffer, 10, 20).buffer.byteLength, 10)
  }
  buffers.close()
})

test('view() and copy() fail for a buffer that the kernel has', () => {
  const buffers = createBuffers(8, 4)

  assert.throws(() => buffers.view(1, 0, 1), { name: 'AssertionError' })
  assert.throws(() => buffers.copy(1, 0, 1), { name: 'AssertionError' })
  buffers.close()
})

test('grow() doubles until all entries are used', () => {
  const buffers = createBuffers(8, 3)

  assert.ok(buffers.grow())
  assert.equal(buffers.bufferCount, 6)
  assert.ok(buffers.grow())
  assert.equal(buffers.bufferCount, 8)
  assert.equal(buffers.grow(), false)
  buffers.close()
})

test('grow() makes whole buffers, where their size does not divide a segment', () => {
  const buffers = createBuffers(16, 2, executor().memory, 6 * MIB + 4096)
  assert.ok(buffers.grow())
  assert.ok(buffers.grow())

  assert.equal(buffers.bufferCount, 6)
  take(buffers, 5)
  assert.equal(buffers.view(5, 0, buffers.bufferBytes).length, buffers.bufferBytes)
  buffers.close()
})

test('close() gives the memory back', () => {
  const { memory } = executor()
  const leasedCount = memory.leasedCount

  createBuffers(8, 8).close()

  assert.equal(memory.leasedCount, leasedCount)
})

test('a group that the ring has already is refused with EEXIST', () => {
  const buffers = createBuffers(4, 4)
  groupId--

  assert.throws(() => createBuffers(4, 4), { code: 'EEXIST', syscall: 'io_uring_register' })
  buffers.close()
})

test('a clone of what users see copies one buffer', () => {
  const buffers = createBuffers(8, 4)
  take(buffers, 1)

  const clone = structuredClone(buffers.view(1, 2, 7))

  assert.equal(clone.buffer.byteLength, 4096)
  buffers.close()
})

test('a buffer that a user took away is with the kernel again once that was collected', async () => {
  const buffers = createBuffers(8, 4)
  take(buffers, 1)
  buffers.view(1, 0, 4096).fill(7)
  let stolen: Uint8Array | null = await steal(buffers.view(1, 0, 4096))

  buffers.release(1)

  assert.deepEqual([buffers.kernelCount, buffers.userCount, buffers.lostCount], [3, 1, 1])
  assert.equal(buffers.recover(), false)
  assert.ok(stolen.every((byte) => byte === 7))
  stolen = null
  await collectUntil(() => buffers.recover())
  assert.deepEqual([buffers.kernelCount, buffers.userCount, buffers.lostCount], [4, 0, 0])
  take(buffers, 1)
  assert.equal(buffers.view(1, 0, 4096).length, 4096)
  buffers.release(1)
  buffers.close()
})

test('release() loses a buffer that was looked at again after it was taken away', async () => {
  const buffers = createBuffers(8, 4)
  take(buffers, 1)
  const stolen = await steal(buffers.view(1, 0, 4096))
  assert.equal(buffers.view(1, 0, 10).length, 10)

  buffers.release(1)

  assert.equal(stolen.length, 4096)
  assert.deepEqual([buffers.kernelCount, buffers.lostCount], [3, 1])
  buffers.close()
})

test('release() loses nothing that was taken too late, where no more may be lost', async () => {
  const buffers = createBuffers(8, 4)
  take(buffers, 1)
  const late = buffers.view(1, 0, 4096)
  buffers.release(1)
  take(buffers, 1)
  await steal(late)

  buffers.release(1, false)

  assert.deepEqual([buffers.kernelCount, buffers.lostCount], [4, 0])
  buffers.close()
})

test('release() poisons, and empties what users saw, where that is asked for', () => {
  const memory = createMemory(MIB, MIB, { poisons: true, empties: true })
  const buffers = createBuffers(8, 4, memory)
  take(buffers, 2)
  const view = buffers.view(2, 0, 100)
  view.fill(1)

  buffers.release(2)

  assert.equal(view.length, 0)
  take(buffers, 2)
  assert.ok(buffers.view(2, 0, 100).every((byte) => byte === POISON))
  buffers.release(2)
  buffers.close()
})

test('a ring of buffers begins with few where others hold all memory', () => {
  const memory = createMemory(64 * KIB)
  using _all = memory.allocate(64 * KIB)

  const buffers = createBuffers(64, 64, memory)

  assert.equal(buffers.bufferCount, 4)
  assert.equal(buffers.grow(), false)
  buffers.close()
})
