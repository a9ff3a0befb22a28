/** The close of an executor, on both kernels: whoever waits is told, and cleans up. */
import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { createChannel } from '../../src/channels/index.ts'
import { currentOrNull } from '../../src/executor/index.ts'
import {
  attachExecutor,
  createTaskQueue,
  type Executor,
  executor,
  scope,
  spawn,
  spawnInto,
  yieldNow,
  yieldQueue,
} from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import {
  Barrier,
  Condition,
  Event,
  Gate,
  Latch,
  Mutex,
  RwLock,
  Semaphore,
} from '../../src/sync/index.ts'
import { SimKernel } from '../../src/testing/index.ts'
import { Interval, once, sleep, timeout } from '../../src/time/index.ts'
import { limited } from '../limits.ts'
import { Recorder } from '../net/recorder.ts'

const LIMIT = limited(20_000)
const CLOSED = { code: 'ERR_EXECUTOR_CLOSED' }
const HOUR_MS = 3_600_000

afterEach(async () => currentOrNull()?.close())

function onBoth(name: string, body: (attached: Executor) => Promise<void>): void {
  test(`${name} [linux]`, LIMIT, () => body(attachExecutor()))
  test(`${name} [sim]`, LIMIT, () =>
    body(attachExecutor({ kernel: new SimKernel({ seed: 1 }), ioMemoryBytes: 65_536 })),
  )
}

/** Two ends of a connection, and the listener. */
async function connect(): Promise<[TcpStream, TcpStream, TcpListener]> {
  const listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const client = await TcpStream.connect({ port: listener.address.port })
  return [client, await accepting, listener]
}

async function held(lock: Mutex<number>): Promise<unknown> {
  await lock.lock()
  return lock.lock()
}

/** Starts a wait for what never comes; resolves when it has begun, with the wait in an array. */
const WAITS: Record<string, () => unknown | Promise<[Promise<unknown>]>> = {
  'sleep()': () => sleep(HOUR_MS),
  'timeout()': () => timeout(HOUR_MS, new Promise(() => {})),
  'once().join()': () => once(HOUR_MS, () => {}).join(),
  'Interval.next()': () => new Interval(HOUR_MS).next(),
  'yieldNow()': () => yieldNow(),
  'yieldQueue()': () => yieldQueue(),
  'a queued task': () => spawn(() => assert.fail('it must not start')),
  'a task': () => spawn(() => sleep(HOUR_MS)),
  'a task that waits for what is not ours': () => spawn(() => new Promise(() => {})),
  'scope()': () => scope(async (s) => void s.spawn(() => sleep(HOUR_MS))),
  'Mutex.lock()': () => held(new Mutex(1)),
  'RwLock.write()': () => {
    const lock = new RwLock(1)
    void lock.read()
    return lock.write()
  },
  'Semaphore.acquire()': () => new Semaphore(0).acquire(),
  'Event.wait()': () => new Event().wait(),
  'Latch.wait()': () => new Latch(1).wait(),
  'Barrier.arrive()': () => new Barrier(2).arrive(),
  'Condition.wait()': () => new Condition().wait(() => false),
  'Gate.close()': () => {
    const gate = new Gate()
    gate.enter()
    return gate.close()
  },
  'a send': () => {
    const { sender } = createChannel<number>({ capacity: 1 })
    sender.trySend(1)
    return sender.send(2)
  },
  'a receive': () => createChannel<number>({ capacity: 1 }).receiver.receive(),
  'a step over a channel': () => {
    const { receiver } = createChannel<number>({ capacity: 1 })
    return receiver[Symbol.asyncIterator]().next()
  },
  'accept()': async () => [(await TcpListener.bind({ port: 0 })).accept()],
  'a step over a listener': async () => {
    const listener = await TcpListener.bind({ port: 0 })
    return [listener[Symbol.asyncIterator]().next()]
  },
  'read() of a stream': async () => [(await connect())[0].read()],
  'write() of a stream': async () => {
    const [client] = await connect()
    return [client.write(new Uint8Array(2 ** 25))]
  },
}

for (const [name, begin] of Object.entries(WAITS)) {
  onBoth(`close() rejects ${name}`, async (attached) => {
    const begun = begin()
    const waiting = name.includes('accept()') || / of | over a listener/.test(name)
    const wait = (waiting ? ((await begun) as [unknown])[0] : begun) as Promise<unknown>
    const told = assert.rejects(wait, CLOSED)

    await attached.close()

    await told
    assert.ok(attached.isClosed)
  })
}

onBoth('close() tells a consumer', async (attached) => {
  const recorder = new Recorder()
  const [client] = await connect()
  client.consume(recorder)

  await attached.close()

  assert.equal(((await recorder.ended) as { code?: string }).code, CLOSED.code)
  assert.equal(recorder.endCount, 1)
})

onBoth('close() runs finally blocks, which close what they opened', async (attached) => {
  const path = join(tmpdir(), `percore-close-${process.pid}`)
  const order: string[] = []
  const lock = new Mutex(1)
  const [client] = await connect()
  const inner = spawn(async () => {
    try {
      await sleep(HOUR_MS)
    } finally {
      order.push('inner')
    }
  })
  const outer = spawn(async () => {
    const file = attached.stats().driver === 'sim' ? null : await BufferedFile.create(path)
    const guard = await lock.lock()
    try {
      await sleep(HOUR_MS)
    } finally {
      await inner.catch(() => {})
      await file?.close()
      await client.close()
      guard.release()
      order.push('outer')
    }
  })
  await once(1, () => {}).join()
  while (!lock.isLocked) await sleep(1)

  await attached.close()

  assert.deepEqual(order, ['inner', 'outer'])
  assert.equal(lock.isLocked, false)
  await assert.rejects(outer, CLOSED)
  assert.equal(outer.state, 'cancelled')
  if (existsSync(path)) rmSync(path)
})

