/**
 * bare-nop STYLE(callbacks|named|await) BATCH OPS: no-ops by TypeScript alone, without a runtime around it.
 *
 * What the language costs beside C, hence about what a runtime in it can reach: entries and completions
 * as words, one enter per batch, no fences, and for `await` one promise per no-op. It knows its slots,
 * keeps no loop alive, and lets nothing of Node's run. `named` has beside that what no runtime can do without:
 * an operation is an object with a method, found by a slot that is free again behind it, under a name of
 * that slot's which changes with each request, so that no completion reaches another's operation.
 */

import { warmUp } from '../warm-up.ts'
import { setUpRing, submitterOf } from './bare-ring.ts'

const [style, batchText, countText] = process.argv.slice(2)
const batchCount = Number(batchText)
const operationCount = Number(countText)
const memory = setUpRing(Math.max(1024, batchCount))
const entryMask = memory.layout.sqEntryCount - 1
const completionMask = memory.layout.cqEntryCount - 1
const words = new Int32Array(memory.words.buffer)
const { sqes } = memory
const { sqTail, cqHead, cqTail, cqes } = memory.layout
const submit = submitterOf(memory)
const SETTLED = Promise.resolve()
const resolves: ((result: number) => void)[] = []
/** An operation under a slot and the name that this has for one request. */
class NamedNop {
  submit(): void {
    const slot = freeSlots[--freeCount]!
    operations[slot] = this
    const name = (~names[slot]! + 1) & 0x7fffffff
    names[slot] = name
    writeNop(slot, name)
  }

  complete(result: number): void {
    if (result !== 0) throw new Error('Cannot go on: a no-op failed')
    if (leftCount > 0) {
      leftCount--
      this.submit()
    }
  }
}

const nops = Array.from({ length: batchCount }, () => new NamedNop())
const operations: (NamedNop | null)[] = nops.map(() => null)
const names = new Int32Array(batchCount).fill(-1)
const freeSlots = Int32Array.from(nops, (_, slot) => slot)
let freeCount = batchCount
let leftCount = 0
let tail = 0
let head = 0
let hasWritten = false
let isOver = false

const RUNS: Readonly<Record<string, (count: number) => Promise<void>>> = {
  callbacks: runCallbacks,
  named: runNamed,
  await: runAwaits,
}
const run = RUNS[style!]!
await warmUp(run, operationCount, batchCount)
const from = process.hrtime.bigint()
await run(operationCount)
const elapsedNs = Number(process.hrtime.bigint() - from)
process.stdout.write(`${JSON.stringify({ nsPerOp: elapsedNs / operationCount })}\n`)
process.exit(0)

async function runCallbacks(count: number): Promise<void> {
  // The batch that a run writes last is the next one's first.
  if (!hasWritten) for (let slot = 0; slot < batchCount; slot++) writeNop(slot)
  hasWritten = true
  for (let left = count; left > 0; left -= resubmitAll());
}

/** Submits, and writes a no-op again for every completion; how many there were. */
function resubmitAll(): number {
  enter()
  const end = words[cqTail]!
  const count = (end - head) | 0
  for (; head !== end; head = (head + 1) | 0) {
    const base = cqes + ((head & completionMask) << 2)
    if (words[base + 2] !== 0) throw new Error('Cannot go on: a no-op failed')
    writeNop(words[base]!)
  }
  words[cqHead] = head
  return count
}

async function runNamed(count: number): Promise<void> {
  leftCount = count - batchCount
  for (const nop of nops) nop.submit()
  for (let left = count; left > 0; left -= completeAll());
}

/** Submits, and hands every completion to the operation that its slot and name tell; how many there were. */
function completeAll(): number {
  enter()
  const end = words[cqTail]!
  const count = (end - head) | 0
  while (head !== end) {
    const base = cqes + ((head & completionMask) << 2)
    head = (head + 1) | 0
    const slot = words[base]!
    const name = words[base + 1]!
    if (slot >= names.length || names[slot] !== name) throw new Error('Cannot go on: a stale one')
    const operation = operations[slot]!
    names[slot] = ~name
    operations[slot] = null
    freeSlots[freeCount++] = slot
    operation.complete(words[base + 2]!)
  }
  words[cqHead] = head
  return count
}

async function runAwaits(count: number): Promise<void> {
  const eachCount = Math.ceil(count / batchCount)
  isOver = false
  const all = Promise.all(
    Array.from({ length: batchCount }, (_, slot) => awaitNops(slot, eachCount)),
  )
  settleAll()
  await all
  isOver = true
}

async function awaitNops(slot: number, count: number): Promise<void> {
  for (let index = 0; index < count; index++) await submitNop(slot)
}

function submitNop(slot: number): Promise<number> {
  writeNop(slot)
  return new Promise<number>((resolve) => {
    resolves[slot] = resolve
  })
}

/** Submits, settles every completion, and comes back behind the continuations of these. */
function settleAll(): void {
  if (isOver) return
  enter()
  const end = words[cqTail]!
  for (; head !== end; head = (head + 1) | 0) {
    const base = cqes + ((head & completionMask) << 2)
    resolves[words[base]!]!(words[base + 2]!)
  }
  words[cqHead] = head
  SETTLED.then(settleAll)
}

function writeNop(slot: number, name = 0): void {
  const base = (tail & entryMask) << 4
  sqes[base] = 0
  sqes[base + 1] = -1
  sqes[base + 6] = 0
  sqes[base + 7] = 0
  sqes[base + 8] = slot
  sqes[base + 9] = name
  sqes[base + 10] = 0
  tail = (tail + 1) | 0
}

function enter(): void {
  words[sqTail] = tail
  submit()
}
