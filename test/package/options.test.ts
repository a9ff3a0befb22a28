import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { BlockingPool, blocking, spawnBlocking } from '../../src/blocking/index.ts'
import {
  attachBroadcastReceiver,
  attachBroadcastSender,
  attachMpscReceiver,
  attachMpscSender,
  attachOneshotReceiver,
  attachOneshotSender,
  attachReceiver,
  attachSender,
  attachThreadSender,
  attachWatchReader,
  attachWatchWriter,
  createBroadcast,
  createChannel,
  createMesh,
  createMpscChannel,
  createSharedChannel,
  createSharedOneshot,
  createSharedWatch,
  joinMesh,
} from '../../src/channels/index.ts'
import { BacklogController, DeadlineQueue } from '../../src/controllers/index.ts'
import { createTaskQueue, executor, scope, spawn, spawnInto } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import {
  assertSameListeners,
  serve,
  TcpListener,
  TcpStream,
  UdpSocket,
  UnixDatagramSocket,
  UnixListener,
  UnixStream,
} from '../../src/net/index.ts'
import { defineService, ExecutorPool, Runtime, ShardedService } from '../../src/runtime/index.ts'
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
import { SimKernel, simTopology, simulate } from '../../src/testing/index.ts'
import { Interval, once, onceAt, repeat, sleep, sleepUntil, timeout } from '../../src/time/index.ts'
import { CpuSet, PoolPlacement } from '../../src/topology/index.ts'
import { byteCalls } from './byte-options.ts'

/** Options that nothing knows. */
const nonsense = { nonsense: 1 } as never

function nothing(): void {}

const queue = createTaskQueue('options')
const channel = createChannel<number>({ capacity: 1 })
const interval = new Interval(1000)
const listener = await TcpListener.bind({ port: 0 })
const accepting = listener.accept()
const server = serve((await TcpListener.bind({ port: 0 })).unref(), () => {})
const [local] = UnixStream.pair()
const stream = await TcpStream.connect({ port: listener.address.port })
const accepted = await accepting
const datagrams = await UdpSocket.connect({ port: listener.address.port })
const localDatagrams = UnixDatagramSocket.open()
const path = join(tmpdir(), `percore-options-${process.pid}`)
const direct = await DirectFile.create(path, { fallback: 'buffered' })
const block = direct.allocateBuffer(512)
const buffered = await BufferedFile.open(path, { append: true, read: true })
const replaced = await BufferedFile.open(path, { write: true })

const shared = createSharedChannel<number>({ capacity: 1 })
const sharedSender = attachSender(shared)
const threadSender = attachThreadSender(createSharedChannel<number>({ capacity: 1 }))
const sharedReceiver = attachReceiver(shared)
const broadcast = createBroadcast<number>({ capacity: 1, receivers: 1 })
const broadcastSender = attachBroadcastSender(broadcast)
const broadcastReceiver = attachBroadcastReceiver(broadcast)
const mesh = joinMesh(createMesh<number>({ capacity: 1, shards: 1 }), 0)
const oneshotReceiver = attachOneshotReceiver(createSharedOneshot<number>())
const watchReader = attachWatchReader(createSharedWatch<number>())

const work = new URL('../runtime/work.js', import.meta.url)
const program = `data:text/javascript,${encodeURIComponent('export default () => 1')}`
const [cpu] = CpuSet.allowed()
const [runtime, pool] = await Promise.all([
  Runtime.start({
    cpus: CpuSet.allowed().filter(({ id }) => id === cpu!.id),
    executor: { ioMemoryBytes: 64 * 1024 },
  }),
  ExecutorPool.start({
    module: program,
    placement: PoolPlacement.unbound(1),
    executor: { ioMemoryBytes: 64 * 1024 },
  }),
])
/** As it is where it runs, but that nothing can be called: what is refused is refused before. */
const service = new ShardedService<{ one(): void }>({
  name: 'options',
  shardId: 0,
  shardCount: 1,
  instance: {},
  methods: ['one'],
  call: () => Promise.resolve(),
  leave: () => Promise.resolve(),
})
const runtimeListener = await runtime.listen({ port: 0, module: program })
const [context] = runtime.contexts
const [driver] = runtime.drivers
const ofBytes = await byteCalls(stream)

