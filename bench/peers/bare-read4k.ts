/**
 * bare-read4k PATH SIZE_BYTES 1 SECONDS WARMUP_SECONDS: random direct reads, one at a time, by
 * TypeScript alone.
 *
 * The least that an awaited read can take: one entry, written in place, one enter that brings its
 * completion, and an `await` of the number. Without checks, slots, cancellation, a turn or fairness; the
 * file and the memory are registered. Nothing of Node's runs meanwhile.
 */

import { constants, openSync } from 'node:fs'
import {
  IORING_OP_READ_FIXED,
  IORING_REGISTER_BUFFERS,
  IORING_REGISTER_FILES,
  IOSQE_FIXED_FILE,
} from '../../src/kernel/index.ts'
import { BLOCK_BYTES, checkBlock } from '../block-data.ts'
import { kernel, setUpRing, submitterOf } from './bare-ring.ts'

const BUFFER_BYTES = 2 * 1024 * 1024
const CHECK_COUNT = 64
/** How many reads pass between two looks at the clock. */
const UNTIMED_COUNT = 256

const [path = '', ...numbers] = process.argv.slice(2)
const [sizeBytes = 0, depth = 0, seconds = 0, warmupSeconds = 0] = numbers.map(Number)
if (depth !== 1) throw new RangeError(`Cannot run as the depth must be 1: it is ${depth}`)
const blockCount = sizeBytes / BLOCK_BYTES

const memory = setUpRing(64)
const { sqes, layout } = memory
const { sqTail, cqHead, cqTail, cqes } = layout
const words = new Int32Array(memory.words.buffer)
const entryMask = layout.sqEntryCount - 1
const completionMask = layout.cqEntryCount - 1
const submit = submitterOf(memory)
const { address, bytes } = kernel.allocate(BUFFER_BYTES)
register(IORING_REGISTER_BUFFERS, Uint32Array.of(address, address / 2 ** 32, BUFFER_BYTES, 0))
register(
  IORING_REGISTER_FILES,
  Int32Array.of(openSync(path, constants.O_RDONLY | constants.O_DIRECT)),
)
let tail = 0
let head = 0

const blockWords = new Uint32Array(bytes.buffer, 0, BLOCK_BYTES / 4)
for (let index = 0; index < CHECK_COUNT; index++) {
  const block = randomBlock()
  await readInto(block * BLOCK_BYTES)
  checkBlock(blockWords, 0, block)
}
await readFor(warmupSeconds)

const cpuFrom = process.cpuUsage()
const fromMs = performance.now()
const operationCount = await readFor(seconds)
const elapsedMs = performance.now() - fromMs
const cpu = process.cpuUsage(cpuFrom)
const answer = { ops: operationCount, seconds: elapsedMs / 1_000, cpuUs: cpu.user + cpu.system }
process.stdout.write(`${JSON.stringify(answer)}\n`)
process.exit(0)

async function readFor(durationSeconds: number): Promise<number> {
  const untilMs = performance.now() + durationSeconds * 1_000
  let count = 0
  while (performance.now() < untilMs) {
    for (let left = UNTIMED_COUNT; left > 0; left--) {
      const bytesRead = await readInto(randomBlock() * BLOCK_BYTES)
      if (bytesRead !== BLOCK_BYTES) throw new Error(`Cannot go on: a read gave ${bytesRead}`)
    }
    count += UNTIMED_COUNT
  }
  return count
}

function readInto(offsetBytes: number): Promise<number> {
  const base = (tail & entryMask) << 4
  sqes[base] = IORING_OP_READ_FIXED | (IOSQE_FIXED_FILE << 8)
  sqes[base + 1] = 0
  sqes[base + 2] = offsetBytes
  sqes[base + 3] = Math.floor(offsetBytes / 2 ** 32)
  sqes[base + 4] = address
  sqes[base + 5] = address / 2 ** 32
  sqes[base + 6] = BLOCK_BYTES
  tail = (tail + 1) | 0
  words[sqTail] = tail
  submit()
  if (words[cqTail] === head) throw new Error('Cannot go on: a read did not end within the call')
  const result = words[cqes + ((head & completionMask) << 2) + 2]!
  head = (head + 1) | 0
  words[cqHead] = head
  return Promise.resolve(result)
}

function register(opcode: number, argument: Uint32Array | Int32Array): void {
  const result = kernel.register(memory.fd, opcode, argument, 1)
  if (result < 0) throw new Error(`Cannot register with a ring: ${result}`)
}

function randomBlock(): number {
  return Math.floor(Math.random() * blockCount)
}
