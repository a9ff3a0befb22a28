import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBuffer, attachExecutor } from '../../src/executor/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { Pair, pattern, readPattern } from './support.ts'

attachExecutor({ ioMemoryBytes: 2 ** 20, ioMemoryBytesMax: 2 ** 22 })

/** Takes all I/O memory that there is for users. */
function hoardAll(): Lease[] {
  const leases: Lease[] = []
  for (let lengthBytes = 2 ** 20; lengthBytes >= 512; ) {
    try {
      leases.push(allocateBuffer(lengthBytes))
    } catch {
      lengthBytes /= 2
    }
  }
  return leases
}

test('holders of all memory stop no writer', async () => {
  await using pair = await Pair.open()
  const size = 300_000
  const leases = hoardAll()
  assert.throws(() => allocateBuffer(1), { code: 'ERR_OUT_OF_MEMORY' })

  const sent = pair.client.write(pattern(0, size))
  await readPattern(pair.server, size)
  await sent

  for (const lease of leases) lease.release()
})

test('write() of the bytes of a lease sends what they were where memory is short', async () => {
  await using pair = await Pair.open()
  const size = 64 * 1024
  const lease = allocateBuffer(size)
  lease.bytes.set(pattern(0, size))
  const leases = hoardAll()

  const sent = pair.client.write(lease.bytes)
  lease.bytes.fill(0)
  await readPattern(pair.server, size)
  await sent

  for (const one of [lease, ...leases]) one.release()
})
