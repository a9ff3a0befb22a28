import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UnixDatagramSocket, UnixListener } from '../../src/net/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { pattern } from './support.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const bytesOf = (value: string): Uint8Array => Buffer.from(value)

let nameCount = 0
function freshName(): string {
  return `percore-datagram-${process.pid}-${nameCount++}`
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'percore-'))
  try {
    await body(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

testOnBoth('a pair carries datagrams both ways, in order, without names', async () => {
  const [one, other] = UnixDatagramSocket.pair()
  await one.send(bytesOf('ping'))
  const ping = await other.receive()
  await other.send(bytesOf('pong'))

  assert.equal(text(ping.data), 'ping')
  assert.deepEqual(ping.from, { family: 'unix', path: null, abstractName: null })
  assert.equal(text((await one.receive()).data), 'pong')
  await one.close()
  await other.close()
})

testOnBoth('senders wait for their receiver, and nothing is lost', async () => {
  const [one, other] = UnixDatagramSocket.pair()
  const sends: Promise<void>[] = []
  for (let index = 0; index < 500; index++) sends.push(one.send(pattern(index, 40)))

  for (let index = 0; index < 500; index++) {
    assert.deepEqual((await other.receive()).data, pattern(index, 40))
  }

  await Promise.all(sends)
  await one.close()
  await other.close()
})

for (const isConnected of [true, false]) {
  testOnBoth(
    `what waited for a receiver with a name comes whole${isConnected ? ', over a connection' : ''}`,
    async () => {
      const name = { abstractName: freshName() }
      const receiver = await UnixDatagramSocket.bind(name)
      const sender = isConnected
        ? await UnixDatagramSocket.connect(name)
        : UnixDatagramSocket.open()
      const options = isConnected ? {} : { to: name }
      // The first of them fill its queue, and the next one is refused, before anybody reads.
      for (let index = 0; index < 8; index++) await sender.send(pattern(index, 20), options)
      const sends = Array.from({ length: 60 }, (_, index) =>
        sender.send(pattern(index + 8, 20), options),
      )
      await assert.rejects(sender.send(pattern(0, 20), { ...options, timeoutMs: 5 }), {
        code: 'ERR_TASK_TIMEOUT',
      })

      for (let index = 0; index < 68; index++) {
        assert.deepEqual((await receiver.receive()).data, pattern(index, 20))
      }

      await Promise.all(sends)
      await sender.close()
      await receiver.close()
    },
  )
}

testOnBoth('a send that waits is given up, and the next one is for who has room', async () => {
  const [full, free] = [{ abstractName: freshName() }, { abstractName: freshName() }]
  const crowded = await UnixDatagramSocket.bind(full)
  const other = await UnixDatagramSocket.bind(free)
  const sender = await UnixDatagramSocket.connect(full)
  const controller = new AbortController()
  const { signal } = controller
  const sends = Array.from({ length: 40 }, (_, index) =>
    sender.send(pattern(index, 20), { signal }),
  )
  const settled = Promise.allSettled(sends)
  const last = sender.send(pattern(40, 20), { to: free })
  await sends[0]

  controller.abort()

  await last
  assert.deepEqual((await other.receive()).data, pattern(40, 20))
  assert.ok((await settled).some(({ status }) => status === 'rejected'))
  for (const socket of [crowded, other, sender]) await socket.close()
})

testOnBoth(
  'a send that waits for its receiver can be cancelled, and those behind it go on',
  async () => {
    const [one, other] = UnixDatagramSocket.pair()
    // More than its queue takes, or than the sender's buffer: the last ones wait.
    const count = 600
    const sends = Array.from({ length: count }, (_, index) =>
      one.send(pattern(index, 8), index < count / 2 ? {} : { timeoutMs: 20 }),
    )
    const settled = Promise.allSettled(sends)
    await Promise.allSettled(sends.slice(count / 2))
    const receiving = (async () => {
      const found: Uint8Array[] = []
      for (;;) {
        const { data } = await other.receive()
        if (data.length < 8) return found
        found.push(data)
      }
    })()
    const results = await settled
    const sent = results.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
    await one.send(bytesOf('end'))

    const found = await receiving
    assert.deepEqual(
      found,
      sent.map((index) => pattern(index, 8)),
    )
    assert.ok(sent.length >= count / 2 && sent.length < count)
    await one.send(bytesOf('last'))
    assert.equal(text((await other.receive()).data), 'last')
    await one.close()
    await other.close()
  },
)

testOnBoth('close() fails sends that wait for their receiver', async () => {
  const [one, other] = UnixDatagramSocket.pair()
  const sends = Array.from({ length: 30 }, (_, index) => one.send(Uint8Array.of(index)))
  const settled = Promise.allSettled(sends)
  await sends[0]

  await one.close()

  const results = await settled
  const failed = results.filter(({ status }) => status === 'rejected')
  assert.ok(failed.length > 0)
  for (const result of failed) {
    assert.equal((result as PromiseRejectedResult).reason.code, 'ERR_HANDLE_CLOSED')
  }
  await other.close()
})

testOnBoth('an abstract name is sent to, and answers', async () => {
  const [server, client] = [{ abstractName: freshName() }, { abstractName: freshName() }]
  await using receiver = await UnixDatagramSocket.bind(server)
  await using sender = await UnixDatagramSocket.bind(client)

  await sender.send(bytesOf('question'), { to: receiver.localAddress })
  const { data, from } = await receiver.receive()
  await receiver.send(bytesOf('answer'), { to: from })

  assert.equal(text(data), 'question')
  assert.equal(from.abstractName, client.abstractName)
  assert.equal(text((await sender.receive()).data), 'answer')
  await assert.rejects(UnixDatagramSocket.bind(server), { code: 'EADDRINUSE' })
})

testOnBoth('connect() with a local name is answered; without one it is not', async () => {
  const name = { abstractName: freshName() }
  const local = { abstractName: freshName() }
  await using server = await UnixDatagramSocket.bind(name)
  await using named = await UnixDatagramSocket.connect({ ...name, local })
  await using nameless = await UnixDatagramSocket.connect(name)

  await named.send(bytesOf('a'))
  const first = await server.receive()
  await server.send(bytesOf('b'), { to: first.from })
  await nameless.send(bytesOf('c'))
  const second = await server.receive()

  assert.equal(text((await named.receive()).data), 'b')
  assert.deepEqual([second.from.path, second.from.abstractName], [null, null])
  await assert.rejects(server.send(bytesOf('d'), { to: second.from }), TypeError)
  await assert.rejects(server.send(bytesOf('d')), { code: 'ENOTCONN' })
  assert.equal(named.remoteAddress?.abstractName, name.abstractName)
  assert.equal(server.remoteAddress, null)
})

testOnBoth('who has gone is ECONNREFUSED; what never was as well', async () => {
  const name = { abstractName: freshName() }
  const server = await UnixDatagramSocket.bind(name)
  const client = await UnixDatagramSocket.connect(name)
  await server.close()
  await assert.rejects(client.send(bytesOf('x')), { code: 'ECONNREFUSED' })
  await assert.rejects(UnixDatagramSocket.connect(name), { code: 'ECONNREFUSED' })
  await client.close()
})

testOnBoth('open() sends from no name, empty datagrams too', async () => {
  const name = { abstractName: freshName() }
  await using server = await UnixDatagramSocket.bind({ ...name, datagramBytesMax: 10 })
  await using sender = UnixDatagramSocket.open()

  await sender.send(new Uint8Array(0), { to: name })
  await sender.send(pattern(0, 30), { to: name })

  assert.equal((await server.receive()).data.length, 0)
  const { data, isTruncated, fullBytes } = await server.receive()
  assert.deepEqual([data.length, isTruncated, fullBytes], [10, true, 30])
})

test('a path is found while the socket is there, and goes with it', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'socket')
    const server = await UnixDatagramSocket.bind({ path })
    await using client = await UnixDatagramSocket.bind({ path: join(folder, 'client') })
    await client.send(bytesOf('x'), { to: { path } })
    assert.equal((await server.receive()).from.path, join(folder, 'client'))
    await assert.rejects(UnixDatagramSocket.bind({ path }), { code: 'EADDRINUSE' })

    await server.close()

    assert.equal(existsSync(path), false)
    await assert.rejects(client.send(bytesOf('x'), { to: { path } }), { code: 'ENOENT' })
  })
})

