import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor, spawn } from '../../src/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { sleep, timeout } from '../../src/time/index.ts'
import { reactorOf } from '../reactor-of.ts'
import { settle } from '../sync/watch.ts'

const LONG_MS = 3_600_000

test('timeout() resolves as the work does, and leaves no timer', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size

  assert.equal(await timeout(LONG_MS, async () => 1), 1)
  assert.equal(await timeout(LONG_MS, () => 2), 2)
  assert.equal(await timeout(LONG_MS, Promise.resolve(3)), 3)
  assert.equal(
    await timeout(
      LONG_MS,
      spawn(() => 4),
    ),
    4,
  )

  assert.equal(timers.size, sizeBefore)
})

test('timeout() of a promise whose then() throws rejects once, and leaves no timer', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const thrower = {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    then: (): never => {
      throw new Error('then')
    },
  }

  await assert.rejects(timeout(LONG_MS, thrower), { message: 'then' })
  await assert.rejects(
    timeout(LONG_MS, () => thrower),
    { message: 'then' },
  )
  await assert.rejects(timeout(-1, thrower), RangeError)
  const getter = {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    get then(): never {
      throw new Error('get')
    },
  }
  await assert.rejects(timeout(LONG_MS, getter as never), { message: 'get' })
  const own = Object.assign(Promise.resolve(), thrower)
  await assert.rejects(timeout(-1, own), RangeError)

  assert.equal(timers.size, sizeBefore)
})

test('timeout() keeps what work that settles twice has delivered', async () => {
  let disposedCount = 0
  const resource = { [Symbol.dispose]: () => disposedCount++ }
  const twice = {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    then: (resolve: (value: unknown) => void) => {
      resolve(resource)
      resolve(resource)
    },
  }

  assert.equal(await timeout(LONG_MS, () => twice as never), resource)
  await settle()

  assert.equal(disposedCount, 0)
})

test('timeout() rejects as the work does, and leaves no timer', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const fail = (): never => {
    throw new Error('work')
  }

  await assert.rejects(timeout(LONG_MS, fail), { message: 'work' })
  await assert.rejects(
    timeout(LONG_MS, async () => fail()),
    { message: 'work' },
  )
  await assert.rejects(timeout(LONG_MS, Promise.reject(new Error('work'))), { message: 'work' })

  assert.equal(timers.size, sizeBefore)
})

test('timeout() rejects with ERR_TASK_TIMEOUT, not early, and aborts the signal', async () => {
  const startNs = executor().nowNs()
  let seen: AbortSignal | undefined

  const bounded = timeout(2, (signal) => {
    seen = signal
    return new Promise<void>(() => {})
  })

  await assert.rejects(bounded, { code: 'ERR_TASK_TIMEOUT' })
  assert.ok(executor().nowNs() - startNs >= 2e6)
  assert.equal(seen?.aborted, true)
  assert.equal(seen?.reason.code, 'ERR_TASK_TIMEOUT')
})

test('timeout() cancels a task that is too late', async () => {
  const task = spawn(() => sleep(LONG_MS))

  await assert.rejects(timeout(1, task), { code: 'ERR_TASK_TIMEOUT' })
  await task.cancel()

  assert.equal(task.state, 'cancelled')
})

test('timeout() disarms the timers of the work that it cancels', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size

  await assert.rejects(
    timeout(1, (signal) => sleep(LONG_MS, { signal })),
    { code: 'ERR_TASK_TIMEOUT' },
  )

  assert.equal(timers.size, sizeBefore)
})

test('timeout() ends with its signal, and cancels the work', async () => {
  const controller = new AbortController()
  let seen: AbortSignal | undefined
  const bounded = timeout(
    LONG_MS,
    (signal) => {
      seen = signal
      return sleep(LONG_MS, { signal })
    },
    { signal: controller.signal },
  )

  controller.abort(new Error('gone'))

  await assert.rejects(bounded, { message: 'gone' })
  assert.equal(seen?.aborted, true)
})

test('timeout() of an aborted signal does not call the work', async () => {
  const signal = AbortSignal.abort(new Error('before'))

  await assert.rejects(
    timeout(1, () => assert.fail('it is called'), { signal }),
    { message: 'before' },
  )
})

test('timeout() is cancelled with the task that it is called from', async () => {
  let seen: AbortSignal | undefined
  const task = spawn(() =>
    timeout(LONG_MS, (signal) => {
      seen = signal
      return new Promise<void>(() => {})
    }),
  )
  await settle()

  await task.cancel()

  assert.equal(task.state, 'cancelled')
  assert.equal(seen?.reason.code, 'ERR_TASK_CANCELLED')
})

test('timeout() disposes of what its function delivers too late', async () => {
  const semaphore = new Semaphore(1)
  let deliver = (): void => {}
  const bounded = timeout(1, async () => {
    await new Promise<void>((resolve) => {
      deliver = resolve
    })
    return semaphore.acquire()
  })
  await assert.rejects(bounded, { code: 'ERR_TASK_TIMEOUT' })

  deliver()
  await settle()
  await settle()

  assert.equal(semaphore.available, 1)
})

test('a late failure of the work is nobody’s', async () => {
  let fail = (_error: Error): void => {}
  const work = new Promise<void>((_, reject) => {
    fail = reject
  })
  await assert.rejects(timeout(0, work), { code: 'ERR_TASK_TIMEOUT' })

  fail(new Error('late'))
  await settle()
})

test('arguments of the wrong kind are refused', async () => {
  await assert.rejects(
    timeout(-1, () => 1),
    RangeError,
  )
  await assert.rejects(timeout(1, 5 as never), TypeError)
})
