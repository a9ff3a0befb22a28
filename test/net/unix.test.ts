import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { executor } from '../../src/executor/index.ts'
import { BufferedFile, remove } from '../../src/io/index.ts'
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from '../../src/kernel/index.ts'
import { type StreamConsumer, UnixListener, UnixStream } from '../../src/net/index.ts'
import { encodeAddress } from '../../src/net/values/sockaddr.ts'
import { simulate } from '../../src/testing/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { holdings, pattern } from './support.ts'

const UNNAMED = { family: 'unix', path: null, abstractName: null }

/** Gives a path where nothing is. */
async function withPath(body: (path: string) => Promise<void>, name = 'socket'): Promise<void> {
  if (executor().kernel.name === 'sim') {
    await body(`/tmp/${name}`)
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'percore-unix-'))
  try {
    await body(join(folder, name))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

let nameCount = 0

function freshName(): string {
  return `percore-test-${process.pid}-${nameCount++}`
}

/** A bound socket that does not listen; closed, it leaves its name. */
function bindOnly(path: string): { readonly close: () => void } {
  const { kernel } = executor()
  const fd = kernel.openSocket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
  const raw = encodeAddress({ family: 'unix', path, abstractName: null })
  assert.equal(kernel.bindSocket(fd, raw), 0)
  return { close: () => assert.equal(kernel.closeFd(fd), 0) }
}

async function readAll(stream: UnixStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Both ends of a connection to it. */
async function connectTo(listener: UnixListener): Promise<[UnixStream, UnixStream]> {
  const accepting = listener.accept()
  const client = await UnixStream.connect(listener.address)
  return [client, await accepting]
}

async function assertServes(listener: UnixListener): Promise<void> {
  const [client, server] = await connectTo(listener)
  await client.write(pattern(0, 10))
  await client.shutdown()
  assert.deepEqual(new Uint8Array(await readAll(server)), pattern(0, 10))
  await client.close()
  await server.close()
}

testOnBoth('a listener at a path accepts, and both ends know who is where', () =>
  withPath(async (path) => {
    await using listener = await UnixListener.bind({ path })
    const [client, server] = await connectTo(listener)
    await using _client = client
    await using _server = server

    assert.deepEqual(listener.address, { family: 'unix', path, abstractName: null })
    assert.deepEqual(client.remoteAddress, listener.address)
    assert.deepEqual(server.localAddress, listener.address)
    assert.deepEqual([server.remoteAddress, client.localAddress], [UNNAMED, UNNAMED])
  }),
)

testOnBoth(
  'streams carry what is written both ways, whole, and end each way by itself',
  async () => {
    const before = holdings()
    const [one, other] = UnixStream.pair()
    const writing = Promise.all([
      one.write(pattern(0, 700_000)).then(() => one.shutdown()),
      other.write(pattern(7, 300_000)).then(() => other.shutdown()),
    ])

    const [atOther, atOne] = await Promise.all([readAll(other), readAll(one)])

    await writing
    assert.ok(Buffer.from(pattern(0, 700_000)).equals(atOther))
    assert.ok(Buffer.from(pattern(7, 300_000)).equals(atOne))
    await Promise.all([one.close(), other.close()])
    assert.deepEqual(holdings(), before)
  },
)

testOnBoth('end() leaves the other direction open', async () => {
  const [one, other] = UnixStream.pair()
  await one.shutdown()

  assert.equal(await other.read(), null)
  await other.write(pattern(0, 100))

  assert.deepEqual(await one.read(), pattern(0, 100))
  await assert.rejects(one.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  await Promise.all([one.close(), other.close()])
})

testOnBoth('a consumer serves streams of any kind', async () => {
  const echo: StreamConsumer = {
    onLease: (lease, stream) => stream.write(lease),
    onEnd: (_error, stream) => stream.close(),
  }
  const [one, other] = UnixStream.pair()
  other.consume(echo)

  await one.write(pattern(0, 5000))
  await one.shutdown()

  assert.deepEqual(new Uint8Array(await readAll(one)), pattern(0, 5000))
  await one.close()
})

testOnBoth(
  'a peer that closes with something unread is told by ECONNRESET, else by the end',
  async () => {
    const [one, other] = UnixStream.pair()
    await one.write(pattern(0, 10))
    const [third, fourth] = UnixStream.pair()

    await other.close()
    await fourth.abort()

    await assert.rejects(one.read(), { code: 'ECONNRESET' })
    assert.equal(await third.read(), null)
    await assert.rejects(third.write(pattern(0, 1)), { code: 'EPIPE' })
    await Promise.all([one.close(), third.close()])
  },
)

testOnBoth('peerCredentials() names the process at the other end', async () => {
  const listener = await UnixListener.bind({ abstractName: freshName() })
  const streams = [...(await connectTo(listener)), ...UnixStream.pair()]
  const { processId } = executor().kernel
  const isReal = executor().kernel.name === 'uring'

  for (const stream of streams) {
    const credentials = stream.peerCredentials()
    assert.equal(credentials.processId, processId)
    assert.equal(credentials.userId, isReal ? process.getuid!() : 0)
    assert.equal(credentials.groupId, isReal ? process.getgid!() : 0)
    await stream.close()
    assert.throws(() => stream.peerCredentials(), { code: 'ERR_HANDLE_CLOSED' })
  }
  await listener.close()
})

testOnBoth('an abstract name is one socket’s, and ends with it', async () => {
  const abstractName = freshName()
  const listener = await UnixListener.bind({ abstractName })

  await assertServes(listener)

  assert.deepEqual(listener.address, { family: 'unix', path: null, abstractName })
  await assert.rejects(UnixListener.bind({ abstractName }), { code: 'EADDRINUSE' })
  await listener.close()
  await assert.rejects(UnixStream.connect({ abstractName }), { code: 'ECONNREFUSED' })
  await (await UnixListener.bind({ abstractName })).close()
})

testOnBoth('a path that nobody has bound is refused with ENOENT', () =>
  withPath(async (path) => {
    const before = holdings()

    await assert.rejects(UnixStream.connect({ path }), { code: 'ENOENT', syscall: 'connect' })

    await assert.rejects(UnixListener.bind({ path: `${path}/in/none` }), { code: 'ENOENT' })
    assert.deepEqual(holdings(), before)
  }),
)

testOnBoth('names beyond ASCII are as good as others', () =>
  withPath(async (path) => {
    await using listener = await UnixListener.bind({ path })
    await using other = await UnixListener.bind({ abstractName: `${freshName()}-ä-日本` })

    await assertServes(listener)
    await assertServes(other)
  }, 'sockét-日本'),
)

testOnBoth('close() removes the file, and a stale one is taken over', () =>
  withPath(async (path) => {
    const listener = await UnixListener.bind({ path })
    await listener.close()
    await assert.rejects(UnixStream.connect({ path }), { code: 'ENOENT' })
    bindOnly(path).close()
    await assert.rejects(UnixStream.connect({ path }), { code: 'ECONNREFUSED' })

    await using next = await UnixListener.bind({ path })

    await assertServes(next)
  }),
)

testOnBoth('a live socket keeps its name, and notices nothing, whether it listens or not', () =>
  withPath(async (path) => {
    const bound = bindOnly(path)
    await assert.rejects(UnixListener.bind({ path }), { code: 'EADDRINUSE', syscall: 'bind' })
    bound.close()
    await using listener = await UnixListener.bind({ path })
    const before = holdings()

    await assert.rejects(UnixListener.bind({ path }), { code: 'EADDRINUSE' })

    assert.deepEqual(holdings(), before)
    const [client, server] = await connectTo(listener)
    await client.write(pattern(0, 3))
    assert.deepEqual(await server.read(), pattern(0, 3))
    await Promise.all([client.close(), server.close()])
  }),
)

testOnBoth('a file of another kind is not taken for a stale name', () =>
  withPath(async (path) => {
    {
      await using file = await BufferedFile.create(path)
      await file.write(new Uint8Array([1, 2, 3]), 0)
    }

    await assert.rejects(UnixListener.bind({ path }), { code: 'EADDRINUSE' })

    await using file = await BufferedFile.open(path)
    assert.equal((await file.stat()).sizeBytes, 3)
  }),
)

testOnBoth('close() leaves the name to a socket that has taken it', () =>
  withPath(async (path) => {
    const first = await UnixListener.bind({ path })
    await remove(path)
    await using second = await UnixListener.bind({ path })

    await first.close()

    await assertServes(second)
  }),
)

async function assertOneWins(path: string): Promise<void> {
  bindOnly(path).close()
  const before = holdings()

  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, () => UnixListener.bind({ path })),
  )

  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled')
  assert.equal(won.length, 1)
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'EADDRINUSE')
  }
  const listener = won[0]!.value
  await assertServes(listener)
  await listener.close()
  assert.deepEqual(holdings(), before)
}

