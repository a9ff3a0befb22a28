/** Random programs, whose executor is closed at a random moment of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Prng } from '../../src/base/index.ts'
import { type Channel, createChannel } from '../../src/channels/index.ts'
import {
  attachExecutor,
  createTaskQueue,
  scope,
  spawn,
  spawnInto,
  yieldNow,
} from '../../src/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { Condition, Gate, Mutex, RwLock, Semaphore } from '../../src/sync/index.ts'
import { type SimFaults, SimKernel } from '../../src/testing/index.ts'
import { Interval, once, repeat, sleep, timeout } from '../../src/time/index.ts'
import { seedCount } from '../limits.ts'

const PORT = 7000
const STEPS = 12

/** What all tasks of a program share, and what is to be true of it at the end. */
class World {
  readonly prng: Prng
  readonly mutex = new Mutex(0)
  readonly rw = new RwLock(0)
  readonly semaphore = new Semaphore(2)
  readonly condition = new Condition()
  readonly gate = new Gate()
  readonly channel: Channel<number> = createChannel<number>({ capacity: 2 })
  readonly interval = new Interval(3)
  listener: TcpListener | null = null
  pendingCount = 0
  readonly pendingNames = new Map<string, number>()
  begunCount = 0
  cleanedCount = 0
  readonly surprises: unknown[] = []

  constructor(seed: number) {
    this.prng = new Prng(seed)
  }

  /** Notes a promise that has to settle. */
  track<T>(name: string, promise: Promise<T>): Promise<T> {
    this.pendingCount++
    this.pendingNames.set(name, (this.pendingNames.get(name) ?? 0) + 1)
    const end = (): void => {
      this.pendingCount--
      this.pendingNames.set(name, this.pendingNames.get(name)! - 1)
    }
    promise.then(end, end)
    return promise
  }
}

type Step = (world: World) => unknown

const STEPS_OF_TASKS: Record<string, Step> = {
  sleep: ({ prng }) => sleep(prng.int(0, 5)),
  timeout: ({ prng }) => timeout(prng.int(1, 5), () => sleep(prng.int(1, 9))),
  once: ({ prng }) => once(prng.int(0, 5), () => 1).join(),
  repeat: ({ prng }) => repeat(() => (prng.chance(0.5) ? 1 : null)).join(),
  interval: ({ interval }) => interval.next(),
  yield: () => yieldNow(),
  mutex: async ({ mutex, prng }) => {
    using _guard = await mutex.lock()
    await sleep(prng.int(0, 2))
  },
  read: async ({ rw }) => {
    using _guard = await rw.read()
    await yieldNow()
  },
  write: async ({ rw }) => {
    using _guard = await rw.write()
    await sleep(1)
  },
  semaphore: async ({ semaphore, prng }) => {
    using _permit = await semaphore.acquire(prng.int(1, 2))
    await sleep(prng.int(0, 2))
  },
  condition: ({ condition, prng }) => condition.wait(() => prng.chance(0.2), { timeoutMs: 4 }),
  send: ({ channel }) => channel.sender.send(1, { timeoutMs: 3 }),
  receive: ({ channel }) => channel.receiver.receive({ timeoutMs: 3 }),
  gate: ({ gate, prng }) => gate.run(() => sleep(prng.int(0, 4))),
  closeGate: async () => {
    await using gate = new Gate()
    gate.spawn(() => sleep(2))
  },
  scope: (world) =>
    scope(async (s) => {
      s.spawn(() => sleep(world.prng.int(0, 3)))
      s.spawn(() => yieldNow())
      await runStep(world)
    }),
  task: (world) =>
    world.track(
      'task',
      spawn(() => runStep(world)),
    ),
  queue: (world) => spawnInto(createTaskQueue('fuzzed'), () => runStep(world)),
  cancel: async (world) => {
    const task = spawn(() => sleep(100))
    await yieldNow()
    await world.track('cancel()', task.cancel())
  },
  file: async (world) => {
    await using file = await BufferedFile.open('/data/file', { write: true })
    await file.write(new Uint8Array(100), world.prng.int(0, 500))
    await file.sync()
    await file.sync()
  },
  namedFile: async (world) => {
    const file = await BufferedFile.create(`/data/${world.prng.int(0, 5)}`)
    try {
      await file.allocate(4096)
      await Promise.all([file.write(new Uint8Array(10), 0), file.write(new Uint8Array(10), 5)])
    } finally {
      await file.close()
    }
  },
  accept: async ({ listener, prng }) => {
    const stream = await listener!.accept({ timeoutMs: 4 })
    try {
      for await (const _chunk of stream) if (prng.chance(0.3)) break
    } finally {
      await stream.close()
    }
  },
  connect: async (world) => {
    const stream = await TcpStream.connect({ host: '127.0.0.1', port: PORT, timeoutMs: 10 })
    try {
      await stream.write(new Uint8Array(world.prng.int(1, 200_000)), { timeoutMs: 5 })
      await stream.read({ timeoutMs: 2 })
    } finally {
      await stream.close()
    }
  },
  consume: async (world) => {
    const stream = await world.listener!.accept({ timeoutMs: 4 })
    const ended = new Promise<void>((resolve) => {
      stream.consume({ onChunk: () => sleep(1), onEnd: () => resolve() })
    })
    world.track('consumer', ended)
    try {
      await sleep(3)
    } finally {
      await stream.close()
    }
  },
}
const NAMES = Object.keys(STEPS_OF_TASKS)

