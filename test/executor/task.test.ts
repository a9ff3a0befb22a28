import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createTaskQueue,
  currentTaskQueue,
  executor,
  spawn,
  spawnInto,
  type Task,
  yieldNow,
} from '../../src/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { sleep } from '../../src/time/index.ts'
import { createPipe } from '../hazards/pipe.ts'
import { nop, poll } from './operations.ts'

const LONG_MS = 3_600_000
/** Operations that are refused at once throw: here it is all the same. */
async function attempt(wait: () => Promise<unknown>): Promise<void> {
  await wait()
}

const cancelled = { code: 'ERR_TASK_CANCELLED' }

test('spawn() starts the task in a later turn', async () => {
  const order: string[] = []

  const task = spawn(() => order.push('task'))
  order.push('caller')
  await Promise.resolve()
  order.push('microtask')
  await task

  assert.deepEqual(order, ['caller', 'microtask', 'task'])
})

test('tasks of a queue start in the order in which they were spawned', async () => {
  const order: number[] = []

  await Promise.all(Array.from({ length: 3000 }, (_, i) => spawn(() => order.push(i))))

  assert.deepEqual(
    order,
    Array.from({ length: 3000 }, (_, i) => i),
  )
})

test('a task resolves with what its body returns, of whatever kind', async () => {
  // biome-ignore lint/suspicious/noThenProperty: what other libraries return
  const thenable = { then: (resolve: (value: number) => void) => resolve(3) }

  assert.equal(await spawn(() => 1), 1)
  assert.equal(await spawn(async () => 2), 2)
  assert.equal(await spawn(() => thenable as PromiseLike<number>), 3)
  assert.equal(await spawn(() => undefined), undefined)
  assert.equal(await spawn(() => null), null)
  assert.equal(await spawn(() => spawn(() => 4)), 4)
})

test('a thenable that throws, or settles twice, ends its task once', async () => {
  const queue = createTaskQueue('thenables')
  const throws = {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    then: () => {
      throw new Error('no')
    },
  }
  const twice = {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    then: (resolve: (value: number) => void, reject: (error: Error) => void) => {
      resolve(1)
      reject(new Error('late'))
      resolve(2)
    },
  }

  await assert.rejects(async () => spawnInto(queue, () => throws as never), { message: 'no' })
  assert.equal(await spawnInto(queue, () => twice as PromiseLike<number>), 1)

  assert.equal(queue.stats().taskCount, 0)
  queue.remove()
})

test('what comes of a promise of another kind is work of the task, and ends it once', async () => {
  const queue = createTaskQueue('kinds')
  const work = async (): Promise<string> => {
    const { name } = currentTaskQueue()
    await sleep(LONG_MS)
    return name
  }
  let startedIn = ''
  class Lazy extends Promise<never> {
    // biome-ignore lint/suspicious/noThenProperty: where such promises begin their work
    override then(...ends: unknown[]): Promise<never> {
      startedIn = currentTaskQueue().name
      return work().then(...(ends as [])) as Promise<never>
    }
  }
  class Thrower extends Promise<never> {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    override then(): Promise<never> {
      throw new Error('then')
    }
  }
  class Twice extends Promise<number> {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    override then(...ends: unknown[]): Promise<never> {
      const [resolve, reject] = ends as [(value: number) => void, (error: Error) => void]
      resolve(1)
      resolve(2)
      reject(new Error('late'))
      return new Promise(() => {})
    }
  }
  const open: { resolve: ((value: number) => void) | null } = { resolve: null }
  const callable = Object.assign(() => {}, {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    then: (resolve: (value: number) => void) => {
      open.resolve = resolve
    },
  })
  const pending = (): void => {}
  const run = (body: (own: unknown) => unknown): Task<number> =>
    spawnInto(queue, body as () => Promise<number>)

  const lazy = run(() => new Lazy(pending))
  while (startedIn === '') await yieldNow()
  assert.equal(startedIn, 'kinds')
  await lazy.cancel()
  assert.equal(lazy.state, 'cancelled')
  await assert.rejects(async () => run(() => new Thrower(pending)), { message: 'then' })
  await assert.rejects(async () => run(() => new Proxy(Promise.resolve(1), {})), TypeError)
  assert.equal(await run(() => new Twice(pending)), 1)
  const called = run(() => callable)
  while (open.resolve === null) await yieldNow()
  assert.equal(called.isDone, false)
  open.resolve(7)
  assert.equal(await called, 7)
  await assert.rejects(async () => run((own) => own), TypeError)

  assert.equal(queue.stats().taskCount, 0)
  queue.remove()
})