after(async () => {
  interval.close()
  await ofBytes.close()
  await Promise.all([runtime.stop(), pool.stop()])
  const ends = [sharedSender, sharedReceiver, broadcastSender, broadcastReceiver, watchReader]
  for (const end of [...ends, oneshotReceiver]) end.close()
  mesh[Symbol.dispose]()
  block.release()
  await direct.remove()
  for (const closable of [direct, buffered, replaced, stream, accepted, listener]) {
    await closable.close()
  }
})

/** What answers with a promise: it rejects, whatever it was given. */
const ASYNCHRONOUS: Readonly<Record<string, () => Promise<unknown>>> = {
  ...ofBytes.asynchronous,
  'Barrier.arrive': () => new Barrier(2).arrive(nonsense),
  'Barrier.arrive as the last': () => new Barrier(1).arrive(nonsense),
  'BlockingModule.call': () =>
    blocking<typeof import('../runtime/work.ts')>(work).call('double', [1], nonsense),
  'BlockingPool.call': () => new BlockingPool().call(work, 'double', [1], nonsense),
  'BroadcastSender.send': () => broadcastSender.send(1, nonsense),
  'BufferedFile.append': () => buffered.append(new Uint8Array(1), nonsense),
  'BufferedFile.create': () => BufferedFile.create(path, nonsense),
  'BufferedFile.open': () => BufferedFile.open(path, nonsense),
  'BufferedFile.open as a direct file': () =>
    BufferedFile.open(path, { fallback: 'buffered' } as never),
  'BufferedFile.read': () => buffered.read(0, 1, nonsense),
  'BufferedFile.readInto': () => buffered.readInto(new Uint8Array(1), 0, nonsense),
  'BufferedFile.write': () => replaced.write(new Uint8Array(1), 0, nonsense),
  'ChannelReceiver.receive': () => channel.receiver.receive(nonsense),
  'ChannelSender.send': () => channel.sender.send(1, nonsense),
  'Condition.wait': () => new Condition().wait(() => false, nonsense),
  'Condition.wait for what holds': () => new Condition().wait(() => true, nonsense),
  'Context.run': () => context!.run({ module: work, name: 'whereAmI' }, nonsense),
  'Context.run with work': () =>
    context!.run({ module: work, name: 'whereAmI', nonsense: 1 } as never),
  'DirectFile.allocate': () => direct.allocate(1, nonsense),
  'DirectFile.create': () => DirectFile.create(path, nonsense),
  'DirectFile.datasync': () => direct.datasync(nonsense),
  'DirectFile.detach': () => direct.detach(nonsense),
  'DirectFile.open': () => DirectFile.open(path, nonsense),
  'DirectFile.punch': () => direct.punch(0, 1, nonsense),
  'DirectFile.read': () => direct.read(0, 1, nonsense),
  'DirectFile.readInto': () => direct.readInto(block, 0, nonsense),
  'DirectFile.remove': () => direct.remove(nonsense),
  'DirectFile.rename': () => direct.rename(`${path}.new`, nonsense),
  'DirectFile.size': () => direct.size(nonsense),
  'DirectFile.stat': () => direct.stat(nonsense),
  'DirectFile.sync': () => direct.sync(nonsense),
  'DirectFile.truncate': () => direct.truncate(0, nonsense),
  'DirectFile.write': () => direct.write(block, 0, nonsense),
  'DirectFile.writeBytes': () => direct.writeBytes(new Uint8Array(1), 0, nonsense),
  'Driver.run': () => driver!.run({ module: work, name: 'whereAmI' }, nonsense),
  'Driver.run with work': () =>
    driver!.run({ module: work, name: 'whereAmI', nonsense: 1 } as never),
  'Event.wait': () => new Event().wait(nonsense),
  'ExecutorPool.start': () =>
    ExecutorPool.start({ module: program, shards: 1, nonsense: 1 } as never),
  'ExecutorPool.start with an executor': () =>
    ExecutorPool.start({ module: program, executor: nonsense }),
  'ExecutorPool.start with a heap': () => ExecutorPool.start({ module: program, heap: nonsense }),
  'ExecutorPool.start with restarts': () =>
    ExecutorPool.start({ module: program, restart: nonsense }),
  'ExecutorPool.stop': () => pool.stop(nonsense),
  'Gate.close': () => new Gate().close(nonsense),
  'Latch.arriveAndWait': () => new Latch(2).arriveAndWait(nonsense),
  'Latch.wait': () => new Latch(1).wait(nonsense),
  'Mesh.send': () => mesh.send(0, 1, nonsense),
  'Mutex.lock': () => new Mutex(0).lock(nonsense),
  'Mutex.runExclusive': () => new Mutex(0).runExclusive(nothing, nonsense),
  'RwLock.read': () => new RwLock(0).read(nonsense),
  'RwLock.write': () => new RwLock(0).write(nonsense),
  'Runtime.listen': () => runtime.listen(nonsense),
  'Runtime.start': () => Runtime.start(nonsense),
  'Runtime.start with an executor': () => Runtime.start({ executor: nonsense }),
  'Runtime.stop': () => runtime.stop(nonsense),
  'RuntimeListener.close': () => runtimeListener.close(nonsense),
  'Semaphore.acquire': () => new Semaphore(1).acquire(1, nonsense),
  'Semaphore.acquire of what is not free': () => new Semaphore(0).acquire(1, nonsense),
  'SharedOneshotReceiver.receive': () => oneshotReceiver.receive(nonsense),
  'SharedReceiver.receive': () => sharedReceiver.receive(nonsense),
  'SharedReceiver.receive of many senders': () => mesh.receiver.receive(nonsense),
  'SharedReceiver.receiveInto': () => sharedReceiver.receiveInto([0], nonsense),
  'SharedReceiver.receiveBatch': () => sharedReceiver.receiveBatch(1, nonsense),
  'ThreadSender.send': () => threadSender.send(1, nonsense),
  'ThreadSender.sendBatch': () => threadSender.sendBatch([1], nonsense),
  'ShardedService.submitTo': () => service.submitTo(0, 'one', [], nonsense),
  'SharedSender.send': () => sharedSender.send(1, nonsense),
  'SharedSender.sendBatch': () => sharedSender.sendBatch([1], nonsense),
  'SharedWatchReader.changed': () => watchReader.changed(nonsense),
  'StreamListener.accept': () => listener.accept(nonsense),
  'DatagramSocket.receive': () => datagrams.receive(nonsense),
  'DatagramSocket.receiveLease': () => datagrams.receiveLease(nonsense),
  'DatagramSocket.peek': () => datagrams.peek(nonsense),
  'UdpSocket.bind': () => UdpSocket.bind({ port: 0, hots: '127.0.0.1' } as never),
  'UdpSocket.connect': () => UdpSocket.connect({ port: 1, hots: '127.0.0.1' } as never),
  'UdpSocket.send': () => datagrams.send(new Uint8Array(1), nonsense),
  'UnixDatagramSocket.bind': () => UnixDatagramSocket.bind({ path: '/x', hots: '' } as never),
  'UnixDatagramSocket.connect': () => UnixDatagramSocket.connect({ path: '/x', hots: '' } as never),
  'UnixDatagramSocket.send': () => localDatagrams.send(new Uint8Array(1), nonsense),
  'UnixListener.bind': () => UnixListener.bind({ path: '/x', hots: '127.0.0.1' } as never),
  'UnixStream.connect': () => UnixStream.connect({ path: '/x', hots: '127.0.0.1' } as never),
  'TcpListener.bind': () => TcpListener.bind({ port: 0, hots: '127.0.0.1' } as never),
  'TcpStream.connect': () => TcpStream.connect({ port: 1, hots: '127.0.0.1' } as never),
  'TcpStream.detach': () => stream.detach(nonsense),
  'StreamServer.stop': () => server.stop(nonsense),
  'UnixStream.sendDescriptors': () =>
    local.sendDescriptors(new Uint8Array(1), [1], nonsense as never),
  'UnixStream.receiveDescriptors': () => local.receiveDescriptors(nonsense),
  'UnixStream.detach': () => local.detach(nonsense),
  'StreamSocket.read': () => stream.read(nonsense),
  'StreamSocket.readLease': () => stream.readLease(nonsense),
  'StreamSocket.readInto': () => stream.readInto(new Uint8Array(1), nonsense),
  'StreamSocket.shutdown': () => stream.shutdown(nonsense),
  'StreamSocket.write': () => stream.write(new Uint8Array(1), nonsense),
  scope: () => scope(nothing, nonsense),
  simulate: () => simulate({ nonsense: 1 } as never, nothing),
  'simulate with an executor': () => simulate({ executor: nonsense }, nothing),
  'simulate with faults': () => simulate({ faults: { shortRed: 0.5 } as never }, nothing),
  'simulate with errors': () => simulate({ faults: { errors: { EOI: 0.5 } as never } }, nothing),
  sleep: () => sleep(0, nonsense),
  sleepUntil: () => sleepUntil(0, nonsense),
  spawnBlocking: () => spawnBlocking(work, 'double', [1], nonsense),
  timeout: () => timeout(1000, Promise.resolve(), nonsense),
}

