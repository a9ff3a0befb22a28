/** node-task yield|timer OPS: Node's counterparts of the executor's primitives. */

const [what, count] = process.argv.slice(2)
const operationCount = Number(count)

if (what !== 'yield' && what !== 'timer') throw new Error(`Cannot measure ${what}: no counterpart`)
const run = what === 'yield' ? runYield : runTimer
await run(Math.ceil(operationCount / 10))
const from = performance.now()
await run(operationCount)
const elapsedMs = performance.now() - from
process.stdout.write(`${JSON.stringify({ nsPerOp: (elapsedMs * 1e6) / operationCount })}\n`)

/** One task that lets others run, over and over. */
async function runYield(times: number): Promise<void> {
  for (let index = 0; index < times; index++) {
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}

/** A timeout set and, since the operation it guards was in time, cleared. */
async function runTimer(times: number): Promise<void> {
  for (let index = 0; index < times; index++) clearTimeout(setTimeout(ignore, 10_000))
}

function ignore(): void {}