test('a cancelled task ends whatever it fails with', async () => {
  const queue = createTaskQueue('causes')
  const failure = new Error('no')
  Object.defineProperty(failure, 'cause', {
    get: () => {
      throw new Error('cause')
    },
  })
  const task = spawnInto(queue, async () => {
    await sleep(LONG_MS).catch(() => {
      throw failure
    })
  })
  while (task.state === 'queued') await yieldNow()

  await task.cancel()

  await assert.rejects(async () => task, failure)
  assert.equal(task.state, 'rejected')
  queue.remove()
})

test('a task goes from queued to running to fulfilled', async () => {
  const states: string[] = []

  const task = spawn(async (own) => {
    states.push(own.state)
    await yieldNow()
  })
  states.unshift(task.state)
  assert.equal(task.isDone, false)
  await task

  assert.deepEqual([...states, task.state], ['queued', 'running', 'fulfilled'])
  assert.ok(task.isDone && !task.isCancelled)
})

test("a failure is its own task's alone", async () => {
  const others = [spawn(() => nop()), spawn(async () => yieldNow())]
  const sync = spawn(() => {
    throw new Error('at once')
  })
  const later = spawn(async () => {
    await nop()
    throw new Error('later')
  })

  await assert.rejects(async () => sync, { message: 'at once' })
  await assert.rejects(async () => later, { message: 'later' })

  assert.deepEqual([sync.state, later.state], ['rejected', 'rejected'])
  await Promise.all(others)
})

test('then(), catch() and finally() are those of a promise', async () => {
  let isFinal = false
  const failing = (): Task<number> => spawn<number>(() => Promise.reject(new Error('no')))

  assert.equal(await spawn(() => 1).then((value) => value + 1), 2)
  assert.equal(await failing().catch((error) => (error as Error).message), 'no')
  assert.equal(await failing().then(null, () => 5), 5)
  await spawn(() => {}).finally(() => {
    isFinal = true
  })

  assert.ok(isFinal)
})

test('the name of a task is that of its body, or the one given', () => {
  assert.equal(spawn(function walk() {}).name, 'walk')
  assert.equal(spawn(() => {}).name, 'anonymous')
  assert.equal(spawn(() => {}, { name: 'given' }).name, 'given')
})

test('cancel() of a queued task keeps it from starting', async () => {
  let hasRun = false
  const task = spawn(() => {
    hasRun = true
  })

  const value = await task.cancel()

  assert.deepEqual(
    [hasRun, value, task.state, task.isCancelled],
    [false, undefined, 'cancelled', true],
  )
  await assert.rejects(async () => task, cancelled)
})

test('cancel() ends what a task waits for, of every kind', async (t) => {
  const pipe = createPipe()
  t.after(() => pipe.close())
  const semaphore = new Semaphore(0)
  const waits: Record<string, () => Promise<unknown>> = {
    operation: () => poll(pipe.readFd),
    sleep: () => sleep(LONG_MS),
    permit: () => semaphore.acquire(),
    all: () => Promise.all([poll(pipe.readFd), sleep(LONG_MS), semaphore.acquire()]),
    nested: async () => {
      const inner = async (): Promise<void> => void (await sleep(LONG_MS))
      await inner()
    },
  }

  for (const wait of Object.values(waits)) {
    const task = spawn(wait)
    await yieldNow()
    await nop()
    assert.equal(task.state, 'running')

    await task.cancel()

    assert.equal(task.state, 'cancelled')
    await assert.rejects(async () => task, cancelled)
  }
  assert.equal(executor().stats().inFlightCount, 0)
  assert.equal(executor().stats().timerCount, 0)
})

