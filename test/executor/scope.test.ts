import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  createTaskQueue,
  type RuntimeError,
  type Scope,
  scope,
  spawn,
  type Task,
  yieldNow,
} from '../../src/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'

const FOREVER_MS = 3_600_000

function fail(message: string): never {
  throw new Error(message)
}

test('scope() resolves to what its body returns, once every task has ended', async () => {
  const ended: string[] = []

  const value = await scope((s) => {
    s.spawn(async () => {
      await yieldNow()
      ended.push('task')
    })
    return 42
  })

  assert.equal(value, 42)
  assert.deepEqual(ended, ['task'])
})

test('scope() waits for tasks that its tasks have spawned', async () => {
  const ended: number[] = []
  const nest = (s: Scope, depth: number): Task<void> =>
    s.spawn(async () => {
      if (depth < 4) nest(s, depth + 1)
      await yieldNow()
      ended.push(depth)
    })

  await scope((s) => void nest(s, 0))

  assert.deepEqual(
    ended.sort((a, b) => a - b),
    [0, 1, 2, 3, 4],
  )
})

test('Scope.spawnInto() runs the task in its queue', async () => {
  const queue = createTaskQueue('other')

  const name = await scope((s) => s.spawnInto(queue, (task) => task.queue.name))

  assert.equal(name, 'other')
  queue.remove()
})

test('scope() rejects with the failure of a task, after cancelling and awaiting the others', async () => {
  const events: string[] = []
  const error = new Error('no luck')

  const result = scope(async (s) => {
    s.spawn(async () => {
      try {
        await sleep(FOREVER_MS)
      } finally {
        await yieldNow()
        events.push('cleaned up')
      }
    })
    s.spawn(async () => {
      await yieldNow()
      throw error
    })
    await sleep(FOREVER_MS)
    events.push('unreachable')
  })

  await assert.rejects(result, (thrown) => thrown === error)
  assert.deepEqual(events, ['cleaned up'])
})

test('scope() rejects with the failure of its body, after cancelling its tasks', async () => {
  let task: Task<void> | undefined

  const result = scope((s) => {
    task = s.spawn(() => sleep(FOREVER_MS))
    fail('of the body')
  })

  await assert.rejects(result, { message: 'of the body' })
  assert.equal(task!.state, 'cancelled')
})

test('scope() lists an error once, though the body awaits the task that failed', async () => {
  const result = scope((s) => s.spawn(() => fail('once')))

  await assert.rejects(result, { name: 'Error', message: 'once' })
})

test('scope() fails with a task, though its body has caught the failure', async () => {
  const result = scope((s) => s.spawn(() => fail('caught')).catch(() => 'fine'))

  await assert.rejects(result, { message: 'caught' })
})

test('scope() rejects with an AggregateError when tasks fail while they are being cancelled', async () => {
  const result = scope((s) => {
    s.spawn(async () => {
      try {
        await sleep(FOREVER_MS)
      } finally {
        fail('second')
      }
    })
    s.spawn(() => fail('first'))
  })

  await assert.rejects(result, (error: AggregateError) => {
    assert.ok(error instanceof AggregateError)
    assert.equal((error as { code?: string }).code, 'ERR_SCOPE_FAILED')
    assert.deepEqual(
      error.errors.map(({ message }) => message),
      ['first', 'second'],
    )
    assert.equal(error.cause, error.errors[0])
    return true
  })
})

test('scope() takes an AbortError of its own signal for no second failure', async () => {
  const result = scope((s) => {
    s.spawn(
      () =>
        new Promise((_, reject) => {
          s.signal.addEventListener('abort', () =>
            reject(new Error('Aborted', { cause: s.signal.reason })),
          )
        }),
    )
    s.spawn(() => fail('first'))
  })

  await assert.rejects(result, { name: 'Error', message: 'first' })
})

test('scope() is not failed by a task that is cancelled by itself', async () => {
  const value = await scope(async (s) => {
    await s.spawn(() => sleep(FOREVER_MS)).cancel()
    return 'done'
  })

  assert.equal(value, 'done')
})

test('scope() rejects with the reason of its signal, after cancelling its tasks', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  let task: Task<void> | undefined

  const result = scope(
    (s) => {
      task = s.spawn(() => sleep(FOREVER_MS))
      controller.abort(reason)
    },
    { signal: controller.signal },
  )

  await assert.rejects(result, (thrown) => thrown === reason)
  assert.equal(task!.state, 'cancelled')
})

test('scope() does not begin its body when its signal is aborted already', async () => {
  let isBegun = false
  const signal = AbortSignal.abort(new Error('before'))

  const result = scope(
    () => {
      isBegun = true
    },
    { signal },
  )

  await assert.rejects(result, { message: 'before' })
  assert.equal(isBegun, false)
})

