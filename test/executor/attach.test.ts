import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { setImmediate as nextImmediate } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import { AwaitedOperation, currentOrNull } from '../../src/executor/index.ts'
import {
  allocateBuffer,
  attachExecutor,
  createTaskQueue,
  currentTaskQueue,
  executor,
  needPreempt,
  spawn,
  spawnInto,
  yieldIfNeeded,
} from '../../src/index.ts'
import { UringKernel } from '../../src/kernel/index.ts'
import { encodeNop } from '../../src/ring/index.ts'
import { sleep } from '../../src/time/index.ts'
import { limited } from '../limits.ts'
import { nop, poll } from './operations.ts'

const LIMIT = limited(20_000)

afterEach(async () => currentOrNull()?.close())

class Nop extends AwaitedOperation<number> {
  start(): Promise<number> {
    const ring = this.executor.io.main
    encodeNop(ring.sqes, ring.begin())
    ring.commit(this)
    return this.promise
  }

  protected override interpret(result: number): number {
    return result
  }

  protected override describe(): { syscall: string } {
    return { syscall: 'nop' }
  }
}

test('needPreempt() is false without an executor, and attaches none', () => {
  assert.equal(needPreempt(), false)
  assert.equal(yieldIfNeeded(), undefined)
  assert.equal(currentOrNull(), null)
})

test('executor() attaches one, and is then the same', () => {
  const first = executor()

  assert.equal(executor(), first)
  assert.equal(first.name, 'unnamed')
  assert.equal(currentTaskQueue(), first.defaultQueue)
})

test('attachExecutor() throws when an option is unknown', () => {
  const nonsense = { nonsense: 1 } as never

  assert.throws(() => attachExecutor(nonsense), TypeError)
  assert.throws(() => attachExecutor({ host: nonsense }), TypeError)
  assert.throws(() => attachExecutor({ detectStalls: nonsense }), TypeError)
  assert.equal(currentOrNull(), null)
})

test('attachExecutor() throws ERR_EXECUTOR_EXISTS if there is one', () => {
  const first = attachExecutor({ name: 'first' })

  assert.throws(() => attachExecutor(), { code: 'ERR_EXECUTOR_EXISTS' })

  assert.equal(executor(), first)
})

test('attachExecutor() refuses options of the wrong kind, and attaches nothing', () => {
  for (const wrong of [
    { name: 1 as never },
    { name: 'a\0b' },
    { ringDepth: '8' as never },
    { ioMemoryBytes: '65536' as never },
  ]) {
    assert.throws(() => attachExecutor(wrong), TypeError)
  }
  for (const wrong of [
    { ringDepth: 7 },
    { ringDepth: 32_769 },
    { ringDepth: 8.5 },
    { ioMemoryBytes: 1 },
    { ioMemoryBytes: 2 ** 31 },
    { ioMemoryBytes: 2 ** 20, ioMemoryBytesMax: 2 ** 19 },
    { preemptTimerMs: 0 },
    { preemptTimerMs: Number.NaN },
    { preemptTimerMs: 60_001 },
    { spinBeforeParkUs: -1 },
    { spinBeforeParkUs: 60_000_001 },
    { spinBeforeParkUs: Number.NaN },
    { spinUntilQuietUs: -1 },
    { spinUntilQuietUs: Number.POSITIVE_INFINITY },
    { spinUntilQuietUs: 1, spinBeforeParkUs: 1 },
  ]) {
    assert.throws(() => attachExecutor(wrong), RangeError, JSON.stringify(wrong))
  }
  assert.equal(currentOrNull(), null)
})

test('sizes are rounded up to powers of two', () => {
  const { io, memory } = attachExecutor({ ringDepth: 9, ioMemoryBytes: 100_000 })

  assert.equal(io.main.memory.layout.sqEntryCount, 16)
  assert.equal(memory.primary.allocator.sizeBytes, 131_072)
})

