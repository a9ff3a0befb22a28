import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { F_GETFD, F_SETFL, O_NONBLOCK, O_RDWR } from '../../src/kernel/index.ts'
import {
  type OwnedDescriptor,
  type ReceivedMessage,
  TcpListener,
  TcpStream,
  UnixListener,
  UnixStream,
} from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { holdings, pattern, readPattern } from './support.ts'
import { withFolder } from './with-folder.ts'

/** Runs with both ends of a pair, and has nothing of them left. */
async function withPair(
  body: (one: UnixStream, other: UnixStream) => Promise<void>,
): Promise<void> {
  const [one, other] = UnixStream.pair()
  await body(one, other)
  await Promise.all([one.close(), other.close()])
}

async function receive(stream: UnixStream): Promise<ReceivedMessage> {
  const message = await stream.receiveDescriptors()
  assert.ok(message !== null, 'the stream goes on')
  return message
}

async function receiveOne(stream: UnixStream): Promise<OwnedDescriptor> {
  const { descriptors, isTruncated } = await receive(stream)
  assert.deepEqual([descriptors.length, isTruncated], [1, false])
  return descriptors[0]!
}

testOnBoth('a file that is sent is the same file, and closed by each side by itself', () =>
  withFolder(async (folder) => {
    await withPair(async (one, other) => {
      const file = await BufferedFile.create(`${folder}/file`)
      await file.write(pattern(0, 10), 0)

      const sending = one.sendDescriptors(pattern(0, 3), [file])
      await file.close()
      await sending
      const message = await receive(other)
      await using adopted = await BufferedFile.adopt(message.descriptors[0]!)

      assert.deepEqual(new Uint8Array(message.data), pattern(0, 3))
      assert.deepEqual(new Uint8Array(await adopted.read(0, 100)), pattern(0, 10))
      assert.equal(message.descriptors[0]!.fd, -1)
      await assert.rejects(adopted.remove(), { code: 'ERR_UNSUPPORTED' })
    })
  }),
)

testOnBoth('a direct file is adopted as one, and no other way', () =>
  withFolder(async (folder) => {
    await withPair(async (one, other) => {
      await using file = await DirectFile.create(`${folder}/file`, { fallback: 'buffered' })
      // Where the file system has no direct I/O there is nothing to tell apart.
      if (file.alignmentBytes === 1) return
      await one.sendDescriptors(pattern(0, 1), [file])
      const descriptor = await receiveOne(other)

      await assert.rejects(BufferedFile.adopt(descriptor), { code: 'ERR_UNSUPPORTED' })
      await using adopted = await DirectFile.adopt(descriptor)

      assert.ok(adopted.isSameFile(file))
    })
  }),
)

testOnBoth('a TCP connection, a listener and a Unix stream go on where they come', async () => {
  const before = holdings()
  await withPair(async (one, other) => {
    const listener = await TcpListener.bind({ port: 0 })
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: listener.address.port })
    const server = await accepting
    const [third, fourth] = UnixStream.pair()

    await one.sendDescriptors(pattern(0, 1), [server, listener, third])
    await Promise.all([server.close(), listener.close(), third.close()])
    const { descriptors } = await receive(other)
    assert.deepEqual(
      descriptors.map((descriptor) => descriptor.kind()),
      ['tcpStream', 'tcpListener', 'unixStream'],
    )
    const stream = TcpStream.adopt(descriptors[0]!)
    const same = TcpListener.adopt(descriptors[1]!)
    const local = UnixStream.adopt(descriptors[2]!)

    await client.write(pattern(0, 100))
    assert.deepEqual(await stream.read(), pattern(0, 100))
    assert.deepEqual(stream.remoteAddress, client.localAddress)
    assert.deepEqual(same.address, listener.address)
    const again = same.accept()
    const second = await TcpStream.connect({ port: same.address.port })
    await local.write(pattern(0, 5))
    assert.deepEqual(await fourth.read(), pattern(0, 5))
    const all = [await again, second, client, stream, same, local, fourth]
    await Promise.all(all.map((each) => each.close()))
  })
  assert.deepEqual(holdings(), before)
})

testOnBoth('a Unix listener is adopted, and leaves the name to who made it', () =>
  withFolder(async (folder) => {
    await withPair(async (one, other) => {
      await using listener = await UnixListener.bind({ path: `${folder}/socket` })
      await one.sendDescriptors(pattern(0, 1), [listener])
      const same = UnixListener.adopt(await receiveOne(other))
      const accepting = same.accept()
      const client = await UnixStream.connect(same.address)
      await Promise.all([(await accepting).close(), client.close(), same.close()])

      const again = await UnixStream.connect(listener.address)
      await again.close()
    })
  }),
)

