/**
 * `worker.terminate()` ends a thread whatever its loop does, and leaves nothing behind.
 *
 * Proof that these can fail: without the cleanup hook of native/loop.c the process dies of SIGSEGV;
 * with a loop that does not leave on a failed callback the thread spins, and terminate() never ends;
 * without the closing of tracked descriptors the count of them grows, and without that of descriptors
 * in the completion queue, and of closes in the submission queue, by a dozen a thread.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { executor } from '../../src/index.ts'
import { limited, repetitionCount } from '../limits.ts'
import { churnConnects } from './churn.ts'
import { createPipe } from './pipe.ts'

const LIMIT = limited(30_000)
/** So many threads are terminated, each at another moment. */
const THREADS = repetitionCount(12, 4)
const pipe = createPipe()
const folder = mkdtempSync(join(tmpdir(), 'percore-terminate-'))
after(() => {
  pipe.close()
  rmSync(folder, { recursive: true })
})

async function start(mode: string): Promise<Worker> {
  return (await startReporting(mode)).worker
}

async function startReporting(mode: string): Promise<{ worker: Worker; report: unknown }> {
  const workerData = { mode, fd: pipe.readFd, folder }
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData })
  const [report] = await Promise.race([
    once(worker, 'message'),
    once(worker, 'error').then(([error]) => Promise.reject(error)),
  ])
  return { worker, report }
}

function fdCount(): number {
  return readdirSync('/proc/self/fd').length
}

test('terminate() of pairs with operations in flight leaves no descriptor', LIMIT, async () => {
  await (await start('pending')).terminate()
  const before = fdCount()

  for (let i = 0; i < repetitionCount(10, 3); i++) {
    const workers = await Promise.all([start('pending'), start('pending')])
    await Promise.all(workers.map((worker) => worker.terminate()))
  }

  assert.equal(fdCount(), before)
})

test('terminate() closes the files of a thread', LIMIT, async () => {
  await (await start('parked')).terminate()
  const before = fdCount()

  const worker = await start('holding files')
  const during = fdCount()
  await worker.terminate()

  assert.ok(during >= before + 10)
  assert.equal(fdCount(), before)
})

for (const mode of [
  'opening files',
  'reading large files',
  'making connections',
  'attaching executors',
]) {
  test(`terminate() of threads that are ${mode} leaves no descriptor`, LIMIT, async () => {
    await (await start(mode)).terminate()
    const before = fdCount()

    for (let i = 0; i < THREADS; i++) {
      const worker = await start(mode)
      for (let rounds = (i * 7) % 40; rounds > 0; rounds--) await nextRound()
      await worker.terminate()
    }

    assert.equal(fdCount(), before)
  })
}

test('terminate() of threads that others connect to leaves no descriptor', LIMIT, async () => {
  executor()
  await (await start('accepting connections')).terminate()
  const before = fdCount()

  for (let i = 0; i < THREADS; i++) {
    const { worker, report: port } = await startReporting('accepting connections')
    const connecting = churnConnects(port as number)
    for (let rounds = (i * 7) % 40; rounds > 0; rounds--) await nextRound()
    await worker.terminate()
    await connecting
  }

  assert.equal(fdCount(), before)
})

for (const mode of [
  'parked',
  'parked beside a timer of Node',
  'spinning before it parks',
  'yielding',
  'busy and cooperative',
  'submitting no-ops',
  'busy in one turn',
]) {
  test(`terminate() ends a thread that is ${mode}`, LIMIT, async () => {
    const worker = await start(mode)

    const code = await worker.terminate()

    assert.equal(code, 1)
  })
}
