/**
 * nop STYLE(callbacks|queued|await) BATCH OPS: no-ops through percore's ring, BATCH at a time.
 *
 * `callbacks` submits one operation object again and again as its completion is reaped, as a receive
 * and a short read do; `queued` the same in a turn of its task queue; `await` is BATCH plain async functions,
 * each awaiting one new operation after the other.
 */

import { AwaitedOperation, type Executor, executor } from '../../src/executor/index.ts'
import { encodeNop, Operation, type Ring } from '../../src/ring/index.ts'
import { warmUp } from '../warm-up.ts'

const [style, batchText, countText] = process.argv.slice(2)
const batchCount = Number(batchText)
const operationCount = Number(countText)
const current = executor()
const ring = current.io.main

/** Submits itself again as it is reaped, as long as there is something left. */
class ReapedNop extends Operation {
  constructor() {
    super(current.defaultQueue, true)
  }

  submit(): void {
    encodeNop(ring.sqes, ring.begin())
    ring.commit(this)
  }

  override complete(_result = 0, _flags = 0): void {
    if (leftCount > 0) {
      leftCount--
      this.submit()
    } else if (--runningCount === 0) onDone()
  }

  override run(): void {}
}

/** The same in a turn of its queue. */
class QueuedNop extends ReapedNop {
  override complete(result: number, flags: number): void {
    this.result = result
    this.flags = flags
    this.home.push(this)
  }

  override run(): void {
    super.complete()
  }
}

class AwaitedNop extends AwaitedOperation<number> {
  constructor(executor: Executor, ring: Ring) {
    super(executor)
    encodeNop(ring.sqes, ring.begin())
    ring.commit(this)
  }

  protected override interpret(result: number): number {
    return result
  }

  protected override describe(): { syscall: string } {
    return { syscall: 'nop' }
  }
}

let leftCount = 0
let runningCount = 0
let onDone: () => void = () => {}
const Repeated = style === 'queued' ? QueuedNop : ReapedNop
const repeated = Array.from({ length: batchCount }, () => new Repeated())

function runRepeated(count: number): Promise<void> {
  leftCount = count - batchCount
  runningCount = batchCount
  const done = new Promise<void>((resolve) => {
    onDone = resolve
  })
  for (const nop of repeated) nop.submit()
  return done
}

async function runAwaits(count: number): Promise<void> {
  const eachCount = Math.ceil(count / batchCount)
  await Promise.all(Array.from({ length: batchCount }, () => awaitNops(eachCount)))
}

async function awaitNops(count: number): Promise<void> {
  for (let index = 0; index < count; index++) await new AwaitedNop(current, ring).promise
}

const run = style === 'await' ? runAwaits : runRepeated
// All warm up on awaits: they compile the paths that all use, and age the objects that stay.
if (run !== runAwaits) await warmUp(runAwaits, operationCount / 4, batchCount)
await warmUp(run, operationCount, batchCount)
const before = current.stats()
const from = process.hrtime.bigint()
await run(operationCount)
const elapsedNs = Number(process.hrtime.bigint() - from)
const after = current.stats()
const enterCount = after.enterCount - before.enterCount
process.stdout.write(
  `${JSON.stringify({
    nsPerOp: elapsedNs / operationCount,
    // One is what C needs; less would be a batch that did not go to the kernel.
    entersPerBatch: enterCount / (operationCount / batchCount),
  })}\n`,
)