/** What answers at once: it throws. */
const SYNCHRONOUS: Readonly<Record<string, () => unknown>> = {
  ...ofBytes.synchronous,
  'ShardedService.on': () => service.on(0, nonsense),
  defineService: () => defineService('options', () => ({}), nonsense),
  'Context.pick': () => context!.pick(nonsense),
  'DirectFile.duplicate': () => direct.duplicate(nonsense),
  'Executor.createTaskQueue': () => executor().createTaskQueue('other', nonsense),
  'Executor.detectStalls': () => executor().detectStalls(nonsense),
  'Gate.spawn': () => new Gate().spawn(nothing, nonsense),
  'Gate.spawnInto': () => new Gate().spawnInto(queue, nothing, nonsense),
  'StreamSocket.setTimeouts': () => stream.setTimeouts(nonsense),
  'StreamSocket.consume': () => stream.consume({ onChunk: nothing, onEnd: nothing }, nonsense),
  'DatagramSocket.consume': () =>
    datagrams.consume({ onDatagram: nothing, onEnd: nothing }, nonsense),
  'UdpSocket.joinGroup': () => datagrams.joinGroup('239.0.0.1', nonsense),
  'UdpSocket.leaveGroup': () => datagrams.leaveGroup('239.0.0.1', nonsense),
  'UnixDatagramSocket.open': () => UnixDatagramSocket.open(nonsense),
  'UnixDatagramSocket.pair': () => UnixDatagramSocket.pair(nonsense),
  'TcpListener.bindNow': () => TcpListener.bindNow({ port: 0, nonsense: 1 } as never),
  'TcpListener.adopt': () => TcpListener.adopt({ ...listener.share(), nonsense: 1 } as never),
  'TcpStream.adopt': () => TcpStream.adopt(nonsense),
  serve: () => serve(listener, nothing, nonsense),
  assertSameListeners: () =>
    assertSameListeners({ name: 'a', options: { port: 1 } }, { name: 'b', options: nonsense }),
  attachBroadcastReceiver: () =>
    attachBroadcastReceiver(createBroadcast({ capacity: 1, receivers: 1 }), nonsense),
  attachBroadcastSender: () =>
    attachBroadcastSender(createBroadcast({ capacity: 1, receivers: 1 }), nonsense),
  attachMpscReceiver: () =>
    attachMpscReceiver(createMpscChannel({ capacity: 1, senders: 1 }), nonsense),
  attachMpscSender: () =>
    attachMpscSender(createMpscChannel({ capacity: 1, senders: 1 }), nonsense),
  attachOneshotReceiver: () => attachOneshotReceiver(createSharedOneshot(), nonsense),
  attachOneshotSender: () => attachOneshotSender(createSharedOneshot(), nonsense),
  attachReceiver: () => attachReceiver(createSharedChannel({ capacity: 1 }), nonsense),
  'attachReceiver with a codec': () =>
    attachReceiver(createSharedChannel({ capacity: 1, codec: 'custom' }), {
      codec: { encode: nothing, decode: nothing, nonsense: 1 } as never,
    }),
  attachThreadSender: () => attachThreadSender(createSharedChannel({ capacity: 1 }), nonsense),
  attachSender: () => attachSender(createSharedChannel({ capacity: 1 }), nonsense),
  attachWatchReader: () => attachWatchReader(createSharedWatch(), nonsense),
  attachWatchWriter: () => attachWatchWriter(createSharedWatch(), nonsense),
  createBroadcast: () => createBroadcast({ capacity: 1, receivers: 1, nonsense: 1 } as never),
  createChannel: () => createChannel({ capacity: 1, nonsense: 1 } as never),
  createMesh: () => createMesh({ capacity: 1, shards: 1, nonsense: 1 } as never),
  createMpscChannel: () => createMpscChannel({ capacity: 1, senders: 1, nonsense: 1 } as never),
  createSharedChannel: () => createSharedChannel({ capacity: 1, nonsense: 1 } as never),
  createSharedOneshot: () => createSharedOneshot(nonsense),
  createSharedWatch: () => createSharedWatch(nonsense),
  createTaskQueue: () => createTaskQueue('other', { share: 1 } as never),
  'createTaskQueue of a latency class': () =>
    createTaskQueue('other', { latency: { maxMs: 1, nonsense: 1 } as never }),
  joinMesh: () => joinMesh(createMesh({ capacity: 1, shards: 1 }), 0, nonsense),
  'new BacklogController': () =>
    new BacklogController(() => 0, { points: [[0, 1]], nonsense: 1 } as never),
  'new BlockingPool': () => new BlockingPool(nonsense),
  'new DeadlineQueue': () => new DeadlineQueue('deadline', nonsense),
  'new DeadlineQueue with a latency class': () =>
    new DeadlineQueue('deadline', { latency: { maxMs: 1, nonsense: 1 } as never }),
  'new Interval': () => new Interval(1, nonsense),
  'new SimKernel': () => new SimKernel(nonsense),
  once: () => once(1, nothing, nonsense),
  onceAt: () => onceAt(1, nothing, nonsense),
  repeat: () => repeat(() => null, nonsense),
  simTopology: () => simTopology(nonsense),
  spawn: () => spawn(nothing, nonsense),
  spawnInto: () => spawnInto(queue, nothing, nonsense),
}