onBoth('close() refuses what is begun while it goes on', async (attached) => {
  const codes: unknown[] = []
  const attempt = async (work: () => unknown): Promise<void> => {
    try {
      await work()
      codes.push('none')
    } catch (error) {
      codes.push((error as { code?: string }).code)
    }
  }
  const task = spawn(async () => {
    try {
      await sleep(HOUR_MS)
    } finally {
      await attempt(() => sleep(1))
      await attempt(() => yieldNow())
      await attempt(() => new Mutex(1).lock())
      await attempt(() => createChannel({ capacity: 1 }).receiver.receive())
      await attempt(() => spawn(() => {}))
      await attempt(() => createTaskQueue('late'))
      await attempt(() => once(1, () => {}))
      await attempt(() => TcpListener.bind({ port: 0 }))
      await attempt(() => BufferedFile.open('/dev/null'))
      await attempt(() => scope(() => {}))
      await attempt(() => executor().detectStalls(null))
    }
  })
  await yieldNow()
  await yieldNow()

  await attached.close()

  assert.deepEqual(codes, new Array(11).fill(CLOSED.code))
  await assert.rejects(task, CLOSED)
})

onBoth('close() lets a gate close that tasks leave', async (attached) => {
  let isOver = false
  const task = spawn(async () => {
    await using gate = new Gate()
    gate.spawn(async () => {
      try {
        await sleep(HOUR_MS)
      } finally {
        isOver = true
      }
    })
    await sleep(HOUR_MS)
  })
  await yieldNow()
  await yieldNow()

  await attached.close()

  await assert.rejects(task, CLOSED)
  assert.ok(isOver)
})

onBoth('close() within a task resolves there, and the task ends as it does', async (attached) => {
  const other = spawn(() => sleep(HOUR_MS))
  const closer = spawn(async () => {
    await attached.close()
    return 'went on'
  })

  assert.equal(await closer, 'went on')
  await assert.rejects(other, CLOSED)
  assert.ok(attached.isClosed)
})

onBoth('close() ends a task that yields for ever', async (attached) => {
  const busy = spawnInto(createTaskQueue('busy'), async () => {
    for (;;) await yieldNow()
  })
  await yieldNow()

  await attached.close()

  await assert.rejects(busy, CLOSED)
})

onBoth('close() leaves a task that does not end in time, and fails it', async (attached) => {
  let goOn = (): void => {}
  const stubborn = spawn(async () => {
    try {
      await sleep(HOUR_MS)
    } catch {
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
      return 'too late'
    }
    return 'slept'
  })
  await yieldNow()
  const startNs = attached.nowNs()

  await attached.close()
  goOn()

  await assert.rejects(stubborn, CLOSED)
  const drainMs = (attached.nowNs() - startNs) / 1e6
  assert.ok(drainMs >= 1000, `${drainMs} ms`)
  // Real machines may be as slow as they like.
  if (attached.kernel.name === 'sim') assert.ok(drainMs < 1100, `${drainMs} ms`)
})

onBoth('close() does not wait for streams that nobody reads', async (attached) => {
  const [client] = await connect()
  void client.read().catch(() => {})
  const startNs = attached.nowNs()

  await attached.close()

  // In virtual time, since a real machine may take the second of the limit for anything.
  if (attached.kernel.name === 'sim') assert.ok(attached.nowNs() - startNs < 900e6)
})

onBoth('close() reports what fails for another reason', async (attached) => {
  const task = spawn(async () => {
    try {
      await sleep(HOUR_MS)
    } finally {
      // biome-ignore lint/correctness/noUnsafeFinally: that is the hazard
      throw new Error('cleaning up failed')
    }
  })
  await yieldNow()
  await yieldNow()
  const failed = assert.rejects(task, { message: 'cleaning up failed' })

  await attached.close()

  await failed
  assert.equal(task.state, 'rejected')
})

onBoth(
  'close() tells who waits in a queue that was removed, and has run ahead',
  async (attached) => {
    const queue = createTaskQueue('removed', { shares: 1 })
    let wait: Promise<void> = Promise.resolve()
    await spawnInto(queue, () => {
      wait = assert.rejects(sleep(HOUR_MS), CLOSED)
      const endMs = performance.now() + 5
      while (performance.now() < endMs);
    })
    queue.remove()

    await attached.close()

    await wait
  },
)

onBoth('close() twice in a row, with another executor between, tells both', async (attached) => {
  const lock = new Mutex(1)
  await lock.lock()
  const first = assert.rejects(lock.lock(), CLOSED)
  await attached.close()
  await first

  const second = attachExecutor({ name: 'second' })
  const waiting = assert.rejects(lock.lock(), CLOSED)
  await second.close()

  await waiting
  assert.equal(lock.waiterCount, 0)
})

onBoth('attachExecutor() is refused until close() has resolved', async (attached) => {
  const closing = attached.close()

  assert.throws(() => attachExecutor(), { code: 'ERR_EXECUTOR_EXISTS' })
  await closing

  await attachExecutor().close()
})

onBoth('await using closes an executor', async (attached) => {
  let wait: Promise<void> = Promise.resolve()
  {
    await using current = attached
    wait = assert.rejects(sleep(HOUR_MS), CLOSED)
    assert.equal(current.isClosing, false)
  }

  await wait
  assert.equal(currentOrNull(), null)
})
