/** Stalls as its first argument says, in a worker if there is a second one. Reports to standard output. */
import { spawnSync } from 'node:child_process'
import { existsSync, writeSync } from 'node:fs'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import type { Stall, StallOptions } from '../../src/index.ts'
import {
  attachExecutor,
  createTaskQueue,
  executor,
  spawn,
  spawnInto,
  yieldNow,
} from '../../src/index.ts'

const [, , scenario = '', where = 'main', gate = ''] = process.argv
const parentId = process.ppid

/** Whether the test still runs: nobody else ends a program that is stuck, and it would keep a processor busy. */
function isAwaited(): boolean {
  return process.ppid === parentId
}

/** At least this long, whatever the machine is doing. */
function busy(ms: number): void {
  const endMs = performance.now() + ms
  while (performance.now() < endMs);
}

function say(value: unknown): void {
  writeSync(1, `${JSON.stringify(value)}\n`)
}

function attach(options: StallOptions | null, name = 'watched'): void {
  attachExecutor({ name, detectStalls: options })
}

/** Of other queues too a turn may take too long, on a machine that is busy. */
function tellServing(stall: Stall): void {
  if (stall.queue.startsWith('serving')) say(stall)
}

const tell = { budgetMs: 20, onStall: tellServing }
const never = { ...tell, budgetMs: 600_000 }

const scenarios: Record<string, () => unknown> = {
  async once() {
    attach(tell)
    const queue = createTaskQueue('serving')
    await spawnInto(queue, async function first() {
      busy(60)
      await null
      busy(60)
    })
  },
  default() {
    attach({ budgetMs: 20 })
    return spawnInto(createTaskQueue('serving'), () => busy(60))
  },
  async defaultQueue() {
    // Again and again, so that a report finds its own queue running, idle or about to run.
    let isDone = false
    attach({ ...tell, onStall: () => (isDone = true) })
    for (let i = 0; i < 5; i++) await spawn(() => busy(30))
    await Promise.all([1, 2, 3].map(() => spawn(() => busy(30))))
    while (!isDone) await yieldNow()
    say({ isDone })
  },
  async under() {
    attach(never)
    await spawnInto(createTaskQueue('serving'), () => busy(40))
    await new Promise((resolve) => setTimeout(resolve, 50))
  },
  async off() {
    attach(tell)
    executor().detectStalls(null)
    await spawnInto(createTaskQueue('serving'), () => busy(60))
  },
  async again() {
    attach(never)
    executor().detectStalls(tell)
    await spawnInto(createTaskQueue('serving'), () => busy(60))
  },
  idle() {
    attach(tell)
  },
  forever() {
    attach(tell)
    void spawnInto(createTaskQueue('serving'), function stuckForEver() {
      while (isAwaited());
    })
  },
  native() {
    attach(tell)
    void spawnInto(createTaskQueue('serving'), function stuckInAtomics() {
      const cell = new Int32Array(new SharedArrayBuffer(4))
      while (isAwaited()) Atomics.wait(cell, 0, 0, 60_000)
    })
  },
  late() {
    attach(tell)
    void spawnInto(createTaskQueue('serving'), function stuckAfterNative() {
      const wait = 'until [ -e "$1" ] || ! kill -0 "$2"; do sleep 0.05; done'
      spawnSync('sh', ['-c', wait, 'sh', gate, String(parentId)])
      while (isAwaited());
    })
  },
  async back() {
    attach(tell)
    await spawnInto(createTaskQueue('serving'), stuckUntilGate)
  },
  async backDefault() {
    attach({ budgetMs: 20 })
    await spawnInto(createTaskQueue('serving'), stuckUntilGate)
  },
  exit() {
    attach(tell)
    void spawnInto(createTaskQueue('serving'), () => {
      busy(60)
      process.exit(7)
    })
  },
  async throwing() {
    process.once('uncaughtException', (error) => say({ uncaught: error.message }))
    attach({
      ...tell,
      onStall: ({ queue }: Stall) => {
        if (queue === 'serving') throw new Error('of the handler')
      },
    })
    await spawnInto(createTaskQueue('serving'), () => busy(60))
  },
  async many() {
    attach(tell, String(workerData ?? 'main'))
    await spawnInto(createTaskQueue(`serving ${workerData ?? 'main'}`), () => busy(60))
    if (!isMainThread) return
    const started = ['a', 'b'].map((name) => startWorker(name))
    await Promise.all(
      started.map((worker) => new Promise((resolve) => worker.once('exit', resolve))),
    )
  },
  async terminate() {
    if (!isMainThread) {
      scenarios.forever!()
      return
    }
    const worker = startWorker('w')
    await new Promise((resolve) => process.stdin.once('data', resolve))
    say({ exitCode: await worker.terminate() })
    process.stdin.destroy()
  },
}

function stuckUntilGate(): void {
  while (isAwaited() && !existsSync(gate));
}

function startWorker(name: string): Worker {
  return new Worker(new URL(import.meta.url), { argv: process.argv.slice(2), workerData: name })
}

if (where === 'worker' && isMainThread) startWorker('w')
else await scenarios[scenario]!()
