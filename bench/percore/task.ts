/**
 * task WHAT(spawn|yield|needPreempt|timer) OPS: the executor's own primitives.
 *
 * `spawn` is a task from spawn to the await of its end, 64 under way; `yield` is two tasks that yield
 * to each other; `timer` is one armed and cancelled beside 100,000 armed ones.
 */

import { executor, needPreempt, spawn, yieldNow } from '../../src/index.ts'
import { once } from '../../src/time/index.ts'

const UNDER_WAY = 64
const ARMED_COUNT = 100_000
const SECOND_MS = 1_000

const [what, countText] = process.argv.slice(2)
const operationCount = Number(countText)
const runs: Record<string, (count: number) => Promise<void>> = {
  spawn: runSpawn,
  yield: runYield,
  needPreempt: runNeedPreempt,
  timer: runTimer,
}
const run = runs[what ?? '']
if (run === undefined) throw new Error(`Cannot measure ${what}: not one of ${Object.keys(runs)}`)

executor()
if (what === 'timer') for (let index = 0; index < ARMED_COUNT; index++) armFar(index)
await run(Math.ceil(operationCount / 4))
const from = process.hrtime.bigint()
await run(operationCount)
const elapsedNs = Number(process.hrtime.bigint() - from)
process.stdout.write(`${JSON.stringify({ nsPerOp: elapsedNs / operationCount })}\n`)
process.exit(0)

async function runSpawn(count: number): Promise<void> {
  let sum = 0
  const body = async (): Promise<number> => 1
  const worker = async (): Promise<void> => {
    for (let index = 0; index < count / UNDER_WAY; index++) {
      const one = await spawn(body)
      sum += one
    }
  }
  await Promise.all(Array.from({ length: UNDER_WAY }, worker))
  if (sum < count) throw new Error('Cannot trust the run: tasks are missing')
}

async function runYield(count: number): Promise<void> {
  const body = async (): Promise<void> => {
    for (let index = 0; index < count / 2; index++) await yieldNow()
  }
  await Promise.all([spawn(body), spawn(body)])
}

async function runNeedPreempt(count: number): Promise<void> {
  let dueCount = 0
  for (let index = 0; index < count; index++) {
    if (!needPreempt()) continue
    dueCount++
    await yieldNow()
  }
  if (dueCount > count / 2) throw new Error('Cannot trust the run: nearly every question said yes')
}

async function runTimer(count: number): Promise<void> {
  for (let index = 0; index < count; index++) armFar(index).destroy()
}

/** Somewhere among the others, in no order. */
function armFar(index: number): { destroy(): void } {
  return once(60 * SECOND_MS + ((index * 7919) % ARMED_COUNT), ignore)
}

function ignore(): void {}