test('of many that find a stale name one gets it, and keeps it [uring]', () =>
  withPath(assertOneWins))

test('of many that find a stale name one gets it, and keeps it [sim]', async () => {
  for (let seed = 1; seed <= 30; seed++) await simulate(seed, () => withPath(assertOneWins))
})

testOnBoth(
  'connect() that waits for a full backlog ends with its time limit, and leaves nothing',
  async () => {
    await using listener = await UnixListener.bind({ abstractName: freshName(), backlog: 1 })
    const clients: UnixStream[] = []
    let failure: unknown = null
    while (failure === null) {
      const before = holdings()
      try {
        clients.push(await UnixStream.connect({ ...listener.address, timeoutMs: 50 }))
      } catch (error) {
        failure = error
        assert.deepEqual(holdings(), before)
      }
    }

    assert.equal((failure as { code: string }).code, 'ERR_TASK_TIMEOUT')
    assert.ok(clients.length > 0)
    for (const client of clients) await client.close()
  },
)

test('a relative path is where it was when the listener was bound', () =>
  withPath(async (path) => {
    await using listener = await UnixListener.bind({ path: relative(process.cwd(), path) })

    assert.equal(resolve(listener.address.path!), path)
    await assertServes(listener)
  }))

test('a program that goes to another folder meanwhile keeps the files there', async () => {
  const before = process.cwd()
  const folder = mkdtempSync(join(tmpdir(), 'percore-unix-'))
  for (const name of ['one', 'two']) mkdirSync(join(folder, name))
  const precious = join(folder, 'two', 'socket')
  writeFileSync(precious, 'precious')
  try {
    process.chdir(join(folder, 'one'))
    const binding = UnixListener.bind({ path: 'socket' })
    process.chdir(join(folder, 'two'))
    const listener = await binding

    assert.equal(listener.address.path, join(folder, 'one', 'socket'))
    await listener.close()

    assert.ok(existsSync(precious))
    assert.equal(existsSync(join(folder, 'one', 'socket')), false)
  } finally {
    process.chdir(before)
    rmSync(folder, { recursive: true })
  }
})

