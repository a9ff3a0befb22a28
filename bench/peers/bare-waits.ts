/**
 * bare-waits WHAT FEW MANY ROUNDS: the operations of bench/percore/queues.ts by plain promises, in the simplest
 * line, room or heap that does the same while nothing fails: no cancelling, no turns, nothing of percore.
 *
 * One promise waits for each of percore's that a caller awaits, and the callers are the same. So its growth
 * is that of the language and the machine: the collector, which copies what waits, and the caches.
 */

import { printGrowth, type Run, readSizes } from '../growth.ts'
import {
  BareRwLock,
  BareSemaphore,
  BareTasks,
  BareTimers,
  Line,
  type Resolve,
} from './bare-lines.ts'

const RUNS: Record<string, Run> = {
  semaphore: runSemaphore,
  mutex: runSemaphore,
  'rw-lock': runRwLock,
  condition: runCondition,
  event: runRoom,
  latch: runRoom,
  barrier: runRoom,
  gate: runRoom,
  withdraw: runWithdraw,
  'channel-items': runItems,
  'channel-receivers': runReceivers,
  'channel-senders': runSenders,
  timer: runTimers,
  task: runTasks,
}

const [what = '', ...sizeWords] = process.argv.slice(2)
const run = RUNS[what]
if (run === undefined) throw new Error(`Cannot measure ${what}: not one of ${Object.keys(RUNS)}`)
await printGrowth(run, readSizes(sizeWords))
process.exit(0)

function times<T>(count: number, make: (index: number) => T): T[] {
  const made: T[] = []
  for (let index = 0; index < count; index++) made.push(make(index))
  return made
}

function runSemaphore(count: number): Promise<unknown> {
  const semaphore = new BareSemaphore()
  const waits = times(count, async () => (await semaphore.acquire()).release())
  semaphore.release()
  return Promise.all(waits)
}

function runRwLock(count: number): Promise<unknown> {
  const lock = new BareRwLock()
  const take = async (index: number): Promise<void> => {
    if (index % 2 === 0) (await lock.take(count)).give(count)
    else (await lock.take(1)).give(1)
  }
  const waits = times(count, take)
  lock.give(count)
  return Promise.all(waits)
}

function runCondition(count: number): Promise<unknown> {
  const line = new Line<{ readonly predicate: () => boolean; readonly resolve: Resolve<boolean> }>()
  let isReady = false
  const wait = (predicate: () => boolean): Promise<boolean> =>
    new Promise((resolve) => line.push({ predicate, resolve }))
  const waits = times(count, () => wait(() => isReady))
  isReady = true
  for (let index = 0; index < count; index++) {
    const { predicate, resolve } = line.shift()!
    if (predicate()) resolve(true)
  }
  return Promise.all(waits)
}

/** All go together: event, latch, barrier and gate. */
function runRoom(count: number): Promise<unknown> {
  const room: Resolve<void>[] = []
  const waits = times(count, () => new Promise<void>((resolve) => room.push(resolve)))
  for (const resolve of room) resolve()
  return Promise.all(waits)
}

async function runWithdraw(count: number): Promise<void> {
  const controllers = times(count, () => new AbortController())
  const wait = ({ signal }: AbortController): Promise<void> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  const waits = controllers.map((controller) => wait(controller).catch(() => undefined))
  for (let index = 0; index < count; index += 2) controllers[index]!.abort()
  for (let index = count - 1; index >= 0; index--) controllers[index]!.abort()
  await Promise.all(waits)
}

async function runItems(count: number): Promise<void> {
  const items = new Line<{ readonly item: number }>()
  for (let index = 0; index < count; index++) items.push({ item: index })
  for (let index = 0; index < count; index++) await Promise.resolve(items.shift()!.item)
}

async function runReceivers(count: number): Promise<void> {
  const receivers = new Line<Resolve<number>>()
  const waits = times(count, () => new Promise<number>((resolve) => receivers.push(resolve)))
  for (let index = 0; index < count; index++) receivers.shift()!(index)
  await Promise.all(waits)
}

async function runSenders(count: number): Promise<void> {
  const senders = new Line<{ readonly value: number; readonly resolve: Resolve<void> }>()
  const send = (value: number): Promise<void> =>
    new Promise((resolve) => senders.push({ value, resolve }))
  const receive = (): Promise<number> => {
    const { value, resolve } = senders.shift()!
    resolve()
    return Promise.resolve(value)
  }
  const waits = times(count, send)
  for (let index = 0; index < count; index++) await receive()
  await Promise.all(waits)
}

async function runTimers(count: number): Promise<void> {
  const timers = new BareTimers()
  const armed = times(count, (index) => timers.arm((index * 7919) % count, () => undefined))
  for (const timer of armed) timers.disarm(timer)
}

function runTasks(count: number): Promise<unknown> {
  const tasks = new BareTasks()
  const ended = Promise.all(times(count, () => tasks.spawn(() => 1)))
  setImmediate(() => tasks.runAll())
  return ended
}