test('scope() rejects with ERR_TASK_TIMEOUT and cancels its tasks when its time is up', async () => {
  await simulate(1, async () => {
    const states: string[] = []

    const result = scope(
      async (s) => {
        const task = s.spawn(() => sleep(FOREVER_MS))
        await task.catch((error) => states.push((error as RuntimeError).code))
      },
      { timeoutMs: 1000 },
    )

    await assert.rejects(result, { code: 'ERR_TASK_TIMEOUT' })
    assert.deepEqual(states, ['ERR_TASK_CANCELLED'])
  })
})

test('scope() is cancelled with the task that it is called from', async () => {
  let inner: Task<void> | undefined
  const outer = spawn(() =>
    scope((s) => {
      inner = s.spawn(() => sleep(FOREVER_MS))
    }),
  )
  while (inner === undefined) await yieldNow()

  await outer.cancel()

  assert.equal(inner.state, 'cancelled')
  assert.equal(outer.state, 'cancelled')
})

test('scope() within a scope is cancelled with it', async () => {
  let inner: Task<void> | undefined

  const result = scope((s) => {
    s.spawn(() =>
      scope((nested) => {
        inner = nested.spawn(() => sleep(FOREVER_MS))
      }),
    )
    s.spawn(async () => {
      while (inner === undefined) await yieldNow()
      fail('of the outer')
    })
  })

  await assert.rejects(result, { name: 'Error', message: 'of the outer' })
  assert.equal(inner!.state, 'cancelled')
})

test('Scope.spawn() throws ERR_SCOPE_ENDED once the scope has ended', async () => {
  const ended = await scope((s) => s)

  assert.equal(ended.isEnded, true)
  assert.throws(() => ended.spawn(() => {}), { code: 'ERR_SCOPE_ENDED' })
})

test('Scope.spawn() gives a task that never starts while the scope is being cancelled', async () => {
  let late: Task<never> | undefined

  const result = scope((s) => {
    s.spawn(async () => {
      try {
        await sleep(FOREVER_MS)
      } finally {
        late = s.spawn(() => assert.fail('it must not start'))
      }
    })
    s.spawn(() => fail('first'))
  })

  await assert.rejects(result, { message: 'first' })
  assert.equal(late!.state, 'cancelled')
  await assert.rejects(late!, { code: 'ERR_TASK_CANCELLED' })
})

test('scope() ends the waits of its tasks for permits, and loses none', async () => {
  const semaphore = new Semaphore(1)
  using held = semaphore.tryAcquire()!

  const result = scope((s) => {
    s.spawn(() => semaphore.acquire())
    s.spawn(() => fail('first'))
  })

  await assert.rejects(result, { message: 'first' })
  held[Symbol.dispose]()
  assert.notEqual(semaphore.tryAcquire(), null)
})

test('Scope.signal is aborted by a failure, with it as the reason', async () => {
  let signal: AbortSignal | undefined

  const result = scope((s) => {
    signal = s.signal
    s.spawn(() => fail('first'))
  })

  await assert.rejects(result, (error) => error === signal!.reason)
})

test('scope() rejects with a TypeError for what is no function, and for options of the wrong kind', async () => {
  await assert.rejects(scope(5 as never), TypeError)
  await assert.rejects(
    scope(() => {}, { timeoutMs: 'soon' as never }),
    TypeError,
  )
  await assert.rejects(
    scope((s) => s.spawn(5 as never)),
    TypeError,
  )
})

interface Plan {
  readonly waits: number
  readonly outcome: 'return' | 'throw' | 'hang'
  readonly children: readonly Plan[]
}

const { plan } = fc.letrec<{ plan: Plan }>((tie) => ({
  plan: fc.record({
    waits: fc.nat(3),
    outcome: fc.oneof(
      { weight: 6, arbitrary: fc.constant('return' as const) },
      { weight: 1, arbitrary: fc.constant('throw' as const) },
      { weight: 1, arbitrary: fc.constant('hang' as const) },
    ),
    children: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'plan' },
      fc.constant([]),
      fc.array(tie('plan'), { maxLength: 3 }),
    ),
  }),
}))

test('scope() leaves nothing running, whatever fails, hangs or is aborted when', async () => {
  await fc.assert(
    fc.asyncProperty(plan, fc.nat(12), async (root, abortAfter) => {
      const tasks: Task<void>[] = []
      const controller = new AbortController()
      const follow = async (s: Scope, { waits, outcome, children }: Plan): Promise<void> => {
        for (const child of children) tasks.push(s.spawn(() => follow(s, child)))
        for (let i = 0; i < waits; i++) await yieldNow()
        if (outcome === 'throw') fail('planned')
        if (outcome === 'hang') await sleep(FOREVER_MS)
      }

      const result = scope((s) => follow(s, root), { signal: controller.signal }).catch(() => {})
      for (let i = 0; i < abortAfter; i++) await yieldNow()
      controller.abort(new Error('aborted'))
      await result

      assert.ok(tasks.every(({ isDone }) => isDone))
    }),
    { numRuns: 200 },
  )
})
