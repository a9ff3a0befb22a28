/**
 * `worker.terminate()` ends a thread whatever its loop does, and leaves nothing behind.
 *
 * Proof that these can fail: without the cleanup hook of native/loop.c the process dies of SIGSEGV;
 * with a loop that does not leave on a failed callback the thread spins, and terminate() never ends;
 * without the closing of tracked descriptors the count of them grows.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createPipe } from './pipe.ts'

const LIMIT = { timeout: 30_000 }
const pipe = createPipe()
after(() => pipe.close())

async function start(mode: string): Promise<Worker> {
  const workerData = { mode, fd: pipe.readFd }
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData })
  await Promise.race([
    once(worker, 'message'),
    once(worker, 'error').then(([error]) => Promise.reject(error)),
  ])
  return worker
}

function fdCount(): number {
  return readdirSync('/proc/self/fd').length
}

test('terminate() twenty times with operations in flight leaves no descriptor', LIMIT, async () => {
  await (await start('pending')).terminate()
  const before = fdCount()

  for (let i = 0; i < 10; i++) {
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
