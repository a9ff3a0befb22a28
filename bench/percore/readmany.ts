/**
 * readmany PATH SIZE_BYTES STYLE LAYOUT HOLE_BYTES SECONDS WARMUP_SECONDS: records of 4 KiB by their places, direct.
 *
 * STYLE is `merged`, `ordered` (readMany() without merging) or `each` (a loop of reads, as many at a time). Checks some records;
 * prints how many were read, in what time, and the process's CPU.
 */

import { type ByteRange, DirectFile } from '../../src/io/index.ts'
import { BLOCK_BYTES, checkBlock } from '../block-data.ts'

const DEPTH = 32
const CHECK_COUNT = 64
/** Within so many records an order is shuffled. */
const SHUFFLED_COUNT = 512

const [path = '', size = '', style = '', layout = '', ...numbers] = process.argv.slice(2)
const [holeBytesMax = 0, seconds = 0, warmupSeconds = 0] = numbers.map(Number)
const blockCount = Number(size) / BLOCK_BYTES
const file = await DirectFile.open(path)
let checksLeft = CHECK_COUNT

await readFor(warmupSeconds)
const cpuFrom = process.cpuUsage()
const fromMs = performance.now()
const records = await readFor(seconds)
const elapsedMs = performance.now() - fromMs
const cpu = process.cpuUsage(cpuFrom)
await file.close()
const answer = { records, seconds: elapsedMs / 1_000, cpuUs: cpu.user + cpu.system }
process.stdout.write(`${JSON.stringify(answer)}\n`)

async function readFor(durationSeconds: number): Promise<number> {
  const untilMs = performance.now() + durationSeconds * 1_000
  return await (style === 'each' ? readEach(untilMs) : readMany(untilMs))
}

async function readMany(untilMs: number): Promise<number> {
  const merging = style === 'merged' ? { holeBytesMax } : { mergedBytesMax: 0 }
  let count = 0
  for await (const { range, bytes } of file.readMany(places(), {
    concurrency: DEPTH,
    ...merging,
  })) {
    check(bytes, range)
    // A look at the clock for each would be a part of what is measured.
    if (++count % 256 === 0 && performance.now() >= untilMs) break
  }
  return count
}

async function readEach(untilMs: number): Promise<number> {
  const ranges = places()
  let count = 0
  let isOver = false
  const read = async (): Promise<void> => {
    while (!isOver) {
      const range = ranges.next().value!
      using lease = await file.read(range.offsetBytes, range.lengthBytes)
      check(lease.bytes, range)
      if (++count % 256 === 0 && performance.now() >= untilMs) isOver = true
    }
  }
  await Promise.all(Array.from({ length: DEPTH }, read))
  return count
}

function check(bytes: Uint8Array, { offsetBytes, lengthBytes }: ByteRange): void {
  if (bytes.length !== lengthBytes) throw new Error('Cannot go on: a read was short')
  if (checksLeft === 0) return
  checksLeft--
  checkBlock(new Uint32Array(bytes.slice().buffer), 0, offsetBytes / BLOCK_BYTES)
}

/** The places of records, for ever. */
function* places(): Generator<ByteRange, never> {
  for (;;) {
    if (layout === 'random') {
      yield place(Math.floor(Math.random() * blockCount))
      continue
    }
    const step = layout === 'half' ? 2 : 1
    for (let from = 0; from < blockCount; from += SHUFFLED_COUNT * step) {
      const count = Math.min(SHUFFLED_COUNT, Math.floor((blockCount - from) / step))
      for (let index = 0; index < count; index++) {
        // By a step that has no divisor in common with the count each comes once.
        const at = layout === 'half' ? (index * 193) % count : index
        yield place(from + at * step)
      }
    }
  }
}

function place(block: number): ByteRange {
  return { offsetBytes: block * BLOCK_BYTES, lengthBytes: BLOCK_BYTES }
}
