import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBuffer } from '../../src/executor/index.ts'
import { leaseHeap } from '../../src/memory/index.ts'
import { steal } from '../memory/support.ts'
import { Pair, pattern, readPattern } from './support.ts'

const SIZE = 8 * 1024 * 1024

function transfer(bytes: Uint8Array<ArrayBuffer>): void {
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
}

test('readInto() rejects and keeps the data when its target was transferred', async () => {
  await using pair = await Pair.open()
  const target = new Uint8Array(16)
  const reading = pair.server.readInto(target)
  transfer(target)

  await pair.client.write(pattern(0, 10))

  await assert.rejects(reading, { code: 'ERR_BUFFER_RELEASED' })
  await readPattern(pair.server, 10)
})

test('write() rejects when its data was transferred before its turn, and the next goes out', async () => {
  await using pair = await Pair.open()
  const lost = new Uint8Array(20)
  const first = pair.client.write(pattern(0, SIZE))
  const failing = assert.rejects(pair.client.write(lost), { code: 'ERR_BUFFER_RELEASED' })
  const next = pair.client.write(pattern(SIZE, 30))
  transfer(lost)

  await readPattern(pair.server, SIZE + 30)

  await Promise.all([first, failing, next])
})

test('write() cuts the stream when its data was transferred after a part was sent', async () => {
  await using pair = await Pair.open()
  const lost = pattern(0, SIZE)
  const failing = assert.rejects(pair.client.write(lost), { code: 'ERR_BUFFER_RELEASED' })
  const behind = assert.rejects(pair.client.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  assert.ok((await pair.server.read()) !== null)
  transfer(lost)
  const reading = (async (): Promise<void> => {
    while ((await pair.server.read()) !== null);
  })()

  await Promise.all([failing, behind])

  await assert.rejects(pair.client.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  await pair.client.close()
  await reading
})

test('write() sends a lease although its bytes were taken away', async () => {
  await using pair = await Pair.open()
  const first = pair.client.write(pattern(0, SIZE))
  using lease = allocateBuffer(100)
  lease.bytes.set(pattern(SIZE, 100))
  const second = pair.client.write(lease)
  const third = pair.client.write(pattern(SIZE + 100, 30))
  await steal(lease.bytes)

  await readPattern(pair.server, SIZE + 130)

  await Promise.all([first, second, third])
})

test('write() rejects for a lease on ordinary memory that was taken away, and the next goes out', async () => {
  await using pair = await Pair.open()
  const first = pair.client.write(pattern(0, SIZE))
  const lease = leaseHeap(new Uint8Array(100))
  const waiting = assert.rejects(pair.client.write(lease), { code: 'ERR_BUFFER_RELEASED' })
  const next = pair.client.write(pattern(SIZE, 30))
  await steal(lease.bytes)

  await assert.rejects(pair.client.write(lease), { code: 'ERR_BUFFER_RELEASED' })

  await readPattern(pair.server, SIZE + 30)
  await Promise.all([first, waiting, next])
})
