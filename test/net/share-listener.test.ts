/** Listeners that share one socket, and listeners that share one port. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { confine, createDeferred, Executor } from '../../src/executor/index.ts'
import { TcpListener, type TcpListenerShare, TcpStream } from '../../src/net/index.ts'
import { SimKernel } from '../../src/sim/index.ts'
import { limited } from '../limits.ts'
import { testOnBoth } from './both-kernels.ts'
import { holdings, ignore, until } from './support.ts'

const LIMIT = limited(60_000)
const CONNECTIONS = 200

/** As it is when it has been posted. */
function post(share: TcpListenerShare): TcpListenerShare {
  return structuredClone(share)
}

testOnBoth('adopt() makes a listener that accepts from the same socket', async () => {
  await using first = await TcpListener.bind({ port: 0 })
  await using second = TcpListener.adopt(post(first.share()))
  const accepting = second.accept()

  await using client = await TcpStream.connect({ port: first.address.port })
  await using server = await accepting

  assert.deepEqual(second.address, first.address)
  assert.deepEqual(server.remoteAddress, client.localAddress)
})

testOnBoth('a share is adopted as often as asked, and stays the same', async () => {
  await using first = await TcpListener.bind({ port: 0 })
  const share = first.share()
  await using second = TcpListener.adopt(share)
  await using third = TcpListener.adopt(second.share())

  assert.deepEqual(second.share(), share)
  assert.deepEqual(third.share(), first.share())
})

testOnBoth(
  'closing one listener leaves the others accepting; the last one closes the socket',
  async () => {
    const first = await TcpListener.bind({ port: 0 })
    const share = first.share()
    const { port } = first.address
    const second = TcpListener.adopt(share)
    const third = TcpListener.adopt(share)
    const calls = [first.accept(), second.accept(), third.accept()]
    const refused = calls
      .slice(0, 2)
      .map((call) => assert.rejects(call, { code: 'ERR_HANDLE_CLOSED' }))

    await first.close()
    await second.close()

    await Promise.all(refused)
    const client = await TcpStream.connect({ port })
    const server = await calls[2]!
    await using fourth = TcpListener.adopt(share)
    await third.close()
    await fourth.close()
    assert.throws(() => TcpListener.adopt(share), { code: 'ERR_HANDLE_CLOSED' })
    await assert.rejects(TcpStream.connect({ port }), { code: 'ECONNREFUSED' })
    await Promise.all([client.close(), server.close()])
  },
)

testOnBoth(
  'a listener that was accepting before it is shared lets others have their turn',
  async () => {
    await using first = await TcpListener.bind({ port: 0 })
    const early = first.accept()
    await using warm = await TcpStream.connect({ port: first.address.port })
    await using served = await early
    await using second = TcpListener.adopt(first.share())

    // Nobody waits at the first.
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => TcpStream.connect({ port: first.address.port })),
    )
    const servers: TcpStream[] = []
    while (servers.length < clients.length) servers.push(await second.accept())

    assert.equal(servers.length, 20)
    await Promise.all([...clients, ...servers].map((stream) => stream.close()))
    assert.ok(!warm.isClosed && !served.isClosed)
  },
)

