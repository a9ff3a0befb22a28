import assert from 'node:assert/strict'
import { test } from 'node:test'
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
