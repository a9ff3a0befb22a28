/** Code that tries again whatever comes, where nothing can be had any more: it lets Node's loop run all the same. */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { createChannel } from '../../src/channels/index.ts'
import { currentOrNull } from '../../src/executor/index.ts'
import {
  attachExecutor,
  createTaskQueue,
  type Executor,
  scope,
  spawn,
  spawnInto,
  type TaskQueue,
  yieldNow,
} from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { Gate, Mutex, Semaphore } from '../../src/sync/index.ts'
import { SimKernel } from '../../src/testing/index.ts'
import { sleep, timeout } from '../../src/time/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
/** No loop gets there that lets go of the thread. */
const TRIES_MAX = 300_000
const HOUR_MS = 3_600_000

afterEach(async () => currentOrNull()?.close())

function onBoth(name: string, body: (attached: Executor) => Promise<void>): void {
  test(`${name} [linux]`, LIMIT, () => body(attachExecutor()))
  test(`${name} [sim]`, LIMIT, () =>
    body(attachExecutor({ kernel: new SimKernel({ seed: 1 }), ioMemoryBytes: 1 << 20 })),
  )
}

/** What the calls are made on. */
interface Things {
  readonly path: string
  readonly buffered: BufferedFile
  readonly appended: BufferedFile
  readonly direct: DirectFile
  readonly listener: TcpListener
  readonly stream: TcpStream
  readonly closedStream: TcpStream
  readonly closedGate: Gate
  readonly queue: TaskQueue
}

async function prepare(): Promise<Things> {
  const path = join(tmpdir(), `percore-retry-${process.pid}`)
  const buffered = await BufferedFile.create(path)
  const appended = await BufferedFile.open(path, { append: true })
  const direct = await DirectFile.open(path, { read: true, write: true, fallback: 'buffered' })
  await buffered.remove()
  const listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const stream = await TcpStream.connect({ port: listener.address.port })
  const closedStream = await accepting
  await closedStream.close()
  const closedGate = new Gate()
  await closedGate.close()
  const queue = createTaskQueue('of the calls')
  return { path, buffered, appended, direct, listener, stream, closedStream, closedGate, queue }
}

const BYTES = new Uint8Array(100)

/** What a program may try again and again: not what it can do without waiting, cancelled or not. */
const CALLS: Record<string, (things: Things) => Promise<unknown>> = {
  'BufferedFile.open()': ({ path }) => BufferedFile.open(path),
  'BufferedFile.read()': ({ buffered }) => buffered.read(0, 10),
  'BufferedFile.readInto()': ({ buffered }) => buffered.readInto(new Uint8Array(10), 0),
  'BufferedFile.write()': ({ buffered }) => buffered.write(BYTES, 0),
  'BufferedFile.append()': ({ appended }) => appended.append(BYTES),
  'BufferedFile.stat()': ({ buffered }) => buffered.stat(),
  'BufferedFile.size()': ({ buffered }) => buffered.size(),
  'BufferedFile.sync()': ({ buffered }) => buffered.sync(),
  'BufferedFile.datasync()': ({ buffered }) => buffered.datasync(),
  'BufferedFile.allocate()': ({ buffered }) => buffered.allocate(10),
  'BufferedFile.punch()': ({ buffered }) => buffered.punch(0, 10),
  'BufferedFile.truncate()': ({ buffered }) => buffered.truncate(10),
  'BufferedFile.rename()': ({ buffered, path }) => buffered.rename(`${path}-2`),
  'BufferedFile.remove()': ({ buffered }) => buffered.remove(),
  'DirectFile.open()': ({ path }) => DirectFile.open(path),
  'DirectFile.read()': ({ direct }) => direct.read(0, 10),
  'DirectFile.writeBytes()': ({ direct }) => direct.writeBytes(BYTES, 0),
  'TcpListener.bind()': ({ listener }) => TcpListener.bind({ port: listener.address.port }),
  'TcpListener.accept()': ({ listener }) => listener.accept(),
  'TcpStream.connect()': ({ listener }) => TcpStream.connect({ port: listener.address.port }),
  'TcpStream.read()': ({ stream }) => stream.read(),
  'TcpStream.write()': ({ stream }) => stream.write(BYTES),
  'TcpStream.shutdown()': ({ stream }) => stream.shutdown(),
  'TcpStream.read() once closed': ({ closedStream }) => closedStream.read(),
  'TcpStream.write() once closed': ({ closedStream }) => closedStream.write(BYTES),
  'TcpStream.shutdown() once closed': ({ closedStream }) => closedStream.shutdown(),
  'Gate.run() once closed': ({ closedGate }) => closedGate.run(nothing),
  'Mutex.runExclusive()': () => new Mutex(1).runExclusive(nothing),
  'Semaphore.acquire()': () => new Semaphore(1).acquire(),
  'Receiver.receive()': () => createChannel({ capacity: 1 }).receiver.receive(),
  'Sender.send()': () => createChannel<number>({ capacity: 1 }).sender.send(1),
  'sleep()': () => sleep(1),
  'timeout()': () => timeout(1, () => sleep(HOUR_MS)),
  'yieldNow()': () => yieldNow(),
  'scope()': () => scope(nothing),
  'spawn()': async () => spawn(nothing),
  'spawnInto()': async ({ queue }) => spawnInto(queue, nothing),
}

/** Tries everything at once, each again and again until `isOver`; fails if one never lets go of the thread. */
async function tryAll(
  things: Things,
  isOver: () => boolean,
  calls = Object.entries(CALLS),
): Promise<void> {
  const loops = calls.map(async ([name, call]) => {
    for (let count = 0; !isOver(); count++) {
      assert.ok(count < TRIES_MAX, `${name} lets nobody else run`)
      try {
        await call(things)
      } catch {}
    }
  })
  await Promise.all(loops)
}

/** Whether Node's loop has gone round some times since. */
function someRounds(): () => boolean {
  let leftCount = 5
  const goRound = (): void => {
    leftCount--
    if (leftCount > 0) setImmediate(goRound)
  }
  setImmediate(goRound)
  return () => leftCount === 0
}

onBoth('a cancelled task that tries again and again lets others run', async () => {
  const things = await prepare()
  const task = spawn(async () => {
    await sleep(HOUR_MS).catch(nothing)
    await tryAll(things, someRounds())
    return 'over'
  })
  await yieldNow()
  await yieldNow()

  assert.equal(await task.cancel(), 'over')
})

test('what tries again and again as its executor closes lets it close', LIMIT, async () => {
  const attached = attachExecutor()
  const things = await prepare()
  const isOver = someRounds()

  const closing = attached.close()
  await tryAll(things, () => isOver() && attached.isClosed)

  await closing
})

test('what tries again and again on a closed executor lets others run', LIMIT, async () => {
  const attached = attachExecutor()
  const things = await prepare()
  // The others are begun on the executor that comes next.
  const calls = Object.entries(CALLS).filter(([, call]) => call.length > 0)

  await attached.close()
  await tryAll(things, someRounds(), calls)

  assert.ok(attached.isClosed)
})

test('a task that tries for ever is left as its executor closes', LIMIT, async () => {
  const attached = attachExecutor()
  const things = await prepare()
  const task = spawn(() => tryAll(things, () => false))
  await yieldNow()
  await yieldNow()

  await attached.close()

  await assert.rejects(task, { code: 'ERR_EXECUTOR_CLOSED' })
})

function nothing(): void {}
