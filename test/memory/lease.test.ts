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