testOnBoth('what is of another kind is refused, and stays its holder’s', async () => {
  const before = holdings()
  await withPair(async (one, other) => {
    await one.sendDescriptors(pattern(0, 1), [one])
    const descriptor = await receiveOne(other)

    assert.throws(() => TcpStream.adopt(descriptor), { code: 'ERR_UNSUPPORTED' })
    assert.throws(() => TcpListener.adopt(descriptor), { code: 'ERR_UNSUPPORTED' })
    assert.throws(() => UnixListener.adopt(descriptor), { code: 'ERR_UNSUPPORTED' })
    await assert.rejects(BufferedFile.adopt(descriptor), { code: 'ERR_UNSUPPORTED' })
    assert.ok(descriptor.fd >= 0)
    await descriptor.close()
    await descriptor.close()
    assert.throws(() => UnixStream.adopt(descriptor), { code: 'ERR_HANDLE_CLOSED' })
    assert.throws(() => descriptor.kind(), { code: 'ERR_HANDLE_CLOSED' })
  })
  assert.deepEqual(holdings(), before)
})

testOnBoth('descriptors go in the order of the writes, and with their own bytes', async () => {
  await withPair(async (one, other) => {
    const [third, fourth] = UnixStream.pair()
    const writing = [
      one.write(pattern(0, 300_000)),
      one.write(pattern(300_000, 10)),
      one.sendDescriptors(pattern(300_010, 20), [third]),
      one.write(pattern(300_030, 30)),
      one.sendDescriptors(pattern(300_060, 200_000), [third, fourth]),
      one.shutdown(),
    ]
    let position = 0
    const ends: number[][] = []
    for (;;) {
      const message = await other.receiveDescriptors()
      if (message === null) break
      await using owned = message
      const { data, descriptors } = owned
      assert.ok(Buffer.from(pattern(position, data.length)).equals(data))
      position += data.length
      if (descriptors.length > 0) ends.push([descriptors.length, position])
    }
    await Promise.all(writing)

    assert.equal(position, 500_060)
    // Behind the bytes before them, and not behind those that were sent after them.
    assert.deepEqual(
      ends.map(([count]) => count),
      [1, 2],
    )
    assert.ok(ends[0]![1]! > 300_010 && ends[0]![1]! <= 300_030)
    assert.ok(ends[1]![1]! > 300_060)
    assert.equal(other.bytesRead, 500_060)
    await Promise.all([third.close(), fourth.close()])
  })
})

testOnBoth(
  'a stream that reads plainly closes what comes, and is refused descriptors',
  async () => {
    const before = holdings()
    await withPair(async (one, other) => {
      const [third, fourth] = UnixStream.pair()
      await one.sendDescriptors(pattern(0, 10), [third])
      await third.close()

      assert.deepEqual(await other.read(), pattern(0, 10))

      // Nobody has the other end any more.
      assert.equal(await fourth.read(), null)
      await assert.rejects(other.receiveDescriptors(), { code: 'ERR_UNSUPPORTED' })
      await fourth.close()
    })
    assert.deepEqual(holdings(), before)
  },
)

testOnBoth('what nobody reads is closed with the stream, on either side', async () => {
  const before = holdings()
  const [one, other] = UnixStream.pair()
  const [third, fourth] = UnixStream.pair()
  await one.sendDescriptors(pattern(0, 10), [third])
  await third.close()
  await one.close()

  await other.close()

  assert.equal(await fourth.read(), null)
  await fourth.close()
  assert.deepEqual(holdings(), before)
})

testOnBoth('a message that is disposed closes what was not adopted, and only that', async () => {
  const before = holdings()
  await withPair(async (one, other) => {
    const [third, fourth] = UnixStream.pair()
    await one.sendDescriptors(pattern(0, 1), [third, fourth])
    let adopted: UnixStream
    {
      await using message = await receive(other)
      adopted = UnixStream.adopt(message.descriptors[0]!)
    }
    await adopted.write(pattern(0, 7))
    assert.deepEqual(await fourth.read(), pattern(0, 7))
    await Promise.all([adopted.close(), third.close(), fourth.close()])
  })
  assert.deepEqual(holdings(), before)
})

