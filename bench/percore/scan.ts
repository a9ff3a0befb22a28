/**
 * scan WAY PATH SIZE_BYTES BLOCK_BYTES DEPTH PASSES: a file as a stream of percore's.
 *
 * WAY is `leases` or `chunks` to read it, checking a word of each block, `push` or `write` to write and sync it,
 * `records` to write it in pieces of BLOCK_BYTES by way of the page cache. Prints bytes, seconds, the process's CPU and its peak of memory.
 */

import { allocateBuffer } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { BLOCK_BYTES } from '../block-data.ts'

const [way = '', path = '', ...numbers] = process.argv.slice(2)
const [sizeBytes = 0, blockBytes = 0, depth = 0, passes = 1] = numbers.map(Number)

// A program that writes for long has been compiled; fio is from the start.
if (way === 'push' || way === 'write') await writeThrough()

const cpuFrom = process.cpuUsage()
const fromMs = performance.now()
let bytes = 0
if (way === 'leases' || way === 'chunks') {
  await using file = await DirectFile.open(path)
  for (let pass = 0; pass < passes; pass++) bytes += await readThrough(file)
} else if (way === 'records') {
  bytes = await writeRecords()
} else {
  bytes = await writeThrough()
}
const seconds = (performance.now() - fromMs) / 1_000
const cpu = process.cpuUsage(cpuFrom)
const rssKib = process.resourceUsage().maxRSS
const answer = { bytes, seconds, cpuUs: cpu.user + cpu.system, rssKib }
process.stdout.write(`${JSON.stringify(answer)}\n`)

async function readThrough(file: DirectFile): Promise<number> {
  const reader = file.stream({ blockBytes, readAhead: depth })
  let at = 0
  if (way === 'leases') {
    for await (const lease of reader.leases()) {
      check(lease.bytes, at)
      at += lease.lengthBytes
    }
  } else {
    for await (const chunk of reader) {
      check(chunk, at)
      at += chunk.length
    }
  }
  if (at !== sizeBytes) throw new Error(`Cannot go on: ${at} bytes came of ${sizeBytes}`)
  return at
}

function check(data: Uint8Array, at: number): void {
  const index = (data[0]! | (data[1]! << 8) | (data[2]! << 16) | (data[3]! << 24)) >>> 0
  if (index !== at / BLOCK_BYTES) throw new Error(`Cannot trust a read: ${index} at ${at}`)
}

async function writeThrough(): Promise<number> {
  await using file = await DirectFile.create(path)
  // As fio does: a write that makes its file longer is alone on it.
  await file.truncate(sizeBytes)
  const writer = file.writer({ blockBytes, writeBehind: depth })
  const data = new Uint8Array(blockBytes).fill(0x5a)
  for (let at = 0; at < sizeBytes; at += blockBytes) {
    if (way === 'write') {
      await writer.write(data)
    } else {
      // Filled by whoever has the data: here it is what was there.
      await writer.push(allocateBuffer(blockBytes))
    }
  }
  await writer.sync()
  await writer.end()
  if ((await file.size()) !== sizeBytes) throw new Error('Cannot go on: the file has another size')
  return sizeBytes
}

async function writeRecords(): Promise<number> {
  await using file = await BufferedFile.create(path)
  const writer = file.writer({ writeBehind: depth })
  const record = new Uint8Array(blockBytes).fill(0x5a)
  const count = Math.floor(sizeBytes / blockBytes)
  for (let index = 0; index < count; index++) await writer.write(record)
  await writer.end()
  if ((await file.size()) !== count * blockBytes)
    throw new Error('Cannot go on: records are missing')
  return count * blockBytes
}
