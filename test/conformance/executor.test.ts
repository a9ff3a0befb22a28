/** Glommio's behaviours of executors and tasks, by their numbers in its own tests' order. */

import assert from 'node:assert/strict'
import { writeSync } from 'node:fs'
import { test } from 'node:test'
import {
  attachExecutor,
  createTaskQueue,
  currentTaskQueue,
  executor,
  needPreempt,
  spawn,
  spawnInto,
  type Task,
  yieldIfNeeded,
  yieldNow,
  yieldQueue,
} from '../../src/index.ts'
import { once, sleep } from '../../src/time/index.ts'
import { expire, nop, poll } from '../executor/operations.ts'
import { runChild, success } from '../hazards/child.ts'
import { createPipe } from '../hazards/pipe.ts'
import { assertNoLeak, holdings } from '../io/support.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(30_000)
const LONG_MS = 3_600_000

test('1: an executor runs what it is given, and lets go of it afterwards', LIMIT, async () => {
  const program = `
    let released = false
    const registry = new FinalizationRegistry(() => { released = true })
    const run = async () => {
      const held = { data: new Array(1000) }
      registry.register(held, 0)
      return percore.spawn(async () => { await operations.nop(); return held.data.length })
    }
    const length = await run()
    for (let i = 0; i < 50 && !released; i++) {
      globalThis.gc()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    console.log(length, released)
  `

  assert.deepEqual(await runChild(program, { flags: ['--expose-gc'] }), success('1000 true\n'))
})

test(
  '5: spawnInto() of a queue that was removed throws, and the body never runs',
  LIMIT,
  async () => {
    const queue = createTaskQueue('removed')
    queue.remove()
    let hasRun = false
    const body = (): void => {
      hasRun = true
    }

    assert.throws(() => spawnInto(queue, body), { code: 'ERR_QUEUE_NOT_FOUND' })
    await yieldNow()

    assert.equal(hasRun, false)
  },
)

test('6: ten yielding queues alternate strictly', LIMIT, async () => {
  const runs: number[] = []
  const queues = Array.from({ length: 10 }, (_, i) => createTaskQueue(`yields ${i}`))

  await Promise.all(
    queues.map((queue, i) =>
      spawnInto(queue, async () => {
        for (let round = 0; round < 2000; round++) {
          runs.push(i)
          await yieldQueue()
        }
        runs.push(i)
      }),
    ),
  )

  // Whoever is left over when the others have ended has its turns in a row, nobody before.
  const lastOfOthers = runs.findLastIndex((one) => one !== runs.at(-1))
  const repeats = runs.filter((one, i) => i > 0 && i <= lastOfOthers && one === runs[i - 1])
  assert.equal(runs.length, 20_010)
  assert.deepEqual(repeats, [])
  for (const queue of queues) queue.remove()
})

test('7: a busy loop that asks is preempted by a task with a latency of 2 ms', LIMIT, async () => {
  const urgent = createTaskQueue('urgent', { latency: { maxMs: 2 } })
  let hasRun = false
  let unitsAfter = 0

  await spawn(async () => {
    const task = spawnInto(urgent, () => {
      hasRun = true
    })
    while (!hasRun) {
      if (needPreempt()) await yieldNow()
      unitsAfter++
    }
    await task
  })

  // It was runnable from the start: at the latest the first tick of the clock sees it.
  assert.equal(unitsAfter, 1)
  urgent.remove()
})

test('8: currentTaskQueue() is the queue that was spawned into', LIMIT, async () => {
  const queue = createTaskQueue('current')

  assert.equal(await spawnInto(queue, () => currentTaskQueue()), queue)
  assert.equal(await spawn(() => currentTaskQueue()), executor().defaultQueue)
  queue.remove()
})

test('10: a detached task that goes on for ever does not hold up the others', LIMIT, async () => {
  const queue = createTaskQueue('for ever')
  const forEver = spawnInto(queue, async (task: Task<void>) => {
    while (!task.isCancelled) await yieldNow()
  })
  forEver.detach()

  assert.equal(await spawn(() => 1), 1)

  await forEver.cancel()
  queue.remove()
})

test('18: two detached waits one after the other do not hang', LIMIT, async () => {
  const order: number[] = []

  await spawn(async () => {
    await spawn(async () => order.push(1))
    await spawn(async () => order.push(2))
  })

  assert.deepEqual(order, [1, 2])
})

test('19: the failure of a task keeps its message and its stack', LIMIT, async () => {
  const task = spawn(function failing() {
    throw new Error('the message')
  })

  await assert.rejects(
    async () => task,
    (error: Error) => {
      assert.equal(error.message, 'the message')
      assert.match(error.stack!, /failing/)
      return true
    },
  )
})