test('what is no address is refused', async () => {
  const path = 'x'.repeat(108)

  for (const [options, error] of [
    [{}, TypeError],
    [{ path: '/x', abstractName: 'x' }, TypeError],
    [{ path: 1 }, TypeError],
    [{ path: 'a\0b' }, TypeError],
    [{ path: '' }, RangeError],
    [{ path }, RangeError],
    [{ abstractName: 'ä'.repeat(54) }, RangeError],
    [{ path: '/x', family: 'ipv4' }, TypeError],
    [{ path: '/x', host: 'localhost' }, TypeError],
  ] as const) {
    await assert.rejects(UnixStream.connect(options as never), error)
    await assert.rejects(UnixListener.bind(options as never), error)
  }
  await assert.rejects(UnixListener.bind({ path: '/x', backlog: 0 }), RangeError)
})

test('streams and listeners show where they are', async () => {
  const abstractName = freshName()
  const listener = await UnixListener.bind({ abstractName })
  const client = await UnixStream.connect({ abstractName })

  assert.equal(inspect(listener), `UnixListener @${abstractName} listening`)
  assert.equal(inspect(client), `UnixStream @${abstractName} open`)
  await client.close()
  await listener.close()
  assert.equal(inspect(client), `UnixStream @${abstractName} closed`)
})
