import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { steal } from '../memory/support.ts'
import { hold } from './recorder.ts'
import { assertPattern, echoAll, holdings, Pair, pattern, readPattern, until } from './support.ts'

// Four buffers of 1 KiB for everybody: the kernel has none most of the time.
configureNet(executor(), { bufferBytes: 1024, entryCount: 4, initialCount: 2 })

test('streams that run out of buffers wait for one, and lose nothing', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  void echoAll(listener)
  const size = 40_000
  const visit = async (): Promise<void> => {
    await using stream = await TcpStream.connect({ port: listener.address.port })
    const sent = stream.write(pattern(0, size))
    await readPattern(stream, size)
    await sent
  }

  await Promise.all(Array.from({ length: 12 }, visit))

  const { buffers } = netRingFor(executor(), executor().defaultQueue).pool
  assert.equal(buffers.bufferCount, 4)
})

test('unread data is copied out of the buffers where others wait for data', async () => {
  const hoards = await Promise.all(Array.from({ length: 12 }, () => Pair.open()))
  await using pair = await Pair.open()

  for (const { client, server } of hoards) {
    await client.write(pattern(0, 100))
    await server.readInto(new Uint8Array(1))
  }
  for (let round = 0; round < 50; round++) {
    await pair.client.write(pattern(round * 10, 10))
    assertPattern((await pair.server.read())!, round * 10)
  }

  for (const { server } of hoards) assertPattern((await server.read())!, 1)
  for (const hoard of hoards) await hoard[Symbol.asyncDispose]()
  assert.equal(holdings().bufferCount, 0)
})

test('holders of leases stop nobody, and get copies beyond half of the buffers', async () => {
  const holders = await Promise.all(Array.from({ length: 12 }, () => Pair.open()))
  await using pair = await Pair.open()
  const { pool } = netRingFor(executor(), executor().defaultQueue)

  const leases: Lease[] = []
  for (const { client, server } of holders) {
    await client.write(pattern(0, 100))
    leases.push((await server.readLease())!)
  }
  const { leasedCount } = pool
  for (let round = 0; round < 50; round++) {
    await pair.client.write(pattern(round * 10, 10))
    assertPattern((await pair.server.read())!, round * 10)
  }

  assert.equal(leasedCount, 2)
  for (const lease of leases) assertPattern(lease.bytes, 0)
  for (const lease of leases) lease.release()
  assert.ok(leases.every((lease) => lease.isReleased))
  for (const holder of holders) await holder[Symbol.asyncDispose]()
  assert.equal(pool.leasedCount, 0)
})

test('consumers that take their time stop no other', async () => {
  const pairs = await Promise.all(Array.from({ length: 12 }, () => Pair.open()))
  const gate = hold()
  const leases: Lease[] = []
  let endCount = 0

  for (const { server } of pairs) {
    server.consume({
      onLease: (lease) => {
        leases.push(lease)
        return gate.promise
      },
      onEnd: () => {
        endCount++
      },
    })
  }
  for (const { client } of pairs) await client.write(pattern(0, 100))
  await until(() => leases.length === pairs.length)

  for (const lease of leases) assertPattern(lease.bytes, 0)
  gate.release()
  for (const pair of pairs) await pair[Symbol.asyncDispose]()
  await until(() => endCount === pairs.length)
  assert.equal(holdings().bufferCount, 0)
})

test('consumers that run out of buffers lose nothing', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const serving = (async () => {
    for await (const stream of listener) {
      stream.consume({ onChunk: (chunk) => stream.write(chunk), onEnd: () => stream.close() })
    }
  })()
  const size = 40_000
  const visit = async (): Promise<void> => {
    await using stream = await TcpStream.connect({ port: listener.address.port })
    const sent = stream.write(pattern(0, size))
    await readPattern(stream, size)
    await sent
  }

  await Promise.all(Array.from({ length: 12 }, visit))

  await listener.close()
  await serving
})

test('those who take leased memory away after its release stop nobody', async () => {
  await using pair = await Pair.open()
  const { pool } = netRingFor(executor(), executor().defaultQueue)
  const views = new Set<Uint8Array>()
  for (let round = 0; round < 16; round++) {
    await pair.client.write(pattern(0, 10))
    using lease = (await pair.server.readLease())!
    views.add(lease.bytes)
  }
  const stolen: Uint8Array[] = []
  // Several show the same buffer.
  for (const view of views) if (view.length > 0) stolen.push(await steal(view))

  for (let round = 0; round < 50; round++) {
    await pair.client.write(pattern(round * 10, 10))
    assertPattern((await pair.server.read())!, round * 10)
  }

  assert.ok(stolen.length > 0)
  assert.ok(pool.leasedCount * 2 <= pool.buffers.bufferCount)
})
