import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spawn, yieldNow } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'
import { runProgram } from '../time/run-program.ts'

const FOREVER_MS = 3_600_000

/** What Node reports as unhandled while `body` runs, as a JSON array of messages. */
function unhandledOf(body: string): unknown {
  const { status, output, errors } = runProgram(`
    const { spawn, yieldNow } = percore
    const reported = []
    process.on('unhandledRejection', (error) => reported.push(error.code ?? error.message))
    process.on('exit', () => console.log(JSON.stringify(reported)))
    const fail = (message) => { throw new Error(message) }
    ${body}
  `)
  assert.equal(status, 0, errors)
  return JSON.parse(output)
}

test('a task that fails unobserved is reported as unhandled, once', () => {
  assert.deepEqual(unhandledOf(`spawn(() => fail('a')); spawn(async () => fail('b')).detach()`), [
    'a',
    'b',
  ])
})

test('a task that fails observed is not reported', () => {
  assert.deepEqual(
    unhandledOf(`
      await spawn(() => fail('a')).catch(() => {})
      const task = spawn(async () => fail('b'))
      try { await task } catch {}
    `),
    [],
  )
})

test('a cancelled task is not reported, queued or waiting', () => {
  assert.deepEqual(
    unhandledOf(`
      await spawn(() => {}).cancel()
      const task = spawn(() => time.sleep(60_000))
      await yieldNow()
      await yieldNow()
      await task.cancel()
    `),
    [],
  )
})

test('a cancelled task that fails for a reason of its own is reported', () => {
  assert.deepEqual(
    unhandledOf(`
      const task = spawn(() => time.sleep(60_000).catch(() => fail('clean-up')))
      await yieldNow()
      await yieldNow()
      await task.cancel()
    `),
    ['clean-up'],
  )
})

test('cancel() makes a task cancelled though it wraps the error of its wait', async () => {
  const task = spawn(async () => {
    await sleep(FOREVER_MS).catch((cause) => {
      throw new Error('Cannot serve', { cause })
    })
  })
  while (task.state === 'queued') await yieldNow()

  await task.cancel()

  assert.equal(task.state, 'cancelled')
  await assert.rejects(task.then(), { message: 'Cannot serve' })
})

test('cancel() does not wait when a task cancels itself, but its next wait does reject', async () => {
  const task = spawn(async (self): Promise<void> => {
    await self.cancel()
    await sleep(FOREVER_MS)
  })

  await assert.rejects(task.then(), { code: 'ERR_TASK_CANCELLED' })
  assert.equal(task.state, 'cancelled')
})

test('cancel() resolves with the value of a task that finished regardless', async () => {
  const task = spawn(async () => {
    await sleep(FOREVER_MS).catch(() => {})
    return 'all the same'
  })
  while (task.state === 'queued') await yieldNow()

  assert.equal(await task.cancel(), 'all the same')
  assert.equal(task.state, 'fulfilled')
})

/** A thenable that is no promise. */
function thenable(then: (resolve: (value: number) => void) => void): Promise<number> {
  return Object.defineProperty({}, 'then', { value: then }) as Promise<number>
}

test('a task ends though the thenable that it returns settles twice, then throws', async () => {
  const task = spawn(() =>
    thenable((resolve) => {
      resolve(1)
      resolve(2)
      throw new Error('too late')
    }),
  )

  assert.equal(await task, 1)
  assert.equal(task.queue.taskCount, 0)
})

test('a task fails when the thenable that it returns has no readable then', async () => {
  const unreadable = Object.defineProperty({}, 'then', {
    get(): never {
      throw new Error('unreadable')
    },
  })
  const task = spawn(() => unreadable)

  await assert.rejects(task.then(), { message: 'unreadable' })
  assert.equal(task.state, 'rejected')
})
