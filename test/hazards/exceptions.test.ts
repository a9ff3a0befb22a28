/**
 * What user code throws ends the process with Node's own report, and a handler keeps it going.
 *
 * Proof that these can fail: a loop hook that does not hand the exception to Node swallows it;
 * one that charges a turn only when it succeeds makes the run time of its queue negative.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChild, success } from './child.ts'

const THROW = "throw new Error('from user code')"
const FAR = 'operations.expire(3600e9).catch(() => {})'

/** Where user code may throw such that nobody awaits it. */
const PLACES: Record<string, string> = {
  'a nextTick of a task': `percore.spawn(() => process.nextTick(() => { ${THROW} }))`,
  'a nextTick after an await': `operations.nop().then(() => process.nextTick(() => { ${THROW} }))`,
  'a microtask of a task': `percore.spawn(() => queueMicrotask(() => { ${THROW} }))`,
  'a timer that a task has set': `percore.spawn(() => setTimeout(() => { ${THROW} }, 1))`,
  'a listener of an aborted task': `percore.spawn(async (task) => {
    task.signal.addEventListener('abort', () => { ${THROW} })
    process.nextTick(() => task.cancel())
    await time.sleep(3600e3)
  })`,
  "a manager's shares()": `
    let calls = 0
    const manager = { adjustmentPeriodMs: 0, shares: () => { if (++calls === 2) ${THROW}; return 1 } }
    percore.spawnInto(percore.createTaskQueue('managed', { shares: manager }), () => {})`,
  'a detached task, after an await': `percore.spawn(async () => { await operations.nop(); ${THROW} })`,
  'a detached task, at once': `percore.spawn(() => { ${THROW} })`,
}

for (const [place, code] of Object.entries(PLACES)) {
  test(`what ${place} throws ends the process with Node's report`, async () => {
    const result = await runChild(`${FAR}; ${code}; await time.sleep(3600e3)`)

    assert.equal(result.code, 1)
    assert.match(result.errors, /Error: from user code\n {4}at /)
    assert.match(result.errors, /Node\.js v/)
  })

  test(`what ${place} throws goes to a handler, and the program goes on`, async () => {
    const program = `
      const caught = []
      process.on('uncaughtException', (error) => caught.push(error.message))
      ${code}
      while (caught.length === 0) await time.sleep(1)
      await Promise.all([percore.spawn(() => operations.nop()), percore.yieldNow()])
      console.log(caught.join())
    `

    assert.deepEqual(await runChild(program), success('from user code\n'))
  })
}

test('an exception in the middle of many ticks loses none of the others', async () => {
  const program = `
    let count = 0
    process.on('uncaughtException', () => {})
    await percore.spawn(async () => {
      for (let i = 0; i < 100; i++) {
        process.nextTick(() => { count++; if (i % 10 === 0) ${THROW} })
        operations.nop().then(() => { count++ })
      }
    })
    while (count < 200) await time.sleep(1)
    console.log(count)
  `

  assert.deepEqual(await runChild(program), success('200\n'))
})

test('a turn that threw is charged for its own time, not for the sleep before it', async () => {
  const program = `
    process.on('uncaughtException', () => {})
    await percore.spawn(() => {})
    // Node's timer: the last turn is long ago then.
    await new Promise((resolve) => setTimeout(resolve, 200))
    const before = percore.executor().stats().runtimeNs
    await percore.spawn(() => process.nextTick(() => { ${THROW} }))
    await percore.spawn(() => {})
    console.log(percore.executor().stats().runtimeNs >= before)
  `

  assert.deepEqual(await runChild(program), success('true\n'))
})

test('a handler of unhandled rejections gets the failure of a detached task', async () => {
  const program = `
    process.on('unhandledRejection', (reason) => console.log(reason.message))
    percore.spawn(async () => { ${THROW} }).detach()
    await time.sleep(5)
    console.log('on')
  `

  assert.deepEqual(await runChild(program), success('from user code\non\n'))
})