/** Agents and clients give these all the options they have, as they give them to Node's: most are for others. */
const LIKE_NODE = [
  'Socket.connect',
  'Socket.over',
  'connect',
  'connectTls',
  'createServer',
  'new RedisConnector',
  'new Server',
  'new Socket',
  'undiciConnect',
]

/** Asked in a test of their own; or an error's, which are given to `Error`; or of what the program gives. */
const ELSEWHERE = new Set([
  'attachExecutor',
  'MetricMeter.createObservableCounter',
  'MetricMeter.createObservableGauge',
  'Scope.spawn',
  'Scope.spawnInto',
  'new ChannelError',
  'new RuntimeError',
  ...LIKE_NODE,
])

/** As `Class.method` or `function`: what docs/api.txt says to take options. */
function listFunctionsWithOptions(): string[] {
  const path = new URL('../../../docs/api.txt', import.meta.url)
  let owner = ''
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      owner = /^(?:abstract )?(?:class|interface) (\w+)/.exec(line)?.[1] ?? owner
      if (!/\b(?:options|seedOrOptions)\??:/.test(line)) return []
      const free = /^function (\w+)/.exec(line)?.[1]
      if (free !== undefined) return [free]
      const method = /^ {2}(?:static )?(\w+)[(<]/.exec(line)?.[1]
      // A property that is named so takes nothing.
      if (method === undefined) return []
      return method === 'constructor' ? [`new ${owner}`] : [`${owner}.${method}`]
    })
}

