/**
 * bare-files WHAT FOLDER FEW MANY ROUNDS: the writes of bench/percore/queues.ts by TypeScript alone, on a ring
 * without a runtime around it.
 *
 * Entries as words, one promise for each write, and a line in which an operation that needs the file for itself
 * waits for all before it, and all behind it for that one: no ranges, no cancelling, no turns. What
 * grows here is what the language, the kernel and the machine make grow.
 */

import { mkdirSync, openSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import {
  IORING_ENTER_GETEVENTS,
  IORING_OP_FALLOCATE,
  IORING_OP_WRITE,
} from '../../src/kernel/index.ts'
import { printGrowth, readSizes } from '../growth.ts'
import { kernel, setUpRing } from './bare-ring.ts'

const WRITE_BYTES = 100
const DATA = new Uint8Array(WRITE_BYTES)
/** How far apart the copies of what is being written are, in bytes. */
const COPY_STRIDE = 128
const ENTRY_COUNT = 4_096

/** One that waits or is under way. */
interface Entry {
  readonly opcode: number
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly isExclusive: boolean
  readonly resolve: (result: number) => void
}

const [what = '', folder = '', ...sizeWords] = process.argv.slice(2)
const sizes = readSizes(sizeWords)
const memory = setUpRing(ENTRY_COUNT)
const { sqes, layout } = memory
const { sqTail, cqHead, cqTail, cqes } = layout
const words = new Int32Array(memory.words.buffer)
const copies = kernel.allocate(ENTRY_COUNT * COPY_STRIDE)
const slots: (Entry | undefined)[] = []
const freeSlots = Array.from({ length: ENTRY_COUNT }, (_, slot) => slot)
let line: Entry[] = []
let servedCount = 0
let isAlone = false
let tail = 0
let head = 0

const fd = openFile()
await printGrowth(what === 'append' ? runAppends : runWrites, sizes)
process.exit(0)

function openFile(): number {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `bare-files-${process.pid}`)
  const opened = openSync(path, what === 'append' ? 'a' : 'w')
  unlinkSync(path)
  return opened
}

async function runWrites(count: number, first: number): Promise<void> {
  const { few, many } = sizes
  const waits: Promise<number>[] = []
  for (let index = first; index < first + count; index++) {
    waits.push(ask(IORING_OP_WRITE, index * WRITE_BYTES, WRITE_BYTES, false))
    if (index % few === few - 1) {
      waits.push(ask(IORING_OP_FALLOCATE, 0, WRITE_BYTES * many, true))
    }
  }
  await Promise.all([runLine(), ...waits])
}

async function runAppends(count: number): Promise<void> {
  const waits: Promise<number>[] = []
  for (let index = 0; index < count; index++) {
    waits.push(ask(IORING_OP_WRITE, -1, WRITE_BYTES, true))
  }
  await Promise.all([runLine(), ...waits])
}

function ask(
  opcode: number,
  offsetBytes: number,
  lengthBytes: number,
  isExclusive: boolean,
): Promise<number> {
  return new Promise((resolve) => {
    line.push({ opcode, offsetBytes, lengthBytes, isExclusive, resolve })
  })
}

/** Runs all that waits, and lets continuations run whenever something has ended. */
async function runLine(): Promise<void> {
  for (;;) {
    const submitCount = startNext()
    if (freeSlots.length === ENTRY_COUNT) break
    words[sqTail] = tail
    const result = kernel.enter(memory.fd, submitCount, 1, IORING_ENTER_GETEVENTS, -1)
    if (result < 0) throw new Error(`Cannot go on: entering the ring gave ${result}`)
    reap()
    await undefined
  }
  line = []
  servedCount = 0
}

/** Writes the entries of those whose turn it is; how many. */
function startNext(): number {
  let count = 0
  for (; servedCount < line.length && freeSlots.length > 0 && !isAlone; servedCount++) {
    const next = line[servedCount]!
    if (next.isExclusive && freeSlots.length < ENTRY_COUNT) break
    isAlone = next.isExclusive
    writeEntry(next, freeSlots.pop()!)
    count++
  }
  return count
}

function writeEntry(entry: Entry, slot: number): void {
  const { opcode, offsetBytes, lengthBytes } = entry
  const isWrite = opcode === IORING_OP_WRITE
  const address = isWrite ? copies.address + slot * COPY_STRIDE : lengthBytes
  if (isWrite) copies.bytes.set(DATA, slot * COPY_STRIDE)
  slots[slot] = entry
  const base = (tail & (layout.sqEntryCount - 1)) << 4
  sqes.fill(0, base, base + 16)
  sqes[base] = opcode
  sqes[base + 1] = fd
  sqes[base + 2] = offsetBytes
  sqes[base + 3] = Math.floor(offsetBytes / 2 ** 32)
  sqes[base + 4] = address
  sqes[base + 5] = address / 2 ** 32
  sqes[base + 6] = isWrite ? lengthBytes : 0
  sqes[base + 8] = slot
  tail = (tail + 1) | 0
}

function reap(): void {
  const end = words[cqTail]!
  for (; head !== end; head = (head + 1) | 0) {
    const base = cqes + ((head & (layout.cqEntryCount - 1)) << 2)
    const slot = words[base]!
    const { resolve, isExclusive } = slots[slot]!
    const result = words[base + 2]!
    if (result < 0) throw new Error(`Cannot go on: a request gave ${result}`)
    freeSlots.push(slot)
    slots[slot] = undefined
    if (isExclusive) isAlone = false
    resolve(result)
  }
  words[cqHead] = head
}
