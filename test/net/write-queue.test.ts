/** What many writes on one stream cost: n of them n times one, in whatever order they end. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate } from '../../src/testing/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { Pair, pattern, readPattern, until } from './support.ts'

const LOOKS_MAX = 10

/** Data that counts how often its length is looked at: nobody passes a write by without that. */
class WatchedBytes extends Uint8Array<ArrayBuffer> {
  static lookCount = 0

  override get length(): number {
    WatchedBytes.lookCount++
    return this.byteLength
  }
}

function watchedPattern(startBytes: number, lengthBytes: number): WatchedBytes {
  const bytes = new WatchedBytes(new ArrayBuffer(lengthBytes))
  bytes.set(pattern(startBytes, lengthBytes))
  return bytes
}

for (const [kind, sizes] of [
  ['large', [6_000]],
  ['mixed', [0, 10, 5_000, 0, 70_000, 1]],
] as const) {
  testOnBoth(`write() looks at each of 3,000 ${kind} writes a few times`, async () => {
    await using pair = await Pair.open()
    const { client, server } = pair
    let at = 0
    WatchedBytes.lookCount = 0
    const writes: Promise<void>[] = []
    for (let index = 0; index < 3_000; index++) {
      const size = sizes[index % sizes.length]!
      writes.push(client.write(watchedPattern(at, size)))
      at += size
    }

    await readPattern(server, at)
    await Promise.all(writes)

    const each = WatchedBytes.lookCount / writes.length
    assert.ok(each <= LOOKS_MAX, `each was looked at ${each} times`)
  })
}

for (const order of ['first', 'last'] as const) {
  testOnBoth(
    `write() withdrawn is taken off at once, 2,000 times, the ${order} first`,
    async () => {
      await using pair = await Pair.open()
      const { client, server } = pair
      const large = pattern(0, 2 ** 23)
      const stuck = client.write(large)
      await until(() => client.bytesWritten > 0)
      WatchedBytes.lookCount = 0
      const controllers = Array.from({ length: 2_000 }, () => new AbortController())
      const writes = controllers.map(({ signal }) =>
        client.write(watchedPattern(0, 10), { signal }),
      )
      const last = client.write(pattern(large.length, 10))
      if (order === 'last') {
        controllers.reverse()
        writes.reverse()
      }

      for (const [index, controller] of controllers.entries()) {
        controller.abort()
        await assert.rejects(writes[index]!, { name: 'AbortError' })
      }

      const each = WatchedBytes.lookCount / writes.length
      assert.ok(each <= LOOKS_MAX, `each was looked at ${each} times`)
      await readPattern(server, large.length + 10)
      await Promise.all([stuck, last])
    },
  )
}

test('write() is done though its data was transferred after it was copied', async () => {
  await simulate({ seed: 1, faults: { shortWrite: 1 } }, async () => {
    await using pair = await Pair.open()
    const { client, server } = pair
    const data = pattern(0, 200_000)
    const writing = client.write(data)
    await until(() => client.bytesWritten > 0)
    assert.ok(client.bytesWritten < data.length, 'a part is left')

    structuredClone(data.buffer, { transfer: [data.buffer] })

    await readPattern(server, 200_000)
    await writing
  })
})
