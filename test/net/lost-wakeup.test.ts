import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { configureNet, netRingFor } from '../../src/net/net-ring.ts'
import { Pair, pattern, readPattern, until } from './support.ts'

// One buffer for everybody.
configureNet(executor(), { bufferBytes: 1024, entryCount: 1, initialCount: 1 })

test('a buffer that comes back reaches who has data, though an idle reader waited first', async () => {
  await using holder = await Pair.open()
  await using idle = await Pair.open()
  await using busy = await Pair.open()
  const net = netRingFor(executor(), executor().defaultQueue)
  await holder.client.write(pattern(0, 1))
  await holder.server.read()
  const waiting = assert.rejects(idle.server.read(), { code: 'ERR_HANDLE_CLOSED' })
  // The kernel refuses it at once, though nothing has come.
  await until(() => net.starvedCount === 1)
  await busy.client.write(pattern(0, 100))
  const reading = readPattern(busy.server, 100)
  await until(() => net.starvedCount === 2)

  await holder.server.close()

  await reading
  await idle.server.close()
  await waiting
})
