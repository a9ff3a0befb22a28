import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import { executor, yieldNow } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { simulate } from '../../src/testing/index.ts'
import { Cancels } from '../hazards/cancels.ts'
import { writeRandomly } from './random-traffic.ts'
import { hold, Recorder } from './recorder.ts'
import { assertPattern } from './support.ts'

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

const FAILURE = new Error('it failed')

async function connect(): Promise<{ client: TcpStream; server: TcpStream }> {
  await using listener = await TcpListener.bind({ port: 7000 })
  const accepting = listener.accept()
  const client = await TcpStream.connect({ port: 7000 })
  return { client, server: await accepting }
}

/** Consumes to the end, quickly and slowly, failing and giving up at random; returns the bytes. */
async function consumeRandomly(stream: TcpStream, cancels: Cancels): Promise<number> {
  const { prng } = cancels
  let position = 0
  let isTaking = false
  const takeSlowly = async (): Promise<void> => {
    for (let turns = prng.int(0, 4); turns > 0; turns--) await yieldNow()
    isTaking = false
    if (prng.chance(0.1)) throw FAILURE
  }
  const take = (chunk: Uint8Array): Promise<void> | undefined => {
    assert.equal(isTaking, false)
    assertPattern(chunk, position)
    position += chunk.length
    if (prng.chance(0.05)) throw FAILURE
    if (prng.chance(0.5)) return undefined
    isTaking = true
    return takeSlowly()
  }
  const consume = async (signal: AbortSignal | undefined): Promise<boolean> => {
    const recorder = new Recorder(take)
    stream.consume(recorder, { signal })
    const error = await recorder.ended
    assert.deepEqual([isTaking, recorder.endCount], [false, 1])
    if (error !== null && error !== FAILURE) throw error
    return error === null
  }
  while ((await cancels.attempt(consume)) !== true);
  await stream.close()
  return position
}

for (let seed = 1; seed <= 16; seed++) {
  test(`consumers lose no byte on a machine that does all it may, seed ${seed}`, async () => {
    await simulate({ seed, faults: FAULTS }, async () => {
      const cancels = new Cancels(seed)
      // Every other machine is short of buffers.
      if (seed % 2 === 1) {
        configureNet(executor(), { entryCount: 8, bufferBytes: 512, initialCount: 1 })
      }
      const pairs = []
      for (let count = 0; count < 4; count++) pairs.push(await connect())

      await Promise.all(
        pairs.map(async ({ client, server }) => {
          const [written, read] = await Promise.all([
            writeRandomly(client, cancels, 20),
            consumeRandomly(server, cancels),
          ])
          assert.ok(read >= written, `${written} bytes were written, ${read} came`)
        }),
      )

      assert.ok(cancels.stoppedCount > 0)
      assert.equal(netRingFor(executor(), executor().defaultQueue).userCount, 0)
    })
  })
}

test('a consumer that is done after its executor was closed is nothing', async () => {
  const gate = hold()
  const recorder = new Recorder(() => gate.promise)

  await simulate({ seed: 1, checkDescriptors: false }, async () => {
    // With one buffer for all the next receive is only begun when the consumer is done.
    configureNet(executor(), { multishot: false, entryCount: 1, initialCount: 1 })
    const { client, server } = await connect()
    server.consume(recorder)
    await client.write(new Uint8Array(10))
    while (recorder.chunkCount === 0) await yieldNow()
  })
  gate.release()
  await nextRound()

  assert.equal(recorder.endCount, 0)
})

test('consume() refuses a closed executor', async () => {
  const { server } = await simulate({ seed: 1, checkDescriptors: false }, connect)

  assert.throws(() => server.consume(new Recorder()), { code: 'ERR_EXECUTOR_CLOSED' })
  assert.throws(() => server.consume(new Recorder()), { code: 'ERR_EXECUTOR_CLOSED' })
})