test('every function that takes options is asked here', () => {
  const asked = new Set(
    [...Object.keys(ASYNCHRONOUS), ...Object.keys(SYNCHRONOUS)].map((name) =>
      name.replace(/ (?:as|for|of|with) .*/, '').replace('DirectFile.', 'BaseFile.'),
    ),
  )

  const missing = listFunctionsWithOptions().filter(
    (name) => !asked.has(name.replace('DirectFile.', 'BaseFile.')) && !ELSEWHERE.has(name),
  )

  assert.deepEqual(missing, [])
})

for (const [name, call] of Object.entries(ASYNCHRONOUS)) {
  test(`${name}() rejects when an option is unknown`, async () => {
    const promise = call()

    await assert.rejects(promise, { name: 'TypeError', message: /current value has '/ })
  })
}

for (const [name, call] of Object.entries(SYNCHRONOUS)) {
  test(`${name}() throws when an option is unknown`, () => {
    assert.throws(call, { name: 'TypeError', message: /current value has '/ })
  })
}

test('Scope.spawn() and spawnInto() throw when an option is unknown', async () => {
  await scope((inner) => {
    assert.throws(() => inner.spawn(nothing, nonsense), TypeError)
    assert.throws(() => inner.spawnInto(queue, nothing, nonsense), TypeError)
  })
})

test('an attach that is refused takes no place of the channel', () => {
  const channel = createMpscChannel<number>({ capacity: 1, senders: 1 })
  const broadcast = createBroadcast<number>({ capacity: 1, receivers: 1 })

  assert.throws(() => attachMpscSender(channel, nonsense), TypeError)
  assert.throws(() => attachBroadcastReceiver(broadcast, nonsense), TypeError)

  attachMpscSender(channel).close()
  attachBroadcastReceiver(broadcast).close()
})

test('a stop that is refused stops nothing', async () => {
  await assert.rejects(pool.stop({ deadlineMs: -1 }), RangeError)
  await assert.rejects(runtime.stop(nonsense), TypeError)

  assert.deepEqual(await runtime.contexts[0]!.run({ module: work, name: 'double', argument: 2 }), 4)
})

test('an unknown option is refused with the known one that it is a slip of', async () => {
  const connecting = TcpStream.connect({ port: 1, hots: 'localhost' } as never)

  await assert.rejects(connecting, /'hots'; did you mean 'host'\?$/)
  assert.throws(() => createTaskQueue('x', { share: 5 } as never), /did you mean 'shares'\?$/)
  await assert.rejects(sleep(1, { timeout: 5 } as never), /may have signal, keepsAlive only/)
})

test('a signal in the place of options is refused', async () => {
  const { signal } = new AbortController()

  await assert.rejects(new Mutex(0).lock(signal as never), TypeError)
  await assert.rejects(sleep(1, signal as never), TypeError)
})

test('a property that every object inherits is no unknown option', async () => {
  const everywhere = Object.prototype as { addedByALibrary?: boolean }
  everywhere.addedByALibrary = true
  try {
    await sleep(0, { keepsAlive: true })
    await new Mutex(0).lock({ timeoutMs: 1000 })
  } finally {
    delete everywhere.addedByALibrary
  }
})
