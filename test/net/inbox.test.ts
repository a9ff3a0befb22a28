import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { executor } from '../../src/executor/index.ts'
import { IORING_CQE_BUFFER_SHIFT, IORING_CQE_F_BUFFER } from '../../src/kernel/index.ts'
import { CopiedBytes } from '../../src/net/memory/copied-bytes.ts'
import type { Inbox } from '../../src/net/memory/inbox.ts'
import { ReceivePool } from '../../src/net/memory/receive-pool.ts'
import { reactorOf } from '../reactor-of.ts'
import { assertPattern, pattern } from './support.ts'

const BUFFER_BYTES = 256

function createPool(entryCount: number): ReceivePool {
  const { kernel, main, memory } = reactorOf(executor())
  return new ReceivePool({
    kernel,
    ring: main,
    memory,
    groupId: 0,
    bufferBytes: BUFFER_BYTES,
    entryCount,
    initialCount: entryCount,
  })
}

/** A stream of the pattern: what was received of it, and what was read. */
class Model {
  readonly inbox: Inbox
  readonly #pool: ReceivePool
  #receivedBytes = 0
  #readBytes = 0

  constructor(pool: ReceivePool) {
    this.#pool = pool
    this.inbox = pool.takeInbox()
  }

  receive(buffer: number, lengthBytes: number): void {
    this.#pool.buffers.view(buffer, 0, lengthBytes).set(pattern(this.#receivedBytes, lengthBytes))
    this.#receivedBytes += lengthBytes
    this.inbox.put({ buffer, startBytes: 0, endBytes: lengthBytes })
  }

  check(bytes: Uint8Array): void {
    assertPattern(bytes, this.#readBytes)
    this.#readBytes += bytes.length
    assert.equal(this.inbox.isEmpty, this.#readBytes === this.#receivedBytes)
  }
}

test('CopiedBytes give back what was put in, whatever the sizes', () => {
  const step = fc.record({ isPut: fc.boolean(), size: fc.integer({ min: 1, max: 3000 }) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const copies = new CopiedBytes()
      let putBytes = 0
      let takenBytes = 0
      for (const { isPut, size } of steps) {
        if (isPut) {
          copies.append(pattern(putBytes, size))
          putBytes += size
        } else if (!copies.isEmpty && size % 2 === 0) {
          const chunk = copies.shift()
          assertPattern(chunk, takenBytes)
          takenBytes += chunk.length
        } else if (!copies.isEmpty) {
          const bytes = copies.peek().subarray(0, size)
          assertPattern(bytes, takenBytes)
          takenBytes += bytes.length
          copies.skip(bytes.length)
        }
        assert.equal(copies.isEmpty, takenBytes === putBytes)
        assert.ok(copies.capacityBytes <= 20_000 + 2 * (putBytes - takenBytes))
      }
      if (copies.isEmpty) assert.equal(copies.capacityBytes, 0)
    }),
  )
})

test('CopiedBytes take about as many blocks as their bytes need', () => {
  const copies = new CopiedBytes()

  for (let position = 0; position < 200_000; position++) copies.append(pattern(position, 1))

  assert.ok(copies.capacityBytes < 250_000)
  let count = 0
  for (let position = 0; position < 200_000; count++) {
    const chunk = copies.shift()
    assertPattern(chunk, position)
    position += chunk.length
  }
  assert.ok(count < 25, `there were ${count} blocks`)
})

test('an inbox gives back what was received in every way, and every buffer', () => {
  const command = fc.record({
    kind: fc.constantFrom('receive', 'take', 'lease', 'into', 'copy out'),
    size: fc.integer({ min: 1, max: BUFFER_BYTES }),
    stream: fc.integer({ min: 0, max: 2 }),
  })
  // Groups live as long as their ring: one pool for all runs.
  const pool = createPool(32)
  fc.assert(
    fc.property(fc.array(command, { maxLength: 150 }), (commands) => {
      const models = [new Model(pool), new Model(pool), new Model(pool)]
      for (const { kind, size, stream } of commands) {
        const model = models[stream]!
        const { inbox } = model
        if (kind === 'receive') {
          const buffer = takeBuffer(pool)
          if (buffer !== undefined) model.receive(buffer, size)
        } else if (!inbox.isEmpty) {
          if (kind === 'take') model.check(inbox.take())
          if (kind === 'into') {
            const target = new Uint8Array(size * 3)
            model.check(target.subarray(0, inbox.copyInto(target)))
          }
          if (kind === 'copy out') inbox.copyOut()
          if (kind === 'lease') {
            using lease = inbox.takeLease()
            model.check(lease.bytes)
          }
        }
      }
      for (const model of models) {
        while (!model.inbox.isEmpty) model.check(model.inbox.take())
        pool.keepInbox(model.inbox)
      }
      assert.deepEqual([pool.buffers.userCount, pool.leasedCount], [0, 0])
    }),
  )
  pool.buffers.close()
})

test('refill() copies out what has waited longest, until the kernel has a quarter again', () => {
  const pool = createPool(8)
  const models = Array.from({ length: 4 }, () => new Model(pool))
  for (let count = 0; count < 8; count++) models[count >> 1]!.receive(takeBuffer(pool)!, 10)
  assert.ok(pool.isScarce)

  pool.refill()

  assert.equal(pool.buffers.kernelCount, 2)
  assert.equal(models[0]!.inbox.heldBytes, 256)
  assert.equal(models[1]!.inbox.heldBytes, 2 * BUFFER_BYTES)
  for (const model of models) while (!model.inbox.isEmpty) model.check(model.inbox.take())
  pool.buffers.close()
})

/** A buffer that the kernel has, now its user's. */
function takeBuffer({ buffers }: ReceivePool): number | undefined {
  for (let buffer = 0; buffer < buffers.bufferCount; buffer++) {
    try {
      buffers.take(1, IORING_CQE_F_BUFFER | (buffer << IORING_CQE_BUFFER_SHIFT))
      return buffer
    } catch {
      // It is another's.
    }
  }
  return undefined
}
