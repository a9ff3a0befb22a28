import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  copiedBytesOf,
  gatheredCopyBytes,
  planSend,
  SEND_COPY,
  SEND_GATHERED,
  SEND_IN_PLACE,
  SEND_ZERO_COPY,
  type Sendable,
} from '../../src/net/memory/send-plan.ts'

const KIB = 1024
const NEVER = { zeroCopyBytesMin: Number.POSITIVE_INFINITY }
const ADDRESS = 4096

interface Write {
  readonly length: number
  readonly isInPlace?: boolean
  readonly sent?: number
  readonly isAlone?: boolean
}

function queueOf(...writes: readonly Write[]): Sendable {
  let following: Sendable | null = null
  for (const { length, isInPlace, sent = 0, isAlone = false } of writes.toReversed()) {
    const address = isInPlace === true ? ADDRESS : 0
    following = { lengthBytes: length, sentBytes: sent, address, isAlone, following }
  }
  return following!
}

const copied = (length: number): Write => ({ length })
const placed = (length: number, sent = 0): Write => ({ length, isInPlace: true, sent })

const alone = (length: number): Write => ({ length, isAlone: true })
const aloneInPlace = (): Write => ({ ...alone(16 * KIB), isInPlace: true })

for (const [name, queue, way] of [
  ['bytes alone', queueOf(copied(10)), SEND_COPY],
  ['small ones together', queueOf(copied(10), copied(20)), SEND_COPY],
  ['a small lease alone', queueOf(placed(10)), SEND_IN_PLACE],
  ['a small lease before others', queueOf(placed(10), copied(10)), SEND_COPY],
  ['a large lease alone', queueOf(placed(16 * KIB)), SEND_IN_PLACE],
  ['a large lease before bytes', queueOf(placed(16 * KIB), copied(1)), SEND_GATHERED],
  ['leases', queueOf(placed(16 * KIB), placed(16 * KIB)), SEND_GATHERED],
  ['a header and a body', queueOf(copied(100), placed(16 * KIB)), SEND_GATHERED],
  ['a header, an end, a body', queueOf(copied(9), copied(0), placed(4 * KIB)), SEND_GATHERED],
  ['a header and a small lease', queueOf(copied(100), placed(4 * KIB - 1)), SEND_COPY],
  ['the rest of a lease', queueOf(placed(16 * KIB, 14 * KIB), copied(1)), SEND_COPY],
  ['many bytes before a lease', queueOf(copied(65 * KIB), placed(16 * KIB)), SEND_COPY],
  ['a lease too far behind', queueOf(copied(60 * KIB), copied(5 * KIB), placed(9999)), SEND_COPY],
  ['bytes that go alone', queueOf(alone(10), copied(20)), SEND_COPY],
  ['a lease that goes alone', queueOf({ ...alone(10), isInPlace: true }, copied(1)), SEND_IN_PLACE],
  ['a lease before what goes alone', queueOf(placed(16 * KIB), alone(1)), SEND_IN_PLACE],
  ['bytes before a lease that goes alone', queueOf(copied(1), aloneInPlace()), SEND_COPY],
  ['a lease that is enough', queueOf(placed(256 * KIB), placed(16 * KIB)), SEND_IN_PLACE],
] as const) {
  test(`planSend() sends ${name}`, () => {
    assert.equal(planSend(queue, NEVER), way)
  })
}

test('planSend() sends leases without a copy from the limit on, and what has to be copied never', () => {
  const limits = { zeroCopyBytesMin: 32 * KIB }

  assert.equal(planSend(queueOf(placed(32 * KIB)), limits), SEND_ZERO_COPY)
  assert.equal(planSend(queueOf(placed(32 * KIB), copied(1)), limits), SEND_ZERO_COPY)
  assert.equal(planSend(queueOf(placed(33 * KIB, 2 * KIB)), limits), SEND_IN_PLACE)
  assert.equal(planSend(queueOf(placed(8 * KIB), placed(32 * KIB)), limits), SEND_IN_PLACE)
  assert.equal(planSend(queueOf(copied(8), placed(32 * KIB)), limits), SEND_COPY)
  assert.equal(planSend(queueOf(copied(64 * KIB)), limits), SEND_COPY)
})

test('copiedBytesOf() counts what one send copies', () => {
  assert.equal(copiedBytesOf(queueOf(copied(10), copied(20), placed(8 * KIB), copied(5))), 30)
  assert.equal(copiedBytesOf(queueOf(copied(40 * KIB), copied(40 * KIB))), 64 * KIB)
  assert.equal(copiedBytesOf(queueOf(copied(100 * KIB), copied(1))), 100 * KIB)
  assert.equal(copiedBytesOf(queueOf(copied(2 ** 20))), 256 * KIB)
  assert.equal(copiedBytesOf(queueOf(copied(10), alone(20), copied(5))), 10)
})

test('gatheredCopyBytes() counts what is copied between leases', () => {
  assert.equal(gatheredCopyBytes(queueOf(placed(8 * KIB), placed(8 * KIB)), NEVER), 0)
  assert.equal(gatheredCopyBytes(queueOf(copied(7), placed(8 * KIB), copied(5)), NEVER), 12)
  assert.equal(gatheredCopyBytes(queueOf(placed(8 * KIB), copied(2 ** 20)), NEVER), 64 * KIB)
  assert.equal(gatheredCopyBytes(queueOf(placed(8 * KIB), copied(1), alone(2)), NEVER), 1)
})
