import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { refuseEntry } from '../ring/refuse.ts'

test('connect() and shutdown() whose entry is refused leave nothing', async (t) => {
  await simulate(1, async ({ kernel }) => {
    const { reactor } = executor()
    const { signal } = new AbortController()
    const wait = { signal, timeoutMs: 1e6 }
    const listener = await TcpListener.bind({ port: 7000 })
    const client = await TcpStream.connect({ port: 7000 })
    const held = (): unknown[] => [
      kernel.leftovers().descriptors,
      reactor.memory.leasedCount,
      reactor.timers.size,
      getEventListeners(signal, 'abort').length,
    ]
    const before = held()

    for (const action of [
      () => TcpStream.connect({ port: 7000, ...wait }),
      () => client.shutdown(wait),
    ]) {
      const wasRefused = refuseEntry(t, reactor.main, 0)
      await assert.rejects(action, { code: 'ENOMEM' })
      assert.ok(wasRefused())
    }

    assert.deepEqual(held(), before)
    await client.close()
    await listener.close()
  })
})