async function runStep(world: World): Promise<void> {
  const name = world.prng.pick(NAMES)
  world.begunCount++
  try {
    await world.track(name, Promise.resolve(STEPS_OF_TASKS[name]!(world)))
  } finally {
    world.cleanedCount++
  }
}

async function runTask(world: World): Promise<void> {
  for (let i = 0; i < STEPS; i++) {
    try {
      await runStep(world)
    } catch (error) {
      const { code } = error as { code?: string }
      if (isClosed(error)) throw error
      if (!EXPECTED.has(code ?? '')) world.surprises.push(error)
    }
    world.condition.notifyAll()
  }
}

const EXPECTED = new Set([
  'ERR_TASK_TIMEOUT',
  'ERR_HANDLE_CLOSED',
  'ECONNRESET',
  'EPIPE',
  'ECONNREFUSED',
  'ENOENT',
])

function isClosed(error: unknown): boolean {
  const { code, cause, errors } = error as { code?: string; cause?: unknown; errors?: unknown[] }
  if (code === 'ERR_EXECUTOR_CLOSED') return true
  return (cause !== undefined && isClosed(cause)) || (errors?.some(isClosed) ?? false)
}

interface Plan {
  readonly seed: number
  readonly taskCount: number
  readonly closeMs: number
  readonly closesInTask: boolean
  readonly ringDepth: number
  readonly faults: SimFaults
}

async function runPlan(plan: Plan): Promise<void> {
  const kernel = new SimKernel({ seed: plan.seed, faults: plan.faults })
  kernel.files.makeDirectory('/data')
  kernel.files.writeFile('/data/file', new Uint8Array(1000))
  const attached = attachExecutor({
    kernel,
    ringDepth: plan.ringDepth,
    ioMemoryBytes: 2 ** 20,
  })
  const world = new World(plan.seed)
  world.listener = await TcpListener.bind({ host: '127.0.0.1', port: PORT })
  for (let i = 0; i < plan.taskCount; i++) {
    // A few outside of any task, with the same right to be told.
    if (i % 3 === 0) world.track('program', runTask(world)).catch(() => {})
    else
      world
        .track(
          'task',
          spawn(() => runTask(world)),
        )
        .catch(() => {})
  }
  await sleep(plan.closeMs)

  const startNs = attached.nowNs()
  if (plan.closesInTask) await spawn(() => attached.close())
  else await attached.close()
  const drainMs = (attached.nowNs() - startNs) / 1e6
  await nextRound()

  const left = [...world.pendingNames].filter(([, count]) => count > 0)
  assert.deepEqual(left, [], 'every promise settles')
  assert.equal(world.cleanedCount, world.begunCount, 'every finally block runs')
  assert.deepEqual(world.surprises, [])
  assert.ok(drainMs < 900, `it ends by itself rather than by the limit: ${drainMs} ms`)
  assert.equal(world.mutex.isLocked, false)
  assert.equal(world.semaphore.available, 2)
  assert.equal(world.gate.passCount, 0)
  assert.deepEqual(kernel.leftovers().descriptors, [])
  assert.equal(attached.waits.newestTask, null)
  assert.equal(attached.waits.shielded.size, 0)
  assert.deepEqual(attached.waits.lists(), [])
}

function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

const rarely = fc.constantFrom(0, 0, 0.02, 0.2)
const plan: fc.Arbitrary<Plan> = fc.record({
  seed: fc.nat(),
  taskCount: fc.integer({ min: 1, max: 24 }),
  closeMs: fc.integer({ min: 0, max: 25 }),
  closesInTask: fc.boolean(),
  ringDepth: fc.constantFrom(8, 64),
  faults: fc.record({
    shortRead: rarely,
    shortWrite: rarely,
    delay: rarely,
    reorder: rarely,
    lateCancel: rarely,
    multishotEnd: rarely,
    cqOverflow: rarely,
  }),
})

test('close() at any moment of any program settles all, and leaves nothing', async () => {
  const runs = seedCount(80)

  await fc.assert(fc.asyncProperty(plan, runPlan), { numRuns: runs, endOnFailure: true })
})