test('cancel() waits for the end of a task that cleans up', async () => {
  const order: string[] = []
  const task = spawn(async () => {
    try {
      await sleep(LONG_MS)
    } finally {
      // Not a wait of ours, which would be refused: the clean-up goes on.
      await new Promise((resolve) => setTimeout(resolve, 5))
      order.push('cleaned up')
    }
  })
  await yieldNow()

  await task.cancel()
  order.push('cancelled')

  assert.deepEqual(order, ['cleaned up', 'cancelled'])
})

test('a cancelled task is refused every further wait', async () => {
  const refusals: unknown[] = []
  const task = spawn(async () => {
    for (const wait of [() => sleep(LONG_MS), () => nop(), () => sleep(0)]) {
      await attempt(wait).catch((error: { code: string }) => refusals.push(error.code))
    }
    return 'regardless'
  })
  await yieldNow()

  const value = await task.cancel()

  assert.deepEqual(refusals, Array(3).fill('ERR_TASK_CANCELLED'))
  assert.deepEqual([value, task.state], ['regardless', 'fulfilled'])
  assert.equal(await task, 'regardless')
})

test('cancel() after the end resolves with the value, and changes nothing', async () => {
  const task = spawn(() => 7)
  await task

  assert.equal(await task.cancel(), 7)
  assert.deepEqual([task.state, task.isCancelled], ['fulfilled', false])
})

test('cancel() twice is one cancellation', async () => {
  const task = spawn(() => sleep(LONG_MS))
  await yieldNow()

  const outcomes = await Promise.all([task.cancel(), task.cancel()])

  assert.deepEqual(outcomes, [undefined, undefined])
})

test('the signal of a task is aborted with it, also if it is asked for later', async () => {
  const task = spawn(async (own) => {
    const { signal } = own
    await sleep(LONG_MS).catch(() => {})
    return [signal.aborted, (signal.reason as { code: string }).code]
  })
  const late = spawn(async (own) => {
    await sleep(LONG_MS).catch(() => {})
    return own.signal.aborted
  })
  await yieldNow()

  assert.deepEqual(await task.cancel(), [true, 'ERR_TASK_CANCELLED'])
  assert.equal(await late.cancel(), true)
})

test('cancelling a task leaves the tasks that it has spawned', async () => {
  let inner: Task<void> | undefined
  const task = spawn(async () => {
    inner = spawn(() => sleep(5))
    await sleep(LONG_MS)
  })
  await yieldNow()
  await yieldNow()

  await task.cancel()
  await inner

  assert.equal(inner?.state, 'fulfilled')
})

test('no task is left in its queue, however it ended', async () => {
  const queue = createTaskQueue('ends')
  const ends = [
    spawnInto(queue, () => {}),
    spawnInto(queue, () => Promise.reject(new Error('failed'))),
    spawnInto(queue, () => sleep(LONG_MS)),
    spawnInto(queue, () => {
      throw new Error('thrown')
    }),
  ]
  const queued = spawnInto(queue, () => {})
  await queued.cancel()
  void ends[2]!.cancel()

  await Promise.allSettled(ends)

  assert.equal(queue.stats().taskCount, 0)
  queue.remove()
})

test('a task runs in the queue that it was spawned into', async () => {
  const queue = createTaskQueue('own')

  const seen = await spawnInto(queue, async () => {
    const atFirst = currentTaskQueue()
    await nop()
    return [atFirst, currentTaskQueue(), await spawn(() => currentTaskQueue())]
  })

  assert.ok(seen.every((one) => one === queue))
  assert.equal(currentTaskQueue(), executor().defaultQueue)
})

test('a task is a promise, and what is derived from it is a plain one', async () => {
  const task = spawn(() => 1)

  assert.ok(task instanceof Promise)
  assert.equal(Promise.resolve(task), task, 'await wraps it in no other')
  const derived = task.then((value) => value + 1)
  assert.equal(Object.getPrototypeOf(derived), Promise.prototype)
  assert.equal(await derived, 2)
  assert.deepEqual(await Promise.all([task, task.finally(() => {})]), [1, 1])
})
