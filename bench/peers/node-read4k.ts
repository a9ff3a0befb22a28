/**
 * node-read4k PATH SIZE_BYTES DEPTH SECONDS WARMUP_SECONDS: random direct reads with fs.promises.
 *
 * As many readers as the depth, each awaiting its read before the next. Checks blocks before the
 * clock starts; prints operations, seconds and the process's CPU, pool threads included.
 */

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { BLOCK_BYTES, checkBlock } from '../block-data.ts'

const CHECK_COUNT = 64

/** Declared here, as neither the ES library nor Node's types of version 20 name it. */
declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}

const [path = '', ...numbers] = process.argv.slice(2)
const [sizeBytes = 0, depth = 0, seconds = 0, warmupSeconds = 0] = numbers.map(Number)
const blockCount = sizeBytes / BLOCK_BYTES

// The memory of WebAssembly starts at a page, as O_DIRECT wants; a Buffer's may not.
const pageBytes = 65_536
const memory = new WebAssembly.Memory({ initial: Math.ceil((depth * BLOCK_BYTES) / pageBytes) })
const bytes = new Uint8Array(memory.buffer)

const file = await open(path, constants.O_RDONLY | constants.O_DIRECT)
await checkSomeBlocks(file)
await readUntil(performance.now() + warmupSeconds * 1_000)

const cpuFrom = process.cpuUsage()
const fromMs = performance.now()
const operationCount = await readUntil(fromMs + seconds * 1_000)
const elapsedMs = performance.now() - fromMs
const cpu = process.cpuUsage(cpuFrom)
await file.close()
const answer = { ops: operationCount, seconds: elapsedMs / 1_000, cpuUs: cpu.user + cpu.system }
process.stdout.write(`${JSON.stringify(answer)}\n`)

async function readUntil(untilMs: number): Promise<number> {
  const readers = Array.from({ length: depth }, (_, slot) => readInSlot(slot, untilMs))
  return (await Promise.all(readers)).reduce((sum, count) => sum + count, 0)
}

async function readInSlot(slot: number, untilMs: number): Promise<number> {
  let count = 0
  while (performance.now() < untilMs) {
    await readBlock(file, slot, randomBlock())
    count++
  }
  return count
}

async function checkSomeBlocks(handle: FileHandle): Promise<void> {
  const words = new Uint32Array(memory.buffer)
  for (let index = 0; index < CHECK_COUNT; index++) {
    const block = randomBlock()
    await readBlock(handle, 0, block)
    checkBlock(words, 0, block)
  }
}

async function readBlock(handle: FileHandle, slot: number, block: number): Promise<void> {
  const position = block * BLOCK_BYTES
  const { bytesRead } = await handle.read(bytes, slot * BLOCK_BYTES, BLOCK_BYTES, position)
  if (bytesRead !== BLOCK_BYTES) throw new Error(`Cannot go on: a read was short: ${bytesRead}`)
}

function randomBlock(): number {
  return Math.floor(Math.random() * blockCount)
}
