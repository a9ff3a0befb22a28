/**
 * node-competing-io PATH SIZE_BYTES TASKS SECONDS WARMUP_SECONDS: random direct reads by many callers of fs.promises,
 * beside a hog that works for a burst and then lets others run by setImmediate, as careful Node programs do.
 *
 * Prints the same as its twin: reads, seconds, percentiles of a read's time, and what the hog did.
 */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { BURST_MS, workOneUnit } from '../background.ts'
import { BLOCK_BYTES } from '../block-data.ts'
import { ReadTimes } from '../read-times.ts'

/** Declared here, as neither the ES library nor Node's types of version 20 name it. */
declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}

const [path = '', ...numbers] = process.argv.slice(2)
const [sizeBytes = 0, taskCount = 0, seconds = 0, warmupSeconds = 0] = numbers.map(Number)
const blockCount = sizeBytes / BLOCK_BYTES
const times = new ReadTimes(warmupSeconds, seconds)
let unitCount = 0
let isOver = false

// The memory of WebAssembly starts at a page, as O_DIRECT wants; a Buffer's may not.
const pageBytes = 65_536
const memory = new WebAssembly.Memory({ initial: Math.ceil((taskCount * BLOCK_BYTES) / pageBytes) })
const bytes = new Uint8Array(memory.buffer)

const file = await open(path, constants.O_RDONLY | constants.O_DIRECT)
setImmediate(runBurst)
times.begin(() => unitCount)
await Promise.all(Array.from({ length: taskCount }, (_, slot) => readOn(slot)))
isOver = true
await file.close()
process.stdout.write(`${JSON.stringify(times.answer())}\n`)

async function readOn(slot: number): Promise<void> {
  while (!times.isOver) {
    const fromMs = performance.now()
    const position = Math.floor(Math.random() * blockCount) * BLOCK_BYTES
    const { bytesRead } = await file.read(bytes, slot * BLOCK_BYTES, BLOCK_BYTES, position)
    if (bytesRead !== BLOCK_BYTES) throw new Error(`Cannot go on: a read was short: ${bytesRead}`)
    times.add(fromMs, () => unitCount)
  }
}

function runBurst(): void {
  if (isOver) return
  const untilMs = performance.now() + BURST_MS
  do {
    workOneUnit()
    unitCount++
  } while (performance.now() < untilMs)
  setImmediate(runBurst)
}
