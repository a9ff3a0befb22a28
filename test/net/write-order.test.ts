/**
 * What a peer gets is what was written, in order, however the pieces of it are sent.
 *
 * Proof that these can fail: with a vector that goes on behind a part of a write, the peer gets what follows too early; without
 * `#keepRest()` of the sender it gets what the lender's memory holds by then.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { allocateBuffer, executor } from '../../src/executor/index.ts'
import { type StreamSocket, TcpListener, TcpStream, UnixStream } from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { limited, seedCount } from '../limits.ts'
import { patternAt } from './support.ts'

const LIMIT = limited(60_000)

interface Piece {
  readonly lengthBytes: number
  readonly isLease: boolean
}

function write(stream: StreamSocket, { lengthBytes, isLease }: Piece, from: number): Promise<void> {
  const lease = isLease ? allocateBuffer(lengthBytes) : null
  const bytes = lease?.bytes ?? new Uint8Array(lengthBytes)
  for (let index = 0; index < lengthBytes; index++) bytes[index] = patternAt(from + index)
  const written = stream.write(lease ?? bytes)
  lease?.release()
  return written
}

/** Reads so many bytes; the first offset whose byte is wrong, or null. */
async function findWrong(stream: StreamSocket, lengthBytes: number): Promise<number | null> {
  let offset = 0
  let wrong: number | null = null
  while (offset < lengthBytes) {
    for (const byte of (await stream.read())!) {
      if (byte !== patternAt(offset) && wrong === null) wrong = offset
      offset++
    }
  }
  return wrong
}

async function checkOrder(pieces: readonly Piece[]): Promise<void> {
  await using listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  await using client = await TcpStream.connect({ port: listener.address.port })
  await using server = await accepting
  let totalBytes = 0
  const writes: Promise<void>[] = []
  for (const piece of pieces) {
    writes.push(write(client, piece, totalBytes))
    totalBytes += piece.lengthBytes
  }

  const wrong = await findWrong(server, totalBytes)

  assert.equal(wrong, null)
  await Promise.all(writes)
}

const BETWEEN_LEASES: readonly Piece[] = [
  { lengthBytes: 1, isLease: false },
  { lengthBytes: 8 * 1024, isLease: true },
  { lengthBytes: 100 * 1024, isLease: false },
  { lengthBytes: 8 * 1024, isLease: true },
]

test('a large write between leases is whole before the next one', LIMIT, () =>
  checkOrder(BETWEEN_LEASES),
)

test('writes of any size and kind come in order [sim]', LIMIT, async () => {
  const piece = fc.record({
    lengthBytes: fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 300_000 })),
    isLease: fc.boolean(),
  })
  const property = fc.asyncProperty(
    fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    fc.array(piece, { minLength: 2, maxLength: 12 }),
    (seed, pieces) => simulate(seed, () => checkOrder(pieces)),
  )

  await fc.assert(property, { numRuns: seedCount(60) })
})

test(
  'bytes of a lease that was released are sent as they were, though memory gets scarce [sim]',
  LIMIT,
  () =>
    simulate(1, async () => {
      const sizeBytes = 250_000
      const otherCount = Math.ceil(executor().memory.sizeBytesMax / 4 / 262_144) + 90
      const [sender, receiver] = UnixStream.pair()
      const lease = allocateBuffer(sizeBytes)
      for (let index = 0; index < sizeBytes; index++) lease.bytes[index] = patternAt(index)
      const written = sender.write(lease.bytes)
      lease.release()
      const others: UnixStream[] = []
      for (let count = 0; count < otherCount; count++) {
        const pair = UnixStream.pair()
        others.push(...pair)
        pair[0].write(new Uint8Array(sizeBytes)).catch(() => {})
      }
      await sleep(20)
      for (const other of others) await other.close()

      const wrong = await findWrong(receiver, sizeBytes)

      assert.equal(wrong, null)
      await written
      await sender.close()
      await receiver.close()
    }),
)
