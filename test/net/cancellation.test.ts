import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/base/index.ts'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { ABORTED, randomSignal, readRandomly, writeRandomly } from './random-traffic.ts'
import { holdings, Pair } from './support.ts'

const SEED = Number(process.env.PERCORE_TEST_SEED ?? 20_261_121)

test(`thousands of reads and writes cancelled at random lose no byte and leave nothing, seed ${SEED}`, async () => {
  const prng = new Prng(SEED)
  const before = holdings()
  const pairs = await Promise.all(Array.from({ length: 24 }, () => Pair.open()))

  await Promise.all(
    pairs.flatMap(({ client, server }) => [
      writeRandomly(client, new Prng(prng.uint32()), 200),
      readRandomly(server, new Prng(prng.uint32())),
    ]),
  )

  for (const pair of pairs) await pair[Symbol.asyncDispose]()
  assert.deepEqual(holdings(), before)
  assert.equal(executor().reactor.main.staleCount, 0)
})

test(`connections cancelled and closed at random leave nothing, seed ${SEED}`, async () => {
  const prng = new Prng(SEED + 1)
  const before = holdings()
  const listener = await TcpListener.bind({ port: 0 })
  const serving = (async () => {
    for await (const stream of listener) void stream.close()
  })()

  const visit = async (): Promise<void> => {
    const signal = randomSignal(prng)
    try {
      const stream = await TcpStream.connect({ port: listener.address.port, signal })
      const reading = stream.read().catch(() => null)
      if (prng.chance(0.5)) await stream.reset()
      else await stream.close()
      await reading
    } catch (error) {
      assert.equal(error, ABORTED)
    }
  }
  for (let round = 0; round < 50; round++) await Promise.all(Array.from({ length: 20 }, visit))

  await listener.close()
  await serving
  while (holdings().operationCount > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(holdings(), before)
})
