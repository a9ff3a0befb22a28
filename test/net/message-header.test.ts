import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { executor } from '../../src/executor/index.ts'
import { MessageHeader, messageHeaderBytes } from '../../src/net/memory/message-header.ts'

const PARTS_MAX = 16

/** What the kernel reads at the header: where each part is, and how long. */
function readParts(bytes: Uint8Array, address: number): readonly (readonly [number, number])[] {
  const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const vectors = Number(fields.getBigUint64(16, true)) - address
  const count = Number(fields.getBigUint64(24, true))
  return Array.from({ length: count }, (_, part) => [
    Number(fields.getBigUint64(vectors + 16 * part, true)),
    Number(fields.getBigUint64(vectors + 16 * part + 8, true)),
  ])
}

test('MessageHeader.skip() takes off exactly what was sent, in as many steps as there are', () => {
  const lease = executor().memory.allocateOwn(messageHeaderBytes(PARTS_MAX))
  const header = new MessageHeader(lease, PARTS_MAX)
  const part = fc.tuple(fc.integer({ min: 1, max: 2 ** 47 }), fc.integer({ min: 1, max: 2 ** 33 }))
  const parts = fc.array(part, { minLength: 1, maxLength: PARTS_MAX })
  fc.assert(
    fc.property(parts, fc.array(fc.double({ min: 0, max: 1, noNaN: true })), (given, cuts) => {
      header.clear()
      for (const [address, lengthBytes] of given) header.add(address, lengthBytes)
      let left = given.reduce((sum, [, lengthBytes]) => sum + lengthBytes, 0)
      const total = left

      for (const cut of cuts) {
        const sent = Math.floor(left * cut)
        header.skip(sent)
        left -= sent
      }

      const found = readParts(lease.bytes, lease.address)
      const expected: [number, number][] = []
      let position = 0
      for (const [address, lengthBytes] of given) {
        const skipped = Math.min(lengthBytes, Math.max(0, total - left - position))
        if (skipped < lengthBytes) expected.push([address + skipped, lengthBytes - skipped])
        position += lengthBytes
      }
      assert.deepEqual(found, expected)
    }),
  )
  header.release()
})
