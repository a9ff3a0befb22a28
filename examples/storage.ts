/** Writes a file past the page cache and reads it back at random, eight reads at a time. */

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DirectFile } from 'percore/io'

const BLOCK_BYTES = 4096
const BLOCK_COUNT = 256
const READERS = 8
const path = join(tmpdir(), `percore-storage-${process.pid}`)

await using file = await DirectFile.create(path, { read: true, fallback: 'buffered' })
{
  using block = file.allocateBuffer(BLOCK_BYTES)
  for (let index = 0; index < BLOCK_COUNT; index++) {
    block.bytes.fill(index)
    await file.write(block, index * BLOCK_BYTES)
  }
}
await file.datasync()
const counts = await Promise.all(Array.from({ length: READERS }, readSome))
console.log(
  `${counts.reduce((sum, count) => sum + count, 0)} blocks read, direct: ${file.isDirect}`,
)
await file.remove()

async function readSome(): Promise<number> {
  using buffer = file.allocateBuffer(BLOCK_BYTES)
  for (let count = 0; count < 100; count++) {
    const index = Math.floor(Math.random() * BLOCK_COUNT)
    await file.readInto(buffer, index * BLOCK_BYTES)
    if (buffer.bytes[0] !== index % 256) throw new Error(`Cannot trust block ${index}`)
  }
  return 100
}