test('20: a thread has one executor', LIMIT, async () => {
  const first = executor()

  assert.throws(() => attachExecutor(), { code: 'ERR_EXECUTOR_EXISTS' })
  await spawn(() => {
    assert.throws(() => attachExecutor(), { code: 'ERR_EXECUTOR_EXISTS' })
  })

  assert.equal(executor(), first)
})

test('21: after close(), also after a failure, the thread has no executor', LIMIT, async () => {
  const program = `
    const first = percore.attachExecutor({ name: 'first' })
    await percore.spawn(() => { throw new Error('no') }).catch(() => {})
    await first.close()
    const second = percore.attachExecutor({ name: 'second' })
    console.log(percore.executor() === second, await operations.nop())
  `

  assert.deepEqual(await runChild(program), success('true 0\n'))
})

test('22: a task changes what surrounds it', LIMIT, async () => {
  let value = 1

  await spawn(async () => {
    value++
    await nop()
    value++
  })

  assert.equal(value, 3)
})

test('23: a promise that another thread settles wakes the parked thread', LIMIT, async () => {
  const { Worker } = await import('node:worker_threads')
  const shared = new Int32Array(new SharedArrayBuffer(4))
  const code = `
    const { workerData } = require('worker_threads')
    setTimeout(() => { Atomics.store(workerData, 0, 1); Atomics.notify(workerData, 0) }, 5)
  `
  const worker = new Worker(code, { eval: true, workerData: shared })
  const exited = new Promise((resolve) => worker.once('exit', resolve))

  const outcome = await spawn(async () => {
    const wait = (
      Atomics as unknown as {
        waitAsync(
          words: Int32Array,
          index: number,
          value: number,
        ): { value: Promise<string> | string }
      }
    ).waitAsync(shared, 0, 0)
    return wait.value
  })

  assert.match(outcome, /^(ok|not-equal|timed-out)$/)
  assert.equal(Atomics.load(shared, 0), 1)
  await exited
})

test('24: a grant to a task that has been cancelled is harmless', LIMIT, async () => {
  const pipe = createPipe()
  const task = spawn(() => poll(pipe.readFd))
  await yieldNow()
  const cancelling = task.cancel()

  pipe.write()
  await cancelling
  await nop()

  assert.equal(task.state, 'cancelled')
  pipe.close()
})

test('37: turns over their budget are reported, once each, and no sleep is', LIMIT, async () => {
  const program = `
    const stalls = []
    const executor = percore.executor()
    executor.detectStalls({ budgetMs: 50, onStall: (stall) => stalls.push(stall) })
    const block = (ms) => { const end = performance.now() + ms; while (performance.now() < end); }
    // Of queues of their own: what runs in the default one, such as what comes of being started, may be slow, too.
    const inQueue = (name, body) => percore.spawnInto(percore.createTaskQueue(name), body)
    await inQueue('blocks', () => block(120))
    await percore.yieldNow()
    await inQueue('sleeps', () => time.sleep(120))
    await percore.yieldNow()
    const reported = stalls.map(({ queue, durationMs }) => [queue, durationMs >= 120])
    console.log(JSON.stringify(reported.filter(([queue]) => queue !== 'default')))
    process.exit(0)
  `

  assert.deepEqual(await runChild(program), success('[["blocks",true]]\n'))
})

test(
  '39: nothing is left of a task, in whatever order it ends, is cancelled or dropped',
  LIMIT,
  async () => {
    const queue = createTaskQueue('orders')
    await nop()
    const before = holdings()
    const wait = (): Promise<void> => sleep(LONG_MS)
    const orders: (() => Promise<unknown>)[] = [
      async () => spawnInto(queue, () => {}).detach(),
      async () => spawnInto(queue, () => {}).cancel(),
      async () => {
        const task = spawnInto(queue, wait)
        await yieldNow()
        await task.cancel()
        await task.cancel()
      },
      async () => {
        const task = spawnInto(queue, wait)
        const outcome = task.catch(() => {})
        await yieldNow()
        await task.cancel()
        await outcome
      },
      async () => {
        const task = spawnInto(queue, () => nop())
        await task
        await task.cancel()
      },
      async () => {
        const task = spawnInto(queue, () => nop())
        void task.cancel()
        await task.catch(() => {})
      },
      async () => Promise.race([spawnInto(queue, () => nop()), yieldNow()]),
    ]

    for (let round = 0; round < 10; round++) await Promise.all(orders.map((order) => order()))
    while (queue.stats().taskCount > 0) await nop()
    await nop()

    assertNoLeak(before)
    assert.equal(executor().stats().timerCount, 0)
    queue.remove()
  },
)

