import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lease, type LeaseOwner, leaseHeap } from '../../src/memory/index.ts'

/** Counts what it is asked for. */
class TestOwner implements LeaseOwner {
  readonly memory: Uint8Array = Uint8Array.from({ length: 64 }, (_, index) => index)
  readonly freed: number[] = []
  viewCount = 0

  addressOf(token: number): number {
    return 4096 + token
  }

  bufferIndexOf(token: number): number {
    return token / 8
  }

  viewOf(token: number, startBytes: number, lengthBytes: number): Uint8Array {
    this.viewCount++
    return this.memory.subarray(token + startBytes, token + startBytes + lengthBytes)
  }

  placeOf(): null {
    return null
  }

  free(token: number, lease: Lease): void {
    assert.ok(lease.isReleased)
    this.freed.push(token)
  }
}

test('bytes is made at the first look and kept', () => {
  const owner = new TestOwner()
  const lease = new Lease(owner, 8, 1, 4)

  assert.equal(owner.viewCount, 0)
  const { bytes } = lease

  assert.deepEqual([...bytes], [9, 10, 11, 12])
  assert.equal(lease.bytes, bytes)
  assert.equal(owner.viewCount, 1)
  assert.deepEqual([lease.address, lease.bufferIndex, lease.lengthBytes], [4105, 1, 4])
})

test('release() gives the piece back once, and bytes throws from then on', () => {
  const owner = new TestOwner()
  const lease = new Lease(owner, 8, 0, 4)

  lease.release()
  lease.release()
  lease[Symbol.dispose]()

  assert.deepEqual(owner.freed, [8])
  assert.equal(lease.isReleased, true)
  assert.equal(lease.lengthBytes, 4)
  assert.throws(() => lease.bytes, { code: 'ERR_BUFFER_RELEASED' })
  assert.throws(() => lease.trim(1), { code: 'ERR_BUFFER_RELEASED' })
})

test('release() of a pinned lease gives the piece back with the last pin', () => {
  const owner = new TestOwner()
  const lease = new Lease(owner, 8, 0, 4)
  lease.pin()
  lease.pin()

  lease.release()
  lease.unpin()
  assert.deepEqual(owner.freed, [])

  lease.unpin()
  assert.deepEqual(owner.freed, [8])
})

test('narrow() shows a part, whose address is its own', () => {
  const lease = new Lease(new TestOwner(), 8, 1, 10)

  lease.narrow(2, 3)

  assert.deepEqual([...lease.bytes], [11, 12, 13])
  assert.equal(lease.address, 4096 + 11)
  assert.throws(() => lease.narrow(1, 3), { code: 'ERR_ASSERTION' })
})

test('leaseHeap() has no address, shows the bytes given, and ends with its release', () => {
  const lease = leaseHeap(Uint8Array.of(1, 2, 3))

  assert.deepEqual([lease.address, lease.bufferIndex], [0, -1])
  lease.trim(2)
  assert.deepEqual([...lease.bytes], [1, 2])
  lease.narrow(1, 1)
  assert.deepEqual([[...lease.bytes], lease.address], [[2], 0])
  lease.release()
  assert.throws(() => lease.bytes, { code: 'ERR_BUFFER_RELEASED' })
})

test('slice() shows a part of the same memory, which goes back with the last of all', () => {
  const owner = new TestOwner()
  const lease = new Lease(owner, 8, 1, 10)
  const first = lease.slice(0, 4)
  const second = lease.slice(2, 8)

  assert.deepEqual([...first.bytes], [9, 10, 11, 12])
  assert.deepEqual([second.address, second.bufferIndex, second.lengthBytes], [4096 + 11, 1, 8])
  lease.release()
  first.release()
  first.release()
  assert.deepEqual([...second.bytes.subarray(0, 2)], [11, 12])
  assert.deepEqual(owner.freed, [])

  second.release()
  assert.deepEqual(owner.freed, [8])
  assert.throws(() => second.bytes, { code: 'ERR_BUFFER_RELEASED' })
})

test('slice() of a slice, or of a trimmed lease, is a part of what that shows', () => {
  const owner = new TestOwner()
  const lease = new Lease(owner, 0, 0, 16)
  lease.trim(8)
  const outer = lease.slice(2, 6)
  const inner = outer.slice(1, 3)

  lease.release()
  outer.release()
  assert.deepEqual([[...inner.bytes], owner.freed], [[3, 4, 5], []])
  inner.release()

  assert.deepEqual(owner.freed, [0])
})

test('a slice that an operation uses keeps the memory after its release', () => {
  const owner = new TestOwner()
  const lease = new Lease(owner, 8, 0, 8)
  const part = lease.slice(4, 4)
  part.pin()

  lease.release()
  part.release()
  assert.deepEqual([[...part.pinnedBytes(4)], owner.freed], [[12, 13, 14, 15], []])
  part.unpin()

  assert.deepEqual(owner.freed, [8])
})

test('slice() throws for what is no part, and once the lease is released', () => {
  const lease = new Lease(new TestOwner(), 0, 0, 8)
  for (const [from, length] of [
    [-1, 2],
    [0, 9],
    [8, 1],
    [0.5, 1],
    [0, -1],
    [0, Number.NaN],
  ] as const) {
    assert.throws(() => lease.slice(from, length), RangeError)
  }
  assert.equal(lease.slice(8, 0).lengthBytes, 0)

  lease.release()

  assert.throws(() => lease.slice(0, 1), { code: 'ERR_BUFFER_RELEASED' })
})

test('handOver() is refused while there are slices, and a slice is not handed over in place', () => {
  const lease = new Lease(new TestOwner(), 0, 0, 8)
  const part = lease.slice(0, 4)

  assert.throws(() => lease.handOver(), { code: 'ERR_STILL_HELD' })
  assert.equal(part.handOver(), null)

  assert.equal(part.isReleased, false)
})
