/** Writes of memory that its writer gives back at once: what is sent is what it was. */

import assert from 'node:assert/strict'
import { allocateBuffer, createTaskQueue, executor, spawnInto } from '../../src/executor/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import type { TcpStream } from '../../src/net/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { Pair, pattern, readPattern, until } from './support.ts'

const LARGE = 2 ** 23
const SIZE = 8192
const COUNT = 8

/** A pair whose sockets are on the latency ring. */
function openLatencyPair(): Promise<Pair> {
  return spawnInto(createTaskQueue('urgent', { latency: { maxMs: 5 } }), () => Pair.open())
}

/** Writes more than the kernel takes, so that later writes have to wait. */
async function clog(stream: TcpStream): Promise<{ readonly isDone: Promise<void> }> {
  const isDone = stream.write(pattern(0, LARGE))
  await until(() => stream.bytesWritten > 0)
  return { isDone }
}

function leasePattern(startBytes: number): Lease {
  const lease = allocateBuffer(SIZE)
  lease.bytes.set(pattern(startBytes, SIZE))
  return lease
}

/** Overwrites what was released before. */
function overwriteFree(): void {
  const leases = Array.from({ length: 4 * COUNT }, () => allocateBuffer(SIZE))
  for (const lease of leases) lease.bytes.fill(0)
  for (const lease of leases) lease.release()
}

for (const [ring, open] of [
  ['main', () => Pair.open()],
  ['latency', openLatencyPair],
] as const) {
  testOnBoth(`write() of leases on the ${ring} ring keeps them until they are sent`, async () => {
    await using pair = await open()
    const leasedCount = executor().memory.leasedCount
    const { isDone } = await clog(pair.client)
    const writes: Promise<void>[] = [isDone]
    for (let index = 0; index < COUNT; index++) {
      using lease = leasePattern(LARGE + index * SIZE)
      writes.push(pair.client.write(lease))
    }

    overwriteFree()

    await readPattern(pair.server, LARGE + COUNT * SIZE)
    await Promise.all(writes)
    assert.ok(executor().memory.leasedCount <= leasedCount + COUNT, 'they come back')
  })

  testOnBoth(
    `write() of leases on the ${ring} ring sends what they showed when given`,
    async () => {
      await using pair = await open()
      const { isDone } = await clog(pair.client)
      const writes: Promise<void>[] = [isDone]
      // So small that it is copied together with others.
      for (let index = 0; index < COUNT; index++) {
        using lease = allocateBuffer(100)
        lease.bytes.set(pattern(LARGE + index * 100, 100))
        writes.push(pair.client.write(lease))
        lease.trim(2)
      }

      await readPattern(pair.server, LARGE + COUNT * 100)
      await Promise.all(writes)
    },
  )

  testOnBoth(`write() of a lease's bytes on the ${ring} ring sends what they were`, async () => {
    await using pair = await open()
    const { isDone } = await clog(pair.client)
    const writes: Promise<void>[] = [isDone]
    for (let index = 0; index < COUNT; index++) {
      using lease = leasePattern(LARGE + index * SIZE)
      const { buffer, byteOffset } = lease.bytes
      // A Buffer, whose slice() copies nothing.
      const bytes = index % 2 === 0 ? lease.bytes : Buffer.from(buffer, byteOffset, SIZE)
      writes.push(pair.client.write(bytes))
    }

    overwriteFree()

    await readPattern(pair.server, LARGE + COUNT * SIZE)
    await Promise.all(writes)
  })
}

for (const [from, openFrom, openTo] of [
  ['main', () => Pair.open(), openLatencyPair],
  ['latency', openLatencyPair, () => Pair.open()],
] as const) {
  testOnBoth(
    `write() of chunks from the ${from} ring to the other sends what they were`,
    async () => {
      await using source = await openFrom()
      await using sink = await openTo()
      const { isDone } = await clog(sink.client)
      const total = 2 ** 20
      const sending = source.client.write(pattern(LARGE, total))
      const writes: Promise<void>[] = [isDone, sending]
      for (let got = 0; got < total; ) {
        const chunk = await source.server.read()
        assert.ok(chunk !== null)
        writes.push(sink.client.write(chunk))
        got += chunk.length
      }

      await readPattern(sink.server, LARGE + total)
      await Promise.all(writes)
    },
  )
}
