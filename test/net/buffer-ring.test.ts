import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { BufferRing, NO_BUFFER } from '../../src/ring/index.ts'

let groupId = 100

function createBuffers(entryCount: number, initialCount: number): BufferRing {
  const { kernel, main, memory } = executor().reactor
  const bufferBytes = 4096
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

test('release() gives a buffer back with its last use only', () => {
  const buffers = createBuffers(8, 4)
  buffers.receive(1)
  buffers.retain(1)

  assert.equal(buffers.release(1), false)
  assert.ok(buffers.isInUse(1))
  assert.deepEqual([buffers.kernelCount, buffers.userCount, buffers.freeCount], [3, 1, 4])
  assert.equal(buffers.release(1), true)
  assert.equal(buffers.isInUse(1), false)
  assert.deepEqual([buffers.kernelCount, buffers.userCount, buffers.freeCount], [4, 0, 4])
  buffers.close()
})

test('release() and receive() refuse what our own mistakes would ask', () => {
  const buffers = createBuffers(8, 4)

  assert.throws(() => buffers.release(0), { code: 'ERR_ASSERTION' })
  assert.throws(() => buffers.retain(0), { code: 'ERR_ASSERTION' })
  buffers.receive(0)
  assert.throws(() => buffers.receive(0), { code: 'ERR_ASSERTION' })
  buffers.close()
})

test('view() gives the same view for the same length', () => {
  const buffers = createBuffers(4, 4)

  const view = buffers.view(2, 64)

  assert.equal(view.length, 64)
  assert.equal(buffers.view(2, 64), view)
  assert.notEqual(buffers.view(2, 65), view)
  assert.notEqual(buffers.view(3, 64), view)
  buffers.close()
})

test('locate() and addressOf() find what lies in a buffer, of every segment', () => {
  const buffers = createBuffers(16, 2)
  assert.ok(buffers.grow())
  assert.ok(buffers.grow())
  const { kernel, memory } = executor().reactor
  using other = memory.allocate(4096)

  for (let buffer = 0; buffer < buffers.bufferCount; buffer++) {
    const data = buffers.slice(buffer, 10, 20)
    assert.equal(buffers.locate(data), buffer)
    assert.equal(buffers.addressOf(buffer, data), kernel.addressOf(data))
  }
  assert.equal(buffers.locate(other.bytes), NO_BUFFER)
  assert.equal(buffers.locate(new Uint8Array(10)), NO_BUFFER)
  const both = buffers.view(0, 4096)
  const across = new Uint8Array(both.buffer, both.byteOffset + 4000, 200)
  assert.equal(buffers.locate(across), NO_BUFFER)
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

test('close() gives the memory back', () => {
  const { memory } = executor().reactor
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