test('an executor that does no I/O maps no memory for it', LIMIT, async () => {
  const kernel = new UringKernel()
  let mappingCount = 0
  const allocate = kernel.allocate.bind(kernel)
  kernel.allocate = (lengthBytes) => {
    mappingCount++
    return allocate(lengthBytes)
  }
  const current = attachExecutor({ kernel })
  const { port1, port2 } = new MessageChannel()
  const heard = new Promise((resolve) => port1.once('message', resolve))
  port2.postMessage('from elsewhere')

  await Promise.all([spawn(() => sleep(1)), heard])

  const { ioMemory } = current.stats()
  assert.deepEqual([mappingCount, ioMemory.sizeBytes, ioMemory.isRegistered], [0, 0, false])
  using lease = allocateBuffer(4096)
  assert.equal(lease.lengthBytes, 4096)
  assert.equal(mappingCount, 1)
  port1.close()
})

test('what is asked of a closed executor is ERR_EXECUTOR_CLOSED', LIMIT, async () => {
  const closed = executor()
  const { defaultQueue } = closed
  await closed.close()

  assert.ok(closed.isClosed && closed.isClosing)
  assert.throws(() => closed.createTaskQueue('late'), { code: 'ERR_EXECUTOR_CLOSED' })
  await assert.rejects(
    closed.spawnInto(defaultQueue, () => {}),
    { code: 'ERR_EXECUTOR_CLOSED' },
  )
  assert.throws(() => closed.assertOpen('act'), { code: 'ERR_EXECUTOR_CLOSED' })
  assert.throws(() => new Nop(closed).start(), { code: 'ERR_EXECUTOR_CLOSED' })
})

test('close() keeps tasks that were spawned before from starting', LIMIT, async () => {
  const current = executor()
  const started: number[] = []

  for (let index = 0; index < 3; index++) {
    void spawn(() => {
      started.push(index)
      void current.close()
    })
  }
  while (!current.isClosed) await nextImmediate()
  await nextImmediate()

  assert.deepEqual(started, [0])
})

test('close() again returns the same promise, also when it has resolved', async () => {
  const closed = executor()

  const closing = closed.close()
  assert.equal(closed.close(), closing)
  await closing

  assert.equal(closed.close(), closing)
  assert.equal(currentOrNull(), null)
})

test('after close() the thread may have another, whose rings are its own', LIMIT, async () => {
  const first = executor()
  const queue = createTaskQueue('of the first')
  await nop()
  await first.close()

  const second = attachExecutor({ name: 'second' })

  assert.notEqual(executor(), first)
  assert.equal(await nop(), 0)
  await assert.rejects(
    spawnInto(queue, () => {}),
    { code: 'ERR_EXECUTOR_CLOSED' },
  )
  // An operation of the first would be another's business now: it is refused.
  assert.throws(() => new Nop(first).start(), { code: 'ERR_EXECUTOR_CLOSED' })
  assert.equal(second.stats().inFlightCount, 0)
})

test(
  'leave() leaves what was in flight pending, and cancelling that is nothing',
  LIMIT,
  async () => {
    const controller = new AbortController()
    let isSettled = false
    const settle = (): void => {
      isSettled = true
    }
    poll(process.stdin.fd, { signal: controller.signal, timeoutMs: 20 }).then(settle, settle)
    sleep(5).then(settle, settle)
    executor().leave()

    controller.abort()
    await new Promise((resolve) => setTimeout(resolve, 30))

    assert.equal(isSettled, false)
  },
)

test('leave() in the middle of a task ends its turn, and its code goes on', LIMIT, async () => {
  const order: string[] = []
  await new Promise<void>((resolve) => {
    spawn(async () => {
      executor().leave()
      order.push('closed')
      await Promise.resolve()
      order.push('microtask')
      setTimeout(resolve, 5)
    })
    spawn(() => order.push('of the same batch'))
  })

  assert.deepEqual(order.slice(0, 1), ['closed'])
  assert.ok(order.includes('microtask'))
})

test("code of a closed executor's task goes on with the next executor", LIMIT, async () => {
  const outcome = await new Promise((resolve) => {
    spawn(async () => {
      await executor().close()
      await sleep(1)
      resolve([await nop(), currentTaskQueue() === executor().defaultQueue])
    })
  })

  assert.deepEqual(outcome, [0, true])
})