testOnBoth('a call that was given up takes no connection from other listeners', async () => {
  await using first = await TcpListener.bind({ port: 0 })
  await using second = TcpListener.adopt(first.share())
  await assert.rejects(first.accept({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  const controller = new AbortController()
  const aborted = first.accept({ signal: controller.signal })
  controller.abort(new Error('enough'))
  await assert.rejects(aborted, /enough/)

  for (let count = 0; count < 10; count++) {
    const accepting = second.accept()
    await using client = await TcpStream.connect({ port: first.address.port })
    await using server = await accepting
    assert.deepEqual(server.remoteAddress, client.localAddress)
  }
})

testOnBoth('shared listeners leave nothing behind', async () => {
  const before = holdings().fdCount
  for (let round = 0; round < 20; round++) {
    const first = await TcpListener.bind({ port: 0 })
    const second = TcpListener.adopt(first.share())
    void first.accept().catch(ignore)
    void second.accept().catch(ignore)
    await Promise.all([first.close(), second.close()])
  }
  assert.equal(holdings().fdCount, before)
})

testOnBoth('what is no share is refused by name, and so is sharing what is closed', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const share = listener.share()

  for (const [wrong, kind] of [
    [null, TypeError],
    [{}, TypeError],
    [{ ...share, kind: 'TcpStream' }, TypeError],
    [{ ...share, name: 0.5 }, RangeError],
    [{ ...share, port: 1 }, TypeError],
  ] as const) {
    assert.throws(() => TcpListener.adopt(wrong as never), kind)
  }
  assert.throws(() => TcpListener.adopt({ ...share, name: 2 ** 52 }), { code: 'ERR_HANDLE_CLOSED' })
  await listener.close()
  assert.throws(() => listener.share(), { code: 'ERR_HANDLE_CLOSED' })
  assert.throws(() => TcpListener.adopt(share), { code: 'ERR_HANDLE_CLOSED' })
})

test('the end of the thread that bound it breaks no other simulated thread', async () => {
  for (let seed = 0; seed < 30; seed++) {
    const stuck = createDeferred<never>()
    const onStuck = (reason: string): void => stuck.reject(new Error(`seed ${seed}: ${reason}`))
    const kernel = new SimKernel({ seed }, { onStuck, turnCountMax: 100_000 })
    const executors = [kernel, kernel.thread(), kernel.thread()].map((each, index) => {
      const small = { name: `shard ${index}`, ringDepth: 16, ioMemoryBytes: 256 * 1024 }
      const made = new Executor({ ...small, kernel: each })
      confine(made)
      return made
    })
    const shared = createDeferred<TcpListenerShare>()
    const adopted = createDeferred<void>()
    const left = createDeferred<void>()
    const [first, second, third] = executors.map(
      (owner) => (main: () => Promise<void>) => owner.spawnInto(owner.defaultQueue, main),
    )
    const owner = first!(async () => {
      const listener = await TcpListener.bind({ port: 0 })
      void listener.accept().catch(ignore)
      shared.resolve(listener.share())
      await adopted.promise
    })
    const taker = second!(async () => {
      await using listener = TcpListener.adopt(await shared.promise)
      adopted.resolve()
      await left.promise
      for (let count = 0; count < 5; count++) await (await listener.accept()).close()
    })
    const client = third!(async () => {
      await left.promise
      const { port } = (await shared.promise).address
      for (let count = 0; count < 5; count++) {
        await using stream = await TcpStream.connect({ port })
        assert.equal(await stream.read(), null, `seed ${seed}`)
      }
    })

    await Promise.race([owner, stuck.promise])
    executors[0]!.leave()
    left.resolve()

    await Promise.race([Promise.all([taker, client]), stuck.promise])
    executors[1]!.leave()
    executors[2]!.leave()
    assert.deepEqual(kernel.leftovers().descriptors, [], `seed ${seed}`)
  }
})

interface Acceptor {
  readonly worker: Worker
  readonly counts: Int32Array
  readonly index: number
}

/** Threads that accept until they are told to stop, or terminated, and count how many. */
async function startAcceptors(workerData: object, count: number): Promise<Acceptor[]> {
  const counts = new Int32Array(new SharedArrayBuffer(4 * count))
  const acceptors = Array.from({ length: count }, (_, index) => {
    const data = { ...workerData, counts, index }
    const worker = new Worker(new URL('./accepting-worker.js', import.meta.url), {
      workerData: data,
    })
    return { worker, counts, index }
  })
  await Promise.all(acceptors.map(({ worker }) => once(worker, 'message')))
  return acceptors
}

/** Connects one by one, each answered by whoever has accepted it. */
async function connectAll(port: number, count: number): Promise<void> {
  for (let done = 0; done < count; done++) {
    await using client = await TcpStream.connect({ port })
    assert.equal(await client.read(), null)
  }
}

test('threads take connections of a shared socket in turns', LIMIT, async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const acceptors = await startAcceptors({ share: listener.share() }, 2)

  await connectAll(listener.address.port, CONNECTIONS)

  const counts = [...acceptors[0]!.counts]
  assert.equal(counts[0]! + counts[1]!, CONNECTIONS)
  for (const count of counts) assert.ok(count >= CONNECTIONS / 4, `shares are ${counts.join(', ')}`)
  await Promise.all(acceptors.map(({ worker }) => worker.terminate()))
})

test(
  'a thread that is terminated leaves the others accepting, whoever bound the socket',
  LIMIT,
  async () => {
    const [binder] = await startAcceptors({ port: 0 }, 1)
    binder!.worker.postMessage('share')
    const [share] = (await once(binder!.worker, 'message')) as [TcpListenerShare]
    const acceptors = await startAcceptors({ share }, 2)
    const { port } = share.address
    await connectAll(port, 20)

    await binder!.worker.terminate()
    await connectAll(port, 20)
    await acceptors[0]!.worker.terminate()
    await connectAll(port, 20)
    await acceptors[1]!.worker.terminate()

    await assert.rejects(TcpStream.connect({ port }), { code: 'ECONNREFUSED' })
    assert.throws(() => TcpListener.adopt(share), { code: 'ERR_HANDLE_CLOSED' })
  },
)

test(
  'a thread that is busy takes no connection of a shared socket from those that are not',
  LIMIT,
  async () => {
    await using listener = await TcpListener.bind({ port: 0 })
    const acceptors = await startAcceptors({ share: listener.share() }, 2)
    acceptors[0]!.worker.postMessage('block')
    await until(() => Atomics.load(acceptors[0]!.counts, 0) === -1)

    // One at most waits for the thread that is blocked: it was chosen before it could be known to be busy.
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => TcpStream.connect({ port: listener.address.port })),
    )
    await until(() => Atomics.load(acceptors[1]!.counts, 1) >= 19)

    Atomics.store(acceptors[0]!.counts, 0, 0)
    Atomics.notify(acceptors[0]!.counts, 0)
    for (const client of clients) {
      assert.equal(await client.read(), null)
      await client.close()
    }
    await Promise.all(acceptors.map(({ worker }) => worker.terminate()))
  },
)

test('threads that listen on one port each get a part of its connections', LIMIT, async () => {
  const [first] = await startAcceptors({ port: 0, reusePort: true }, 1)
  first!.worker.postMessage('share')
  const [{ address }] = (await once(first!.worker, 'message')) as [TcpListenerShare]
  const [second] = await startAcceptors({ port: address.port, reusePort: true }, 1)

  await connectAll(address.port, CONNECTIONS)

  const counts = [first!.counts[0]!, second!.counts[0]!]
  assert.equal(counts[0]! + counts[1]!, CONNECTIONS)
  for (const count of counts) assert.ok(count >= CONNECTIONS / 5, `parts are ${counts.join(', ')}`)
  await Promise.all([first!.worker.terminate(), second!.worker.terminate()])
})
