/**
 * read4k PATH SIZE_BYTES DEPTH SECONDS WARMUP_SECONDS: random direct reads with percore.
 *
 * As many readers as the depth, each awaiting its read before the next. Checks blocks before the
 * clock starts; prints operations, seconds and the process's CPU.
 */

import { DirectFile, type Lease } from '../../src/io/index.ts'
import { BLOCK_BYTES, checkBlock } from '../block-data.ts'

const CHECK_COUNT = 64

const [path = '', ...numbers] = process.argv.slice(2)
const [sizeBytes = 0, depth = 0, seconds = 0, warmupSeconds = 0] = numbers.map(Number)
const blockCount = sizeBytes / BLOCK_BYTES
let isOver = false

const file = await DirectFile.open(path)
const buffers = Array.from({ length: depth }, () => file.allocateBuffer(BLOCK_BYTES))
await checkSomeBlocks(buffers[0]!)
await readFor(warmupSeconds)

const cpuFrom = process.cpuUsage()
const fromMs = performance.now()
const operationCount = await readFor(seconds)
const elapsedMs = performance.now() - fromMs
const cpu = process.cpuUsage(cpuFrom)
for (const buffer of buffers) buffer.release()
await file.close()
const answer = { ops: operationCount, seconds: elapsedMs / 1_000, cpuUs: cpu.user + cpu.system }
process.stdout.write(`${JSON.stringify(answer)}\n`)

async function readFor(durationSeconds: number): Promise<number> {
  isOver = false
  setTimeout(() => {
    isOver = true
  }, durationSeconds * 1_000)
  const counts = await Promise.all(buffers.map(readInto))
  return counts.reduce((sum, count) => sum + count, 0)
}

async function readInto(buffer: Lease): Promise<number> {
  let count = 0
  while (!isOver) {
    // Not by way of another async function, whose promise would be a part of what is measured.
    const bytesRead = await file.readInto(buffer, randomBlock() * BLOCK_BYTES)
    if (bytesRead !== BLOCK_BYTES) throw shortRead(bytesRead)
    count++
  }
  return count
}

async function checkSomeBlocks(buffer: Lease): Promise<void> {
  const { bytes } = buffer
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, BLOCK_BYTES / 4)
  for (let index = 0; index < CHECK_COUNT; index++) {
    const block = randomBlock()
    const bytesRead = await file.readInto(buffer, block * BLOCK_BYTES)
    if (bytesRead !== BLOCK_BYTES) throw shortRead(bytesRead)
    checkBlock(words, 0, block)
  }
}

function shortRead(bytesRead: number): Error {
  return new Error(`Cannot go on: a read was short: ${bytesRead}`)
}

function randomBlock(): number {
  return Math.floor(Math.random() * blockCount)
}
