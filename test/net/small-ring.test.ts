import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attachExecutor, executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { echoAll, holdings, pattern, readPattern } from './support.ts'

// Eight submissions and thirty-two completions: both queues are full most of the time.
attachExecutor({ ringDepth: 8 })

test('streams work when the rings are far too small', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const loop = echoAll(listener)
  const size = 30_000
  const visit = async (): Promise<void> => {
    await using stream = await TcpStream.connect({ port: listener.address.port })
    for (let round = 0; round < 3; round++) {
      const sent = stream.write(pattern(0, size))
      await readPattern(stream, size)
      await sent
    }
  }

  await Promise.all(Array.from({ length: 100 }, visit))

  await listener.close()
  await loop
  while (holdings().operationCount > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(holdings().bufferCount, 0)
  assert.equal(executor().io.main.staleCount, 0)
})

test('streams cut off when the rings are far too small leave nothing', async () => {
  const before = holdings()
  const listener = await TcpListener.bind({ port: 0 })
  const closings: Promise<void>[] = []
  const loop = (async () => {
    for await (const stream of listener) {
      const close = (): Promise<void> => stream.close()
      closings.push(stream.read().then(close, close))
    }
  })()
  const visit = async (): Promise<void> => {
    const stream = await TcpStream.connect({ port: listener.address.port })
    const pending = [stream.read(), stream.write(new Uint8Array(100_000))]
    const outcomes = Promise.allSettled(pending)
    await stream.close()
    await outcomes
  }

  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 50 }, visit))

  await listener.close()
  await loop
  await Promise.all(closings)
  while (holdings().operationCount > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(holdings(), before)
})
