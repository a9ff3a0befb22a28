/** What goes wrong while a file is read as a stream, from seeds. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { type Simulation, simulate } from '../../src/testing/index.ts'
import { spreadSeedCount } from '../limits.ts'
import { leaseAll, pullAll, readAll } from './stream-ways.ts'
import { pattern } from './support.ts'

const SIM_PATH = '/tmp/stream'

const FAULTS = {
  shortRead: 0.3,
  delay: 0.1,
  reorder: 0.3,
  lateCancel: 0.5,
}

/** Opening fails now and then as well, which is not what is looked at. */
async function openUnharmed<F>(File: { open(path: string): Promise<F> }): Promise<F> {
  for (;;) {
    try {
      return await File.open(SIM_PATH)
    } catch (error) {
      if (!['EIO', 'EAGAIN', 'EINTR'].includes((error as { code: string }).code)) throw error
    }
  }
}

test('[sim] short, late and reordered reads change nothing', async () => {
  for (let seed = 0; seed < spreadSeedCount(60); seed++) {
    const faults = { ...FAULTS, errors: { EAGAIN: 0.1, EINTR: 0.1 } }
    await simulate({ seed, faults }, async ({ kernel }: Simulation) => {
      const data = pattern(30_000 + (seed % 60) * 97, seed)
      kernel.files.writeFile(SIM_PATH, data)
      const File: { open(path: string): Promise<BufferedFile | DirectFile> } =
        seed % 2 === 0 ? DirectFile : BufferedFile
      await using file = await openUnharmed(File)
      const startBytes = (seed * 331) % 9000
      const reader = file.stream({ startBytes, blockBytes: 4096, readAhead: seed % 7 })
      const found = await [readAll, pullAll, leaseAll][seed % 3]!(reader)
      assert.equal(Buffer.compare(found, data.subarray(startBytes)), 0, `seed ${seed}`)
    })
  }
})

test('[sim] an error belongs to the read that needs it, and what is before it comes first', async () => {
  const seen = { failed: 0, whole: 0, between: 0 }
  for (let seed = 0; seed < spreadSeedCount(60); seed++) {
    const faults = { ...FAULTS, errors: { EIO: 0.08 } }
    await simulate({ seed, faults }, async ({ kernel }: Simulation) => {
      const data = pattern(40_000, seed)
      kernel.files.writeFile(SIM_PATH, data)
      const file = await openUnharmed(BufferedFile)
      const reader = file.stream({ blockBytes: 4096, readAhead: 5 })
      let at = 0
      try {
        for (let lease = await reader.pull(); lease !== null; lease = await reader.pull()) {
          assert.deepEqual(lease.bytes, data.subarray(at, at + lease.lengthBytes))
          at += lease.lengthBytes
          lease.release()
        }
        assert.equal(at, data.length)
        seen.whole++
      } catch (error) {
        assert.equal((error as { code: string }).code, 'EIO', String(error))
        await assert.rejects(reader.pull(), { code: 'EIO' })
        assert.equal(reader.positionBytes, at)
        seen.failed++
        if (at > 0) seen.between++
      }
      await reader.close()
      await file.close().catch(() => {})
      assert.equal(executor().stats().ioMemory.leasedCount, 0)
    })
  }

  assert.ok(seen.failed > 5 && seen.whole > 1 && seen.between > 2, JSON.stringify(seen))
})

test('[sim] a file that grows or shrinks meanwhile ends at a size that it had', async () => {
  for (let seed = 0; seed < spreadSeedCount(60); seed++) {
    await simulate({ seed, faults: FAULTS }, async ({ kernel }: Simulation) => {
      const data = pattern(60_000, seed)
      kernel.files.writeFile(SIM_PATH, data.subarray(0, 30_000))
      await using file = await BufferedFile.open(SIM_PATH, { read: true, write: true })
      const reader = file.stream({ blockBytes: 4096, readAhead: 4 })
      const changing =
        seed % 2 === 0 ? file.write(data.subarray(30_000), 30_000) : file.truncate(11_000)
      const found = await readAll(reader)
      await changing
      assert.equal(Buffer.compare(found, data.subarray(0, found.length)), 0, `seed ${seed}`)
      const least = seed % 2 === 0 ? 30_000 : 11_000
      assert.ok(found.length >= least && found.length <= 60_000, `seed ${seed}: ${found.length}`)
    })
  }
})

test('[sim] a stream that is closed at any moment leaves nothing behind', async () => {
  for (let seed = 0; seed < spreadSeedCount(60); seed++) {
    await simulate({ seed, faults: FAULTS }, async ({ kernel }: Simulation) => {
      kernel.files.writeFile(SIM_PATH, pattern(80_000, seed))
      await using file = await DirectFile.open(SIM_PATH)
      const reader = file.stream({ blockBytes: 4096, readAhead: 6 })
      for (let count = 0; count < seed % 9; count++) (await reader.pull())?.release()
      const waiting = seed % 3 === 0 ? reader.pull().then((lease) => lease?.release()) : null
      const ended = waiting?.catch((error) => assert.equal(error.code, 'ERR_HANDLE_CLOSED'))
      await reader.close()
      await ended
      const { inFlightCount, ioMemory } = executor().stats()
      assert.deepEqual([inFlightCount, ioMemory.leasedCount], [0, 0], `seed ${seed}`)
    })
  }
})

test('[sim] the close of the executor ends a stream, and who waits is told', async () => {
  const codes: string[] = []
  await simulate({ seed: 1, faults: { delay: 1 } }, async ({ kernel }: Simulation) => {
    kernel.files.writeFile(SIM_PATH, pattern(80_000, 1))
    const file = await DirectFile.open(SIM_PATH)
    const reader = file.stream({ blockBytes: 4096, readAhead: 6 })
    const waiting = reader.pull().catch((error) => codes.push(error.code))
    await executor().close()
    await waiting
  })

  assert.deepEqual(codes, ['ERR_EXECUTOR_CLOSED'])
})
