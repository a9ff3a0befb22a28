import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferedFile } from '../../src/io/index.ts'
import { type FileSystem, type Simulation, simulate } from '../../src/testing/index.ts'
import { spreadSeedCount } from '../limits.ts'

const PATH = '/tmp/log'
const BLOCK_BYTES = 4096

/** Writes a block and syncs it, writes another and does not, and loses power. */
async function writeAndCrash({ kernel }: Simulation): Promise<FileSystem> {
  await using file = await BufferedFile.create(PATH)
  kernel.files.syncDirectory('/tmp')
  await file.write(Buffer.alloc(BLOCK_BYTES, 'a'), 0)
  await file.datasync()
  await file.write(Buffer.alloc(BLOCK_BYTES, 'b'), BLOCK_BYTES)
  return kernel.crash()
}

test('crash() keeps what was synced, and any part of what was not', async () => {
  const found = new Set<string>()
  for (let seed = 0; seed < spreadSeedCount(60); seed++) {
    const disk = await simulate(seed, writeAndCrash)
    const bytes = Buffer.from(disk.readFile(PATH)!)

    assert.equal(bytes.subarray(0, BLOCK_BYTES).compare(Buffer.alloc(BLOCK_BYTES, 'a')), 0)
    const rest = bytes.subarray(BLOCK_BYTES)
    const written = rest.filter((byte) => byte === 98).length
    assert.equal(written % 512, 0)
    if (rest.length === 0) found.add('old size')
    else if (written === 0) found.add('lost')
    else found.add(written === BLOCK_BYTES ? 'kept' : 'torn')
  }

  assert.deepEqual([...found].sort(), ['kept', 'lost', 'old size', 'torn'])
})

test('crash() leaves the running program its disk', async () => {
  await simulate(3, async (simulation) => {
    await writeAndCrash(simulation)

    assert.equal(simulation.kernel.files.readFile(PATH)!.length, 2 * BLOCK_BYTES)
  })
})

test('simulate() goes on with a disk that a crash has left', async () => {
  const disk = await simulate(1, writeAndCrash)

  await simulate({ seed: 2, disk }, async () => {
    await using file = await BufferedFile.open(PATH)
    assert.ok((await file.size()) >= BLOCK_BYTES)
  })
})
