import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { createTaskQueue, currentTaskQueue, executor, spawn } from '../../src/index.ts'
import { Event } from '../../src/sync/index.ts'
import { once, onceAt, repeat, sleep } from '../../src/time/index.ts'
import { reactorOf } from '../reactor-of.ts'
import { settle } from '../sync/watch.ts'
import { runProgram } from './run-program.ts'

const LONG_MS = 3_600_000

function ignore(): void {}

test('once() runs its action when its time has come, not early', async () => {
  const startNs = executor().nowNs()

  const action = once(1.5, () => executor().nowNs() - startNs)

  const elapsedNs = await action.join()
  assert.ok(elapsedNs! >= 1.5e6)
  assert.equal(action.isArmed, false)
})

test('once() runs its action in the queue that it is given', async () => {
  const queue = createTaskQueue('timed')

  const action = once(0, () => currentTaskQueue().name, { queue })

  assert.equal(await action.join(), 'timed')
})

test('onceAt() of the past runs its action in a later turn', async () => {
  let hasRun = false
  const action = onceAt(0, () => {
    hasRun = true
  })

  assert.equal(hasRun, false)
  await action.join()

  assert.equal(hasRun, true)
})

test('join() rejects with the failure of the action', async () => {
  const action = once(0, async () => {
    throw new Error('action')
  })

  await assert.rejects(action.join(), { message: 'action' })
  await assert.rejects(action.join(), { message: 'action' })
})

test('rearmIn() and rearmAt() set another time, the past included', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const action = once(LONG_MS, () => 'ran')

  assert.equal(action.rearmIn(2 * LONG_MS), true)
  assert.equal(timers.size, sizeBefore + 1)
  assert.equal(action.rearmAt(0), true)

  assert.equal(await action.join(), 'ran')
})

test('rearmIn() returns false once it has fired, or been destroyed', async () => {
  const fired = once(0, () => {})
  await fired.join()
  const destroyed = once(LONG_MS, () => {})
  destroyed.destroy()

  assert.equal(fired.rearmIn(1), false)
  assert.equal(destroyed.rearmAt(0), false)
})

test('destroy() keeps the action from running, and disarms', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const action = once(LONG_MS, () => assert.fail('it runs'))
  const joining = action.join()

  action.destroy()
  action.destroy()

  assert.equal(timers.size, sizeBefore)
  assert.equal(await joining, undefined)
  assert.equal(await action.join(), undefined)
  assert.equal(await action.cancel(), undefined)
})

test('destroy() cancels an action that runs, but not what it spawned', async () => {
  const started = new Event()
  const finish = new Event()
  let spawned: PromiseLike<string> | undefined
  const action = once(0, async () => {
    spawned = spawn(async () => {
      await finish.wait()
      return 'spawned'
    })
    started.set()
    await sleep(LONG_MS)
  })
  await started.wait()

  action.destroy()

  assert.equal(await action.join(), undefined)
  finish.set()
  assert.equal(await spawned, 'spawned')
})

test('cancel() resolves with the value of an action that has ended', async () => {
  const action = once(0, () => 'value')
  await action.join()

  assert.equal(await action.cancel(), 'value')
})

test('aborting the signal of once() destroys it', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const controller = new AbortController()
  const action = once(LONG_MS, () => assert.fail('it runs'), { signal: controller.signal })

  controller.abort()

  assert.equal(timers.size, sizeBefore)
  assert.equal(await action.join(), undefined)
})

test('aborting the signal of once() cancels an action that runs', async () => {
  const controller = new AbortController()
  const started = new Event()
  const action = once(
    0,
    async () => {
      started.set()
      await sleep(LONG_MS)
    },
    { signal: controller.signal },
  )
  await started.wait()

  controller.abort()

  assert.equal(await action.join(), undefined)
})

test('join() rejects with ERR_QUEUE_NOT_FOUND if the queue was removed meanwhile', async () => {
  const queue = createTaskQueue('gone')
  const action = once(1, () => {}, { queue })

  queue.remove()

  await assert.rejects(action.join(), { code: 'ERR_QUEUE_NOT_FOUND' })
})

