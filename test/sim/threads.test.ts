/**
 * Several threads of one simulated process: they take turns by the seed, and wake each other by their doorbells.
 *
 * Proof that these can fail: a loop that does not look at the doorbell once more after it has published that it
 * parks, and one that publishes it after that look, are found stuck (SimLoop).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { confine, createDeferred, Executor } from '../../src/executor/index.ts'
import type { DoorbellAddress, Inbox } from '../../src/reactor/index.ts'
import { type SimFaults, SimKernel } from '../../src/sim/index.ts'
import { seedCount } from '../limits.ts'

const ROUNDS = 20

/** Shared memory of one word: how much has been sent. */
class Mail implements Inbox {
  readonly sent: Int32Array = new Int32Array(new SharedArrayBuffer(4))
  readonly address: DoorbellAddress
  readonly number: number
  #taken = 0
  #wake: (() => void) | null = null
  readonly #executor: Executor

  constructor(executor: Executor) {
    this.#executor = executor
    const { doorbell } = executor
    this.address = doorbell.address
    this.number = doorbell.add(this)
  }

  send(sender: Executor): void {
    Atomics.add(this.sent, 0, 1)
    sender.doorbell.ring(this.address, this.number)
  }

  /** Keeps the program alive meanwhile. */
  async take(): Promise<void> {
    const { liveness } = this.#executor
    liveness.hold()
    while (Atomics.load(this.sent, 0) === this.#taken) {
      const { promise, resolve } = createDeferred<void>()
      this.#wake = resolve
      await promise
    }
    liveness.letGo()
    this.#taken++
  }

  collect(): void {
    // A promise settled here runs on with the microtasks of this turn, which will do for a test.
    if (Atomics.load(this.sent, 0) !== this.#taken) this.#wake?.()
  }
}

interface Threads {
  readonly kernel: SimKernel
  readonly executors: readonly Executor[]
}

/** Runs `main` on each of so many threads; rejects if none can go on. */
async function runThreads(
  seed: number,
  count: number,
  prepare: (threads: Threads) => readonly (() => Promise<void>)[],
  faults: SimFaults = {},
): Promise<void> {
  const stuck = createDeferred<never>()
  const onStuck = (reason: string): void =>
    stuck.reject(new Error(`seed ${seed} is stuck: ${reason}`))
  const kernel = new SimKernel({ seed, faults }, { onStuck, turnCountMax: 100_000 })
  const executors = Array.from({ length: count }, (_, index) => {
    const options = { name: `shard ${index}`, ringDepth: 8, ioMemoryBytes: 1 << 16 }
    const executor = new Executor({ ...options, kernel: index === 0 ? kernel : kernel.thread() })
    confine(executor)
    return executor
  })
  try {
    const mains = prepare({ kernel, executors })
    const tasks = executors.map((executor, index) =>
      executor.spawnInto(executor.defaultQueue, mains[index]!),
    )
    await Promise.race([Promise.all(tasks), stuck.promise])
  } finally {
    for (const executor of executors) executor.leave()
  }
}

/** Each thread sends to the next as soon as it has got something from the one before. */
function passAround({ executors }: Threads): (() => Promise<void>)[] {
  const mails = executors.map((executor) => new Mail(executor))
  return executors.map((executor, index) => async () => {
    const next = mails[(index + 1) % mails.length]!
    for (let round = 0; round < ROUNDS; round++) {
      if (index > 0 || round > 0) await mails[index]!.take()
      next.send(executor)
    }
    if (index === 0) await mails[0]!.take()
  })
}

for (const count of [2, 4]) {
  test(`${count} simulated threads pass a message around, whoever sleeps meanwhile`, async () => {
    for (let seed = 0; seed < 100; seed++) await runThreads(seed, count, passAround)
  })
}

test('simulated threads lose no message whose doorbell comes late, or while they have no processor', async () => {
  const faults = { lateMessage: 0.3, delay: 0.1, threadPause: 0.05 }
  for (let seed = 0; seed < seedCount(60); seed++) await runThreads(seed, 3, passAround, faults)
})

test('many simulated threads send to one at the same time', async () => {
  for (let seed = 0; seed < 50; seed++) {
    await runThreads(seed, 5, ({ executors }) => {
      const [receiver, ...senders] = executors
      const mails = senders.map(() => new Mail(receiver!))
      const receive = async (): Promise<void> => {
        const takeAll = mails.map(async (mail) => {
          for (let round = 0; round < ROUNDS; round++) await mail.take()
        })
        await Promise.all(takeAll)
      }
      const send = (executor: Executor, index: number) => async (): Promise<void> => {
        for (let round = 0; round < ROUNDS; round++) {
          mails[index]!.send(executor)
          if (round % 3 === 0) await Promise.resolve()
        }
      }
      return [receive, ...senders.map(send)]
    })
  }
})

test('equal seeds give equal orders of simulated threads, other seeds other ones', async () => {
  const orderOf = async (seed: number): Promise<string> => {
    let order = ''
    await runThreads(seed, 3, (threads) => {
      const mains = passAround(threads)
      return mains.map((main, index) => async () => {
        order += index
        await main()
        order += index
      })
    })
    return order
  }
  const orders = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const order = await orderOf(seed)
    assert.equal(await orderOf(seed), order)
    orders.add(order)
  }

  assert.ok(orders.size > 1)
})

test('a thread that nobody wakes is found: a sender that forgets the doorbell', async () => {
  const program = ({ executors }: Threads): (() => Promise<void>)[] => {
    const mail = new Mail(executors[0]!)
    return [() => mail.take(), async () => void Atomics.add(mail.sent, 0, 1)]
  }
  const outcomes = await Promise.allSettled(
    [0, 1, 2, 3].map((seed) => runThreads(seed, 2, program)),
  )

  const reasons = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason] : [],
  )
  assert.ok(reasons.length > 0)
  for (const reason of reasons) assert.match(String(reason), /is stuck: idle/)
})

test('a simulated thread that leaves is learnt of by all others, whoever sleeps meanwhile', async () => {
  for (let seed = 0; seed < 100; seed++) {
    await runThreads(seed, 4, ({ executors }) => {
      const [first, ...others] = executors
      const { address } = first!.doorbell
      const learn = (executor: Executor) => async (): Promise<void> => {
        const { doorbell, liveness } = executor
        const { promise, resolve } = createDeferred<void>()
        liveness.hold()
        doorbell.onPeerEnded(address, resolve)
        await promise
        liveness.letGo()
        assert.equal(doorbell.isEnded(address), true)
      }
      // Outside of its own turn, as a thread is terminated.
      return [async () => void setImmediate(() => first!.leave()), ...others.map(learn)]
    })
  }
})