testOnBoth('more than are wanted are closed, and that is told', async () => {
  const before = holdings()
  await withPair(async (one, other) => {
    const all = [one, other, one]
    await one.sendDescriptors(pattern(0, 4), all)
    await one.sendDescriptors(pattern(4, 4), all)

    const cut = await other.receiveDescriptors({ countMax: 2 })
    const whole = await other.receiveDescriptors({ countMax: 3 })

    assert.deepEqual([cut!.descriptors.length, cut!.isTruncated], [2, true])
    assert.deepEqual([whole!.descriptors.length, whole!.isTruncated], [3, false])
    assert.deepEqual(new Uint8Array(cut!.data), pattern(0, 4))
    for (const { descriptors } of [cut!, whole!]) {
      for (const descriptor of descriptors) await descriptor.close()
    }
  })
  assert.deepEqual(holdings(), before)
})

testOnBoth('what was received is not inherited by programs that are started', async () => {
  await withPair(async (one, other) => {
    await one.sendDescriptors(pattern(0, 1), [one])
    await using descriptor = await receiveOne(other)

    assert.equal(executor().kernel.controlFd(descriptor.fd, F_GETFD, 0), 1)
  })
})

testOnBoth('a wait that is cancelled or times out loses nothing', async () => {
  await withPair(async (one, other) => {
    const controller = new AbortController()
    const waiting = other.receiveDescriptors({ signal: controller.signal })
    await assert.rejects(other.receiveDescriptors(), { code: 'ERR_STILL_HELD' })
    await assert.rejects(other.read(), { code: 'ERR_STILL_HELD' })
    controller.abort(new Error('enough'))
    await assert.rejects(waiting, { message: 'enough' })
    await assert.rejects(other.receiveDescriptors({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })

    await one.sendDescriptors(pattern(0, 9), [one])
    await using message = await receive(other)

    assert.deepEqual(new Uint8Array(message.data), pattern(0, 9))
    assert.equal(message.descriptors.length, 1)
  })
})

testOnBoth('the time that a stream has to read is that of who waits for descriptors', async () => {
  await withPair(async (one, other) => {
    other.setTimeouts({ readMs: 5 })
    for (const timeoutMs of [undefined, 1, 60_000]) {
      await assert.rejects(other.receiveDescriptors({ timeoutMs }), { code: 'ERR_TASK_TIMEOUT' })
    }
    await one.sendDescriptors(pattern(0, 1), [one])
    await (await receiveOne(other)).close()
  })
})

testOnBoth('the end, and a close meanwhile, are told', async () => {
  await withPair(async (one, other) => {
    const waiting = other.receiveDescriptors()
    await other.shutdown()
    await one.shutdown()
    assert.equal(await waiting, null)
    assert.equal(await other.receiveDescriptors(), null)
    assert.equal(await other.read(), null)
  })
  const [third, fourth] = UnixStream.pair()
  const waiting = fourth.receiveDescriptors()
  await Promise.all([
    assert.rejects(waiting, { code: 'ERR_HANDLE_CLOSED' }),
    fourth.close(),
    third.close(),
  ])
})

testOnBoth('a send that is withdrawn, or whose stream is closed, leaves nothing open', async () => {
  const before = holdings()
  const [one, other] = UnixStream.pair()
  const data = pattern(0, 1)
  const controller = new AbortController()
  const { signal } = controller
  const outcomes = Promise.allSettled([
    one.write(new Uint8Array(4_000_000)),
    one.sendDescriptors(data, [one, other], { signal }),
    one.sendDescriptors(data, [one, other]),
    one.sendDescriptors(data, [one], { signal: AbortSignal.abort('no') }),
  ])

  controller.abort('enough')
  await one.close()

  const [full, withdrawn, failed, aborted] = await outcomes
  const reasonOf = (outcome: PromiseSettledResult<void>): unknown =>
    outcome.status === 'rejected' && (outcome.reason?.code ?? outcome.reason)
  assert.deepEqual([full, withdrawn, failed, aborted].map(reasonOf), [
    'ERR_HANDLE_CLOSED',
    'enough',
    'ERR_HANDLE_CLOSED',
    'no',
  ])
  await other.close()
  assert.deepEqual(holdings(), before)
})

testOnBoth('a socket that does not block where it comes from waits here all the same', async () => {
  await withPair(async (one, other) => {
    const { kernel } = executor()
    const listener = await TcpListener.bind({ port: 0 })
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: listener.address.port })
    const server = await accepting
    for (const { fd } of [server, listener]) {
      assert.equal(kernel.controlFd(fd, F_SETFL, O_RDWR | O_NONBLOCK), 0)
    }
    await one.sendDescriptors(pattern(0, 1), [server, listener])
    await Promise.all([server.close(), listener.close()])
    const { descriptors } = await receive(other)
    const stream = TcpStream.adopt(descriptors[0]!)
    const same = TcpListener.adopt(descriptors[1]!)

    const reading = stream.read()
    const again = same.accept()
    await client.write(pattern(0, 10))
    assert.deepEqual(await reading, pattern(0, 10))
    const writing = stream.write(pattern(0, 8_000_000))
    await readPattern(client, 8_000_000)
    await writing
    const second = await TcpStream.connect({ port: same.address.port })
    const all = [await again, second, client, stream, same]
    await Promise.all(all.map((each) => each.close()))
  })
})

