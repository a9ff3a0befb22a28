/** Several threads that are watched for stalls; its first argument says how. */
import { once } from 'node:events'
import { readdirSync, writeSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { attachExecutor, createTaskQueue, executor, spawnInto } from '../../src/index.ts'

const [, , scenario = ''] = process.argv
const parentId = process.ppid
const options = { budgetMs: 20, onStall() {} }

function say(value: unknown): void {
  writeSync(1, `${JSON.stringify(value)}\n`)
}

/** Whether the test still runs: nobody else ends a program that is stuck. */
function isAwaited(): boolean {
  return process.ppid === parentId
}

function hang(): void {
  void spawnInto(createTaskQueue('serving'), function stuckForEver() {
    while (isAwaited());
  })
}

/** A thread with an executor of that name, which does what it is told. */
async function start(name: string): Promise<(what: 'watch' | 'forget' | 'hang') => Promise<void>> {
  const worker = new Worker(new URL(import.meta.url), { workerData: name })
  await once(worker, 'message')
  workers.set(name, worker)
  return async (what) => {
    worker.postMessage(what)
    await once(worker, 'message')
  }
}

const workers = new Map<string, Worker>()

function threadCount(): number {
  return readdirSync('/proc/self/task').length
}

const scenarios: Record<string, () => Promise<void>> = {
  async one() {
    const tells = [await start('a'), await start('b'), await start('c')]
    attachExecutor({ name: 'main' })
    const before = threadCount()
    for (const tell of tells) await tell('watch')
    const during = threadCount()
    for (const tell of tells) await tell('forget')
    while (threadCount() > before) await new Promise((resolve) => setTimeout(resolve, 10))
    await tells[1]!('watch')
    say({ more: during - before, again: threadCount() - before })
    process.exit()
  },
  async handOver() {
    const [first, second] = [await start('a'), await start('b')]
    await first('watch')
    await second('watch')
    await workers.get('a')!.terminate()
    await second('hang')
  },
  async takeOver() {
    const first = await start('a')
    await first('watch')
    attachExecutor({ name: 'main', detectStalls: options })
    await workers.get('a')!.terminate()
    hang()
  },
  async mainCloses() {
    attachExecutor({ name: 'main', detectStalls: options })
    const first = await start('a')
    await first('watch')
    await executor().close()
    await first('hang')
  },
  async restarts() {
    const tell = await start('a')
    for (let round = 0; round < 20; round++) {
      await tell('watch')
      await tell('forget')
    }
    await tell('watch')
    await tell('hang')
  },
  async both() {
    const [first, second] = [await start('a'), await start('b')]
    await first('watch')
    await second('watch')
    await first('hang')
    await second('hang')
  },
}

if (isMainThread) {
  await scenarios[scenario]!()
} else {
  attachExecutor({ name: workerData as string })
  parentPort!.on('message', (what) => {
    if (what === 'watch') executor().detectStalls(options)
    if (what === 'forget') executor().detectStalls(null)
    if (what === 'hang') hang()
    parentPort!.postMessage(null)
  })
  parentPort!.postMessage(null)
}
