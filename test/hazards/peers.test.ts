/**
 * Every other executor of a process learns of the end of one, however that comes.
 *
 * Proof that these can fail: without directory_tell() of native/directory.c the tests wait for ever, and without the message
 * it posts into rings those do whose listener is parked.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { after, test } from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Prng } from '../../src/base/index.ts'
import { attachExecutor, executor } from '../../src/index.ts'
import { limited, repetitionCount } from '../limits.ts'
import { runChild, success } from './child.ts'

const LIMIT = limited(60_000)
const SEED_COUNT = repetitionCount(12, 3)

interface Started {
  readonly worker: Worker
  readonly id: number
}

async function start(mode: string): Promise<Started> {
  const worker = new Worker(new URL('./peers-worker.js', import.meta.url), { workerData: { mode } })
  worker.on('error', () => {})
  const [id] = await once(worker, 'message')
  return { worker, id }
}

/** Resolves when this thread's executor has learnt that another has ended; keeps the program alive meanwhile. */
function ended(id: number): Promise<void> {
  const { doorbell, liveness } = executor()
  liveness.hold()
  return new Promise((resolve) => {
    doorbell.onPeerEnded(id, () => {
      liveness.letGo()
      resolve()
    })
  })
}

after(() => executor().leave())

for (const mode of [
  'ends by itself',
  'closes its executor and goes on',
  'calls process.exit()',
  'throws',
]) {
  test(`onPeerEnded() tells of a thread that ${mode}`, LIMIT, async () => {
    const { worker, id } = await start(mode)

    await ended(id)

    assert.equal(executor().doorbell.isEnded(id), true)
    await worker.terminate()
  })
}

for (const mode of ['sleeps for ever', 'runs for ever', 'is stuck in one turn']) {
  test(`onPeerEnded() tells of a thread terminated at any moment that ${mode}`, LIMIT, async () => {
    for (let seed = 0; seed < SEED_COUNT; seed++) {
      const prng = new Prng(seed)
      const { worker, id } = await start(mode)
      const learnt = ended(id)
      for (let rounds = prng.int(0, 200); rounds > 0; rounds--) await nextRound()

      await Promise.all([learnt, worker.terminate()])

      assert.equal(executor().doorbell.isEnded(id), true)
    }
  })
}

test(
  'onPeerEnded() tells of one that had ended before, and not what was taken back',
  LIMIT,
  async () => {
    const { worker, id } = await start('sleeps for ever')
    const told: string[] = []
    const takeBack = executor().doorbell.onPeerEnded(id, () => told.push('taken back'))
    takeBack()
    await worker.terminate()

    await ended(id)

    assert.deepEqual(told, [])
  },
)

test(
  'ring() does nothing for one that has ended, nor for who has its slot now',
  LIMIT,
  async () => {
    const old = await start('sleeps for ever')
    await old.worker.terminate()
    const next = await start('sleeps for ever')
    const { doorbell, kernel } = executor()
    assert.equal(next.id & 1023, old.id & 1023)
    const { inboxes } = kernel.directory.slot(next.id & 1023)

    doorbell.ring(old.id, 77)

    assert.equal(inboxes[2], 0)
    await next.worker.terminate()
  },
)

test('a thousand executors of one thread leave no descriptor', LIMIT, async () => {
  const options = { ringDepth: 8, ioMemoryBytes: 1 << 16 }
  executor().leave()
  const before = readdirSync('/proc/self/fd').length
  const ids = new Set<number>()
  for (let count = 0; count < 1_000; count++) {
    const attached = attachExecutor(options)
    ids.add(attached.doorbell.address)
    attached.leave()
  }

  assert.equal(readdirSync('/proc/self/fd').length, before)
  assert.equal(ids.size, 1_000)
})

test('a child process has a directory of its own', LIMIT, async () => {
  const { usedCount } = executor().kernel.directory
  const child = await runChild(`
    const { directory } = percore.executor().kernel
    console.log(directory.usedCount)
  `)

  assert.deepEqual(child, success('2\n'))
  assert.equal(executor().kernel.directory.usedCount, usedCount)
})
