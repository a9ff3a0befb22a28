/** Receives that fill several buffers each. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor, yieldNow } from '../../src/executor/index.ts'
import type { NetOptions } from '../../src/net/memory/net-ring.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { simulate } from '../../src/testing/index.ts'
import { holdings, Pair, pattern, readPattern } from './support.ts'

const SMALL = { bufferBytes: 4096, entryCount: 64, initialCount: 64 }
const WAYS: readonly (readonly [string, NetOptions])[] = [
  ['bundles', { ...SMALL, bundles: true }],
  ['one-shot bundles', { ...SMALL, bundles: true, multishot: false }],
]

function testEach(name: string, body: () => Promise<void>): void {
  for (const [way, options] of WAYS) {
    const configured = async (): Promise<void> => {
      configureNet(executor(), options)
      await body()
    }
    test(`${name} with ${way} [uring]`, () => freshRing(configured))
    for (const seed of [1, 2, 3]) {
      const faults = { shortRead: 0.2, multishotEnd: 0.05, noBuffers: 0.05 }
      test(`${name} with ${way} [sim ${seed}]`, () => simulate({ seed, faults }, configured))
    }
  }
}

/** A thread's rings are set up once: each of these tests has an executor of its own. */
async function freshRing(body: () => Promise<void>): Promise<void> {
  await executor().close()
  await body()
}

testEach('streams arrive whole, crossed with each other, and leave nothing', async () => {
  const pairs = await Promise.all(Array.from({ length: 4 }, () => Pair.open()))
  const work = pairs.map(async ({ client, server }, index) => {
    const reading = readPattern(server, 300_000)
    let position = 0
    for (let size = 1 + index; position < 300_000; size = (size * 7) % 50_000) {
      const count = Math.min(size + 1, 300_000 - position)
      await client.write(pattern(position, count))
      position += count
    }
    await reading
  })

  await Promise.all(work)

  assert.equal(holdings().bufferCount, 0)
  for (const pair of pairs) await pair[Symbol.asyncDispose]()
})

testEach('a reader that is slow, and takes leases, gets every byte', async () => {
  await using pair = await Pair.open()
  const { client, server } = pair
  const writing = (async () => {
    for (let position = 0; position < 400_000; position += 1000) {
      await client.write(pattern(position, 1000))
    }
    await client.shutdown()
  })()
  let position = 0

  for await (const lease of server.leases()) {
    assert.deepEqual(lease.bytes, pattern(position, lease.lengthBytes))
    position += lease.lengthBytes
    await yieldNow()
  }

  await writing
  assert.equal(position, 400_000)
  const { pool } = netRingFor(executor(), executor().defaultQueue)
  assert.equal(pool.leasedCount, 0)
})