test('a stale name is taken over, a live one and other files never', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'socket')
    const listener = await UnixListener.bind({ path })
    // A listener's name is live though it is of another type.
    await assert.rejects(UnixDatagramSocket.bind({ path }), { code: 'EADDRINUSE' })
    assert.equal(existsSync(path), true)
    await listener.close()
    writeFileSync(path, 'file')
    await assert.rejects(UnixDatagramSocket.bind({ path }), { code: 'EADDRINUSE' })
    rmSync(path)
    const { kernel } = (await import('../../src/executor/index.ts')).executor()
    const fd = kernel.openSocket(1, 2, 0)
    const raw = new Uint8Array(2 + Buffer.byteLength(path) + 1)
    raw[0] = 1
    raw.set(Buffer.from(path), 2)
    assert.equal(kernel.bindSocket(fd, raw), 0)
    kernel.closeFd(fd)
    assert.equal(existsSync(path), true)

    await using server = await UnixDatagramSocket.bind({ path })

    assert.equal(server.localAddress.path, path)
  })
})

test('wrong options are refused', async () => {
  for (const wrong of [
    {},
    { path: '' },
    { path: 'x'.repeat(108) },
    { abstractName: 'x', path: 'y' },
  ]) {
    await assert.rejects(UnixDatagramSocket.bind(wrong))
  }
  await assert.rejects(
    UnixDatagramSocket.bind({ abstractName: 'x', nonsense: 1 } as never),
    TypeError,
  )
  assert.throws(() => UnixDatagramSocket.open({ datagramBytesMax: 0 }), RangeError)
  assert.throws(() => UnixDatagramSocket.pair({ nonsense: 1 } as never), TypeError)
  const [one, other] = UnixDatagramSocket.pair()
  await assert.rejects(one.send('text' as never), TypeError)
  await assert.rejects(
    one.send(bytesOf('x'), { to: { abstractName: 'x', nonsense: 1 } as never }),
    TypeError,
  )
  await assert.rejects(one.send(new Uint8Array(4_000_000)), { code: 'EMSGSIZE' })
  await one.close()
  await other.close()
})