testOnBoth('descriptors that cannot be sent are refused', async () => {
  const before = holdings()
  await withPair(async (one, other) => {
    const [closed, peer] = UnixStream.pair()
    await Promise.all([closed.close(), peer.close()])
    const data = pattern(0, 1)

    await assert.rejects(one.sendDescriptors(data, [closed]), { code: 'ERR_HANDLE_CLOSED' })
    await assert.rejects(one.sendDescriptors(data, [other, 99_999]), { code: 'EBADF' })
    await assert.rejects(one.sendDescriptors(data, []), RangeError)
    await assert.rejects(one.sendDescriptors(data, new Array(33).fill(one)), RangeError)
    await assert.rejects(one.sendDescriptors(new Uint8Array(0), [one]), RangeError)
    await assert.rejects(one.sendDescriptors(data, [-1]), RangeError)
    await assert.rejects(one.sendDescriptors(data, [{} as UnixStream]), TypeError)
    await assert.rejects(one.sendDescriptors(data, one as never), TypeError)
    await assert.rejects(one.sendDescriptors('a' as never, [one]), TypeError)
    await assert.rejects(other.receiveDescriptors({ countMax: 0 }), RangeError)
    await assert.rejects(other.receiveDescriptors({ count: 1 } as never), TypeError)
    await one.sendDescriptors(data, new Array(32).fill(one))
    await using message = await receive(other)
    assert.equal(message.descriptors.length, 32)
  })
  assert.deepEqual(holdings(), before)
})

test('a descriptor that the kernel refuses to send fails that call alone', async () => {
  await withPair(async (one, other) => {
    const ringFd = executor().io.main.memory.fd
    const refused = one.sendDescriptors(pattern(0, 5), [ringFd])
    const written = one.write(pattern(5, 5))

    await assert.rejects(refused, { code: 'EINVAL' })
    await written
    assert.deepEqual(await other.read(), pattern(5, 5))
  })
})

test('a lease goes without a copy, and its descriptors with it', async () => {
  await withPair(async (one, other) => {
    const lease = executor().memory.allocate(20_000)
    lease.bytes.set(pattern(0, 20_000))
    const sending = one.sendDescriptors(lease, [other])
    lease.release()
    await sending

    let position = 0
    while (position < lease.lengthBytes) {
      await using message = await receive(other)
      assert.equal(message.descriptors.length, position === 0 ? 1 : 0)
      assert.ok(Buffer.from(pattern(position, message.data.length)).equals(message.data))
      position += message.data.length
    }
  })
})

test('many seeds: what is sent comes whole, in order, each time with its descriptors', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const options = { seed, faults: { shortWrite: 0.5, shortRead: 0.5 } }
    await simulate(options, async () => {
      const [one, other] = UnixStream.pair()
      const sizes = [1, 5000, 70_000, 10, 3]
      const sending = sizes.map((size, index) =>
        index % 2 === 0
          ? one.sendDescriptors(pattern(0, size), [one, other])
          : one.write(pattern(0, size)),
      )
      void Promise.all(sending).then(() => one.shutdown())
      let bytes = 0
      let descriptors = 0
      for (let next = await other.receiveDescriptors(); next !== null; ) {
        bytes += next.data.length
        descriptors += next.descriptors.length
        await next[Symbol.asyncDispose]()
        next = await other.receiveDescriptors()
      }
      assert.deepEqual([bytes, descriptors], [75_014, 6])
      await Promise.all([one.close(), other.close()])
    })
  }
})

testOnBoth('who waits for descriptors is told that the stream was idle for too long', async () => {
  const [one, other] = UnixStream.pair()
  other.setTimeouts({ idleMs: 5 })

  const idle = { code: 'ERR_TASK_TIMEOUT', message: /idleMs/ }
  await assert.rejects(other.receiveDescriptors(), idle)

  const closed = { code: 'ERR_HANDLE_CLOSED', message: /idleMs/ }
  await assert.rejects(other.receiveDescriptors(), closed)
  await one.close()
})
