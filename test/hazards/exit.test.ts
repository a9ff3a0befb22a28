/**
 * A process that ends with operations in flight ends as if it had none.
 *
 * Proof that these can fail: without the cleanup hook of native/loop.c every Node dies of SIGSEGV.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChild, success } from './child.ts'

const ROUNDS = 20

/** Something of every kind, on both rings, none of which ends by itself. */
const START = `
  const { poll, read, expire, MultishotPoll } = operations
  const drop = () => {}
  const start = () => {
    for (let i = 0; i < 3; i++) {
      poll(0).catch(drop)
      read(0, 4096).catch(drop)
      expire(3600e9).catch(drop)
      new MultishotPoll(0)
    }
    time.sleep(3600e3).catch(drop)
  }
  start()
  const urgent = percore.createTaskQueue('urgent', { latency: { maxMs: 2 } })
  await percore.spawnInto(urgent, start)
  percore.needPreempt()
  await operations.nop()
`

const ENDINGS: Record<string, string> = {
  'at once': 'process.exit(0)',
  'in a task': 'percore.spawn(() => process.exit(0))',
  'in a task after an await':
    'percore.spawn(async () => { await operations.nop(); process.exit(0) })',
  'in a timer of Node': 'setTimeout(() => process.exit(0), 5)',
  'in a timer of ours': 'time.sleep(1).then(() => process.exit(0))',
}

for (const [when, ending] of Object.entries(ENDINGS)) {
  test(`process.exit() ${when} ends with operations in flight`, async () => {
    const results = []
    for (let i = 0; i < ROUNDS / Object.keys(ENDINGS).length; i++) {
      results.push(await runChild(START + ending))
    }

    for (const result of results) assert.deepEqual(result, success())
  })
}

test('a program ends by itself with background operations in flight', async () => {
  const program = `
    const { main, latency } = percore.executor().io
    class Background extends operations.CountingOperation {
      arm(ring) {
        ring.sqes.fill(0, ring.begin(), ring.begin() + 16)
        ring.sqes[ring.begin()] = 6 // IORING_OP_POLL_ADD of standard input
        ring.sqes[ring.begin() + 7] = 1
        ring.commitBackground(this)
      }
    }
    for (const ring of [main, latency]) new Background(percore.executor().defaultQueue).arm(ring)
    await operations.nop()
    console.log('end')
  `

  for (let i = 0; i < 3; i++) assert.deepEqual(await runChild(program), success('end\n'))
})

test('a program ends by itself once what was in flight has been cancelled', async () => {
  const program = `
    const controller = new AbortController()
    const { signal } = controller
    const all = [0, 0, 0].flatMap(() => [
      operations.poll(0, { signal }),
      operations.read(0, 512, { signal }),
      operations.expire(3600e9, { signal }),
    ])
    await operations.nop()
    controller.abort(new Error('enough'))
    const outcomes = await Promise.allSettled(all)
    console.log(outcomes.every(({ reason }) => reason?.message === 'enough'))
  `

  assert.deepEqual(await runChild(program), success('true\n'))
})

test('close() leaves a program that ends by itself, whatever was in flight', async () => {
  const program = `${START}
    percore.executor().close()
    console.log('end')
  `

  assert.deepEqual(await runChild(program), success('end\n'))
})
