/** Whom the memory under a lease belongs to: nobody sees another's, and nobody loses it. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type IoMemory, type Lease, POISON } from '../../src/memory/index.ts'
import { collectUntil, createMemory, KIB, kernel, MIB, steal } from './support.ts'

function leaseAll(memory: IoMemory, lengthBytes: number): Lease[] {
  const leases: Lease[] = []
  for (;;) {
    try {
      leases.push(memory.allocate(lengthBytes))
    } catch {
      return leases
    }
  }
}

function releaseAll(leases: readonly Lease[]): void {
  for (const lease of leases) lease.release()
}

test('a clone of a lease’s bytes copies its own block and nobody else’s', () => {
  const memory = createMemory(MIB)
  using other = memory.allocate(64 * KIB)
  other.bytes.fill(7)
  using lease = memory.allocate(5)
  lease.bytes.set([1, 2, 3, 4, 5])

  const clone = structuredClone(lease.bytes)

  assert.deepEqual([...clone], [1, 2, 3, 4, 5])
  assert.equal(clone.buffer.byteLength, 512)
})

test('a lease that is transferred to another thread is refused, or a copy', () => {
  const memory = createMemory()
  using lease = memory.allocate(4096)
  const { port1 } = new MessageChannel()

  try {
    port1.postMessage(null, [lease.bytes.buffer as ArrayBuffer])
  } catch (error) {
    assert.equal((error as Error).name, 'DataCloneError')
  }
  port1.close()

  assert.equal(lease.bytes.length, 4096)
  assert.equal(kernel.addressOf(lease.bytes), lease.address)
})

test('the next lease of a block shows the same ArrayBuffer', () => {
  const memory = createMemory()
  const first = memory.allocate(4096)
  const { buffer } = first.bytes
  first.release()

  using second = memory.allocate(4000)

  assert.equal(second.bytes.buffer, buffer)
  assert.equal(second.bytes.length, 4000)
})

test('a block whose memory was taken away is lent again only once that was collected', async () => {
  const memory = createMemory(64 * KIB)
  const lease = memory.allocate(16 * KIB)
  const { address } = lease
  lease.bytes.fill(1)
  let stolen: Uint8Array | null = await steal(lease.bytes)
  assert.equal(stolen.length, 16 * KIB)
  lease.release()

  const others = leaseAll(memory, 16 * KIB)
  assert.equal(others.length, 3)
  for (const other of others) {
    assert.notEqual(other.address, address)
    other.bytes.fill(2)
  }
  assert.ok(stolen.every((byte) => byte === 1))

  stolen = null
  let last: Lease | undefined
  await collectUntil(() => {
    last = leaseAll(memory, 16 * KIB)[0]
    return last !== undefined
  })
  assert.equal(last?.address, address)
  assert.equal(last?.bytes.length, 16 * KIB)
  releaseAll([...others, last!])
  assert.deepEqual([memory.leasedCount, memory.usedBytes], [0, 0])
})

test('a lease whose memory was taken away while an operation had it is lost with its last pin', async () => {
  const memory = createMemory(16 * KIB)
  const lease = memory.allocate(16 * KIB)
  lease.pin()
  const stolen = await steal(lease.bytes)
  lease.release()

  lease.unpin()

  assert.equal(stolen.length, 16 * KIB)
  assert.throws(() => memory.allocate(512), { code: 'ERR_OUT_OF_MEMORY' })
  assert.equal(memory.leasedCount, 0)
})

test('released memory is poisoned where that is asked for', () => {
  const memory = createMemory(64 * KIB, 64 * KIB, { poisons: true })
  const lease = memory.allocate(1000)
  const { bytes } = lease
  bytes.fill(1)

  lease.release()

  assert.ok(bytes.every((byte) => byte === POISON))
})

test('views of released memory are empty where that is asked for, and the next lease is not', () => {
  const memory = createMemory(64 * KIB, 64 * KIB, { empties: true })
  const lease = memory.allocate(64 * KIB)
  const { bytes } = lease
  const part = bytes.subarray(5, 10)

  lease.release()

  assert.deepEqual([bytes.length, part.length], [0, 0])
  using next = memory.allocate(64 * KIB)
  assert.equal(next.bytes.length, 64 * KIB)
})

test('a block that was looked at again after it was taken away is nobody else’s', async () => {
  const memory = createMemory(64 * KIB, 64 * KIB)
  const lease = memory.allocate(64 * KIB)
  const stolen = await steal(lease.bytes)
  lease.trim(2)
  assert.equal(lease.bytes.length, 2)

  lease.release()

  assert.equal(stolen.length, 64 * KIB)
  assert.throws(() => memory.allocate(512), { code: 'ERR_OUT_OF_MEMORY' })
})

test('ERR_OUT_OF_MEMORY says who holds how much since when, if that is written down', () => {
  let nowNs = 5e6
  const memory = createMemory(64 * KIB, 64 * KIB, { tracks: true, nowNs: () => nowNs })
  const hoard = function hoard(): Lease[] {
    return Array.from({ length: 3 }, () => memory.allocate(16 * KIB))
  }
  const leases = hoard()
  const small = (function keepSmall() {
    return memory.allocate(512)
  })()
  nowNs = 105e6

  const expected =
    /3 leases, 49152 bytes, the oldest 100 ms old, taken\n[\s\S]*hoard[\s\S]*1 lease, 512 bytes[\s\S]*keepSmall/
  assert.throws(() => memory.allocate(32 * KIB), { code: 'ERR_OUT_OF_MEMORY', message: expected })

  releaseAll([...leases, small])
  memory.allocate(64 * KIB).release()
})

test('ERR_OUT_OF_MEMORY says how to learn who holds it otherwise', () => {
  const memory = createMemory()
  using _all = memory.allocate(64 * KIB)

  assert.throws(() => memory.allocate(1), { message: /PERCORE_DEBUG=1/ })
})

test('memory is given back to the system when nothing refers to it any more', async () => {
  const isMapped = (address: number): boolean =>
    readFileSync('/proc/self/maps', 'utf8')
      .split('\n')
      .some((line) => {
        const [from, to] = line.split(/[- ]/, 2).map((text) => Number.parseInt(text, 16))
        return address >= from! && address < to!
      })
  const use = (): readonly [number, Uint8Array] => {
    const lease = createMemory(64 * KIB).allocate(512)
    return [lease.address, lease.bytes]
  }
  let [address, bytes] = use() as [number, Uint8Array | null]
  await collectUntil(() => true)
  assert.ok(isMapped(address))
  assert.equal(bytes!.length, 512)

  bytes = null

  await collectUntil(() => !isMapped(address))
})