test(
  '45: messages say what was attempted, what is required and what was found',
  LIMIT,
  async () => {
    const pipe = createPipe()
    const queue = createTaskQueue('reader')
    const task = spawnInto(queue, () => sleep(LONG_MS))
    const message = (act: () => unknown): string => {
      try {
        act()
      } catch (error) {
        return (error as Error).message
      }
      return 'it did not throw'
    }

    const messages = [
      message(() => queue.remove()),
      message(() => createTaskQueue('q', { shares: 0 })),
      message(() => attachExecutor()),
      message(() => spawn(1 as never)),
    ]
    await task.cancel()
    queue.remove()
    messages.push(
      message(() => queue.remove()),
      await expire(1).then(String, (error: Error) => error.message),
      await poll(pipe.readFd, { timeoutMs: 0 }).then(String, (error: Error) => error.message),
    )
    pipe.close()

    assert.deepEqual(messages, [
      "Cannot remove task queue 'reader' as it must have no unfinished tasks, nothing to settle and no streams to consume: it has 1, 1 and 0",
      'Cannot create a task queue as shares must be a whole number from 1 to 1000: current value is 0',
      "Cannot attach an executor as a thread must have only one: it has 'unnamed'",
      'Cannot spawn a task as body must be a function: current value is 1 (a number)',
      "Cannot remove as task queue 'reader' must be one of this executor: it was removed, or is another's",
      'ETIME: timer expired, test',
      'Cannot wait for a test operation as it must end within 0 ms: it did not',
    ])
  },
)

test('46: errors of the kernel keep code, number and call', LIMIT, async () => {
  await assert.rejects(poll(1_000_000), { code: 'EBADF', errno: -9, syscall: 'test' })
})

test('53: what is cancelled before it was submitted is not done', LIMIT, async () => {
  const pipe = createPipe()
  writeSync(pipe.readFd, 'x'.repeat(200))
  const { read } = await import('../executor/operations.ts')
  const controller = new AbortController()
  const { signal } = controller

  // Two hundred reads of a byte are enqueued, and dropped.
  const reads = Array.from({ length: 200 }, () => read(pipe.readFd, 1, { signal }))
  controller.abort()
  await Promise.allSettled(reads)

  // So all of it is still there.
  assert.equal(await read(pipe.readFd, 4096), 200)
  pipe.close()
})

test('54: two hundred tasks that are cancelled in the middle leave nothing', LIMIT, async () => {
  const pipe = createPipe()
  const before = holdings()
  const tasks = Array.from({ length: 200 }, () => spawn(() => poll(pipe.readFd)))
  await yieldNow()
  await nop()

  await Promise.all(tasks.map((task) => task.cancel()))

  assert.ok(tasks.every(({ state }) => state === 'cancelled'))
  assertNoLeak(before)
  pipe.close()
})

test('90: a timer wakes the thread, and one that is cancelled does not', LIMIT, async () => {
  const order: string[] = []
  const startNs = executor().nowNs()
  const elapsedMs = (): number => (executor().nowNs() - startNs) / 1e6

  const dropped = once(60, () => order.push('dropped'))
  await sleep(20)
  assert.ok(elapsedMs() >= 20)
  dropped.destroy()
  await sleep(80)
  order.push('last')

  assert.ok(elapsedMs() >= 100)
  assert.deepEqual(order, ['last'])
})

test(
  '91: I/O memory is aligned, beyond the registered part too, and used again',
  LIMIT,
  async () => {
    const program = `
    const { memory } = percore.attachExecutor({ ioMemoryBytes: 1 << 20 })
    const leases = []
    while (memory.sizeBytes <= 1 << 20) leases.push(memory.allocate(4096))
    const aligned = leases.every(({ address }) => address % 4096 === 0)
    const { sizeBytes } = memory
    for (const lease of leases) lease.release()
    for (let i = 0; i < leases.length; i++) leases[i] = memory.allocate(4096)
    console.log(aligned, leases.length, memory.sizeBytes === sizeBytes)
  `

    assert.deepEqual(await runChild(program), success('true 257 true\n'))
  },
)

test(
  '7: yieldIfNeeded() is nothing while the slice lasts, and a yield when it is over',
  LIMIT,
  async () => {
    const outcomes: unknown[] = []

    await spawn(async () => {
      // A slice that is over when the task begins, as where others have the processor, is followed by one that is not.
      let atFirst = yieldIfNeeded()
      for (let i = 0; i < 100 && atFirst !== undefined; i++) {
        await atFirst
        atFirst = yieldIfNeeded()
      }
      outcomes.push(atFirst)
      while (!needPreempt());
      const yielding = yieldIfNeeded()
      outcomes.push(yielding instanceof Promise)
      await yielding
    })

    assert.deepEqual(outcomes, [undefined, true])
  },
)
