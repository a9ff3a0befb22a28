import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { Pair, pattern, readPattern } from './support.ts'

// One buffer for everybody.
configureNet(executor(), { bufferBytes: 1024, entryCount: 1, initialCount: 1 })

test('one buffer serves any number of readers, some of whom wait for long or hold leases', async () => {
  await using holder = await Pair.open()
  await using idle = await Pair.open()
  await using busy = await Pair.open()
  await holder.client.write(pattern(0, 1))
  using lease = await holder.server.readLease()
  const waiting = assert.rejects(idle.server.read(), { code: 'ERR_HANDLE_CLOSED' })
  await busy.client.write(pattern(0, 10_000))

  await readPattern(busy.server, 10_000)

  assert.equal(lease!.bytes[0], pattern(0, 1)[0])
  assert.equal(netRingFor(executor(), executor().defaultQueue).pool.leasedCount, 0)
  await idle.server.close()
  await waiting
})
