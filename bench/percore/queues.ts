/**
 * queues WHAT FOLDER FEW MANY ROUNDS: what an operation costs that waits beside few others, and beside many;
 * see bench/growth.ts.
 */

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createChannel } from '../../src/channels/index.ts'
import { executor, spawn } from '../../src/index.ts'
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
import { once } from '../../src/time/index.ts'
import { printGrowth, type Run, readSizes } from '../growth.ts'

const HOUR_MS = 3_600_000
const WRITE_BYTES = 100
const DATA = new Uint8Array(WRITE_BYTES)
/** More than a kernel takes from a stream that nobody reads. */
const CLOG_BYTES = 2 ** 25

const QUEUES: Record<string, () => Run | Promise<Run>> = {
  stream: openStream,
  'stream-withdraw': openClogged,
  file: openFile,
  append: openAppends,
  semaphore: () => runSemaphore,
  mutex: () => runMutex,
  'rw-lock': () => runRwLock,
  condition: () => runCondition,
  event: () => runEvent,
  latch: () => runLatch,
  barrier: () => runBarrier,
  gate: () => runGate,
  withdraw: () => runWithdraw,
  'channel-items': () => runItems,
  'channel-receivers': () => runReceivers,
  'channel-senders': () => runSenders,
  timer: () => runTimers,
  task: () => runTasks,
}

const [what = '', folder = '', ...sizeWords] = process.argv.slice(2)
const sizes = readSizes(sizeWords)
const open = QUEUES[what]
if (open === undefined) throw new Error(`Cannot measure ${what}: not one of ${Object.keys(QUEUES)}`)

executor()
await printGrowth(await open(), sizes)
process.exit(0)

function times<T>(count: number, make: (index: number) => T): T[] {
  const made: T[] = []
  for (let index = 0; index < count; index++) made.push(make(index))
  return made
}

async function openPair(): Promise<{ client: TcpStream; server: TcpStream }> {
  const listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const client = await TcpStream.connect({ port: listener.address.port })
  return { client, server: await accepting }
}

/** Writes on a stream whose peer reads on. */
async function openStream(): Promise<Run> {
  const { client, server } = await openPair()
  server.consume({ onLease: () => undefined, onEnd: () => undefined })
  return (count) => Promise.all(times(count, () => client.write(DATA)))
}

/** Writes on a stream whose peer does not read, withdrawn one by one. */
async function openClogged(): Promise<Run> {
  const { client } = await openPair()
  client.write(new Uint8Array(CLOG_BYTES)).catch(() => undefined)
  return (count) => withdraw(count, (signal) => client.write(DATA, { signal }))
}

/** Writes in all of a file, and one operation among each `FEW` of them that needs it for itself. */
async function openFile(): Promise<Run> {
  mkdirSync(folder, { recursive: true })
  const file = await BufferedFile.create(join(folder, `queues-${process.pid}`))
  await file.remove()
  const { few, many } = sizes
  return (count, first) => {
    const waits: Promise<unknown>[] = []
    for (let index = first; index < first + count; index++) {
      waits.push(file.write(DATA, index * WRITE_BYTES))
      if (index % few === few - 1) waits.push(file.allocate(WRITE_BYTES * many))
    }
    return Promise.all(waits)
  }
}

async function openAppends(): Promise<Run> {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `appends-${process.pid}`)
  const file = await BufferedFile.open(path, { append: true, create: true })
  await file.remove()
  return (count) => Promise.all(times(count, () => file.append(DATA)))
}

function runSemaphore(count: number): Promise<unknown> {
  const semaphore = new Semaphore(0)
  const waits = times(count, async () => (await semaphore.acquire()).release())
  semaphore.signal()
  return Promise.all(waits)
}

function runMutex(count: number): Promise<unknown> {
  const mutex = new Mutex(0)
  return Promise.all(times(count, async () => (await mutex.lock()).release()))
}

/** Writers and readers by turns. */
function runRwLock(count: number): Promise<unknown> {
  const lock = new RwLock(0)
  const take = async (index: number): Promise<void> => {
    if (index % 2 === 0) (await lock.write()).release()
    else (await lock.read()).release()
  }
  return Promise.all(times(count, take))
}

function runCondition(count: number): Promise<unknown> {
  const condition = new Condition()
  let isReady = false
  const waits = times(count, () => condition.wait(() => isReady))
  isReady = true
  for (let index = 0; index < count; index++) condition.notifyOne()
  return Promise.all(waits)
}

function runEvent(count: number): Promise<unknown> {
  const event = new Event()
  const waits = times(count, () => event.wait())
  event.set()
  return Promise.all(waits)
}

function runLatch(count: number): Promise<unknown> {
  const latch = new Latch(count)
  return Promise.all(times(count, () => latch.arriveAndWait()))
}

function runBarrier(count: number): Promise<unknown> {
  const barrier = new Barrier(count)
  return Promise.all(times(count, () => barrier.arrive()))
}

function runGate(count: number): Promise<unknown> {
  const gate = new Gate()
  const passes = times(count, () => gate.enter())
  const waits = times(count, () => gate.close())
  for (const pass of passes) pass.leave()
  return Promise.all(waits)
}

function runWithdraw(count: number): Promise<unknown> {
  const event = new Event()
  return withdraw(count, (signal) => event.wait({ signal }))
}

/** Ends each wait by a signal of its own: every other one from the front, then the rest from the back. */
async function withdraw(
  count: number,
  begin: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const controllers = times(count, () => new AbortController())
  const waits = controllers.map(({ signal }) => begin(signal).catch(() => undefined))
  for (let index = 0; index < count; index += 2) controllers[index]!.abort()
  for (let index = count - 1; index >= 0; index--) controllers[index]!.abort()
  await Promise.all(waits)
}

async function runItems(count: number): Promise<void> {
  const { sender, receiver } = createChannel<number>({ capacity: count })
  for (let index = 0; index < count; index++) sender.trySend(index)
  for (let index = 0; index < count; index++) await receiver.receive()
}

async function runReceivers(count: number): Promise<void> {
  const { sender, receiver } = createChannel<number>({ capacity: 1 })
  const waits = times(count, () => receiver.receive())
  for (let index = 0; index < count; index++) sender.trySend(index)
  await Promise.all(waits)
}

async function runSenders(count: number): Promise<void> {
  const { sender, receiver } = createChannel<number>({ capacity: 1 })
  const waits = times(count, (index) => sender.send(index))
  for (let index = 0; index < count; index++) await receiver.receive()
  await Promise.all(waits)
}

/** Armed in no order, and disarmed in another. */
async function runTimers(count: number): Promise<void> {
  const timers = times(count, (index) => once(HOUR_MS + ((index * 7919) % count), () => undefined))
  for (const timer of timers) timer.destroy()
}

function runTasks(count: number): Promise<unknown> {
  return Promise.all(times(count, () => spawn(() => 1)))
}
