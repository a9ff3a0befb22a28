import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { simulate } from '../../src/testing/index.ts'
import { Cancels } from '../hazards/cancels.ts'
import { readRandomly, writeRandomly } from './random-traffic.ts'

/** All that Linux may do to a stream without ending it. */
const FAULTS = {
  shortRead: 0.2,
  shortWrite: 0.2,
  delay: 0.05,
  reorder: 0.1,
  cqOverflow: 0.05,
  multishotEnd: 0.1,
  lateCancel: 0.3,
  noBuffers: 0.1,
  enterBusy: 0.02,
  errors: { EAGAIN: 0.02, EINTR: 0.02 },
}

async function exchange(seed: number): Promise<void> {
  const cancels = new Cancels(seed)
  // Every other machine is short of buffers.
  if (seed % 2 === 1) configureNet(executor(), { entryCount: 8, bufferBytes: 512, initialCount: 1 })
  const listener = await TcpListener.bind({ port: 7000 })
  const pairs: { client: TcpStream; server: TcpStream }[] = []
  for (let count = 0; count < 4; count++) {
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: 7000 })
    pairs.push({ client, server: await accepting })
  }

  await Promise.all(
    pairs.map(async ({ client, server }) => {
      const [written, read] = await Promise.all([
        writeRandomly(client, cancels, 20),
        readRandomly(server, cancels),
      ])
      assert.ok(read >= written, `${written} bytes were written, ${read} came`)
    }),
  )

  await listener.close()
  assert.equal(netRingFor(executor(), executor().defaultQueue).userCount, 0)
}

for (let seed = 1; seed <= 16; seed++) {
  test(`streams lose no byte on a machine that does all it may, seed ${seed}`, async () => {
    await simulate({ seed, faults: FAULTS }, () => exchange(seed))
  })
}