test('cancelling the task that called once() leaves the action', async () => {
  let action: ReturnType<typeof once<string>> | undefined
  const armed = new Event()
  const task = spawn(async () => {
    action = once(1, () => 'ran')
    armed.set()
    await sleep(LONG_MS)
  })
  await armed.wait()

  await task.cancel()

  assert.equal(await action!.join(), 'ran')
})

test('repeat() runs until the action returns no delay, each delay from the end of a run', async () => {
  const startNs = executor().nowNs()
  let count = 0

  const repeated = repeat(async () => (++count < 10 ? 0.5 : undefined))
  await repeated.join()

  assert.equal(count, 10)
  assert.equal(repeated.runCount, 10)
  assert.ok(executor().nowNs() - startNs >= 9 * 0.5e6)
})

test('destroy() stops a repetition that waits, and disarms', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const repeated = repeat(() => LONG_MS)
  await settle()
  assert.equal(timers.size, sizeBefore + 1)

  repeated.destroy()
  await repeated.join()

  assert.equal(timers.size, sizeBefore)
  assert.equal(repeated.runCount, 1)
})

test('cancel() stops a repetition before its first run', async () => {
  const repeated = repeat(() => assert.fail('it runs'))

  await repeated.cancel()

  assert.equal(repeated.runCount, 0)
})

test('aborting the signal of repeat() stops it', async () => {
  const controller = new AbortController()
  const repeated = repeat(() => LONG_MS, { signal: controller.signal })
  await settle()

  controller.abort()

  await repeated.join()
})

test('repeat() rejects join() if the action fails, or returns a wrong delay', async () => {
  const failing = repeat(() => {
    throw new Error('action')
  })
  const wrong = repeat(() => -1)
  const outcomes = await Promise.allSettled([failing.join(), wrong.join()])

  const reasons = outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason)
  assert.equal(reasons[0].message, 'action')
  assert.ok(reasons[1] instanceof RangeError)
})

test('arguments of the wrong kind are refused', () => {
  const nothing = (): void => {}

  assert.throws(() => once(-1, nothing), RangeError)
  assert.throws(() => once(1, 5 as never), TypeError)
  assert.throws(() => once(1, nothing, { queue: {} as never }), TypeError)
  assert.throws(() => once(1, nothing, { signal: AbortSignal.abort(new Error('before')) }), {
    message: 'before',
  })
  assert.throws(() => onceAt(Number.NaN, nothing), RangeError)
  assert.throws(() => repeat(5 as never), TypeError)
})

test('a program does not stay alive for actions with keepsAlive: false', () => {
  const { status, output, errors } = runProgram(`
    time.once(${LONG_MS}, () => {}, { keepsAlive: false })
    time.repeat(() => { console.log('ran'); return ${LONG_MS} }, { keepsAlive: false })
  `)

  assert.deepEqual([status, output, errors], [0, 'ran\n', ''])
})

test('actions run in the asynchronous context of who timed them', async () => {
  const storage = new AsyncLocalStorage<string>()

  const seen = await storage.run('of the caller', () =>
    Promise.all([
      once(0, () => storage.getStore()).join(),
      onceAt(0, () => storage.getStore()).join(),
      new Promise((resolve) => {
        repeat(() => {
          resolve(storage.getStore())
          return null
        })
      }),
    ]),
  )

  assert.deepEqual(seen, ['of the caller', 'of the caller', 'of the caller'])
})

test('actions of one signal have one listener on it, and none when they have ended', async () => {
  const { signal } = new AbortController()
  const actions = Array.from({ length: 20 }, () => once(LONG_MS, ignore, { signal }))
  const repeats = Array.from({ length: 20 }, () => repeat(() => LONG_MS, { signal }))

  assert.equal(getEventListeners(signal, 'abort').length, 1)

  for (const action of actions) action.destroy()
  await Promise.all(repeats.map((action) => action.cancel()))
  await once(0, ignore, { signal }).join()
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})
