import assert from 'node:assert/strict'
import {
  AF_INET,
  EADDRINUSE,
  ECANCELED,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  ENOBUFS,
  ENOTCONN,
  ENOTSOCK,
  EPIPE,
  IORING_ACCEPT_MULTISHOT,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IORING_CQE_F_NOTIF,
  IORING_OP_ACCEPT,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_CONNECT,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_RECV,
  IORING_OP_SEND,
  IORING_OP_SEND_ZC,
  IORING_OP_SHUTDOWN,
  IORING_OP_SOCKET,
  IORING_RECV_MULTISHOT,
  IOSQE_BUFFER_SELECT,
  IOSQE_IO_LINK,
  type Kernel,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  SHUT_RD,
  SHUT_WR,
  SOCK_STREAM,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'
import {
  type Completion,
  connectEntry,
  connectPair,
  listenTcp,
  loopbackAddress,
  openTcp,
  TestRing,
} from './harness.ts'
import { Buffers, GROUP } from './provided-buffers.ts'

function receiveEntry(fd: number, isMultishot: boolean): { opcode: number; fd: number } {
  const entry = { opcode: IORING_OP_RECV, flags: IOSQE_BUFFER_SELECT, fd, buffer: GROUP }
  return isMultishot ? ({ ...entry, ioPriority: IORING_RECV_MULTISHOT } as typeof entry) : entry
}

function send(ring: TestRing, fd: number, text: string): void {
  const address = ring.place(Buffer.from(text))
  const entry = { opcode: IORING_OP_SEND, fd, address, length: text.length, userData: 100 }
  ring.push({ ...entry, opFlags: MSG_NOSIGNAL })
}

function closeBoth(kernel: Kernel, ends: { client: number; server: number }): void {
  kernel.closeFd(ends.client)
  kernel.closeFd(ends.server)
}

contract('SOCKET opens a descriptor and refuses an unknown domain', (kernel) => {
  using ring = new TestRing(kernel)

  const fd = ring.run({ opcode: IORING_OP_SOCKET, fd: AF_INET, offset: SOCK_STREAM })

  assert.ok(fd >= 0)
  assert.equal(ring.close(fd), 0)
  assert.ok(ring.run({ opcode: IORING_OP_SOCKET, fd: 99, offset: SOCK_STREAM }) < 0)
})

contract('CONNECT is refused where nobody listens', (kernel) => {
  using ring = new TestRing(kernel)
  const listener = listenTcp(kernel)
  kernel.closeFd(listener.fd)
  const fd = openTcp(kernel)

  assert.equal(ring.run(connectEntry(ring, fd, listener.port)), -ECONNREFUSED)
  kernel.closeFd(fd)
})

contract('CONNECT refuses an address of another kind of socket', (kernel) => {
  using ring = new TestRing(kernel)
  const fd = openTcp(kernel)
  const address = ring.place(loopbackAddress(1))

  assert.equal(ring.run({ opcode: IORING_OP_CONNECT, fd, address, offset: 4 }), -EINVAL)
  kernel.closeFd(fd)
})

contract('bindSocket() refuses a port that is taken', (kernel) => {
  const { fd, port } = listenTcp(kernel)
  const other = openTcp(kernel)

  assert.equal(kernel.bindSocket(other, loopbackAddress(port)), -EADDRINUSE)
  kernel.closeFd(fd)
  kernel.closeFd(other)
})

contract('socketName() gives both ends, and -ENOTCONN without a peer', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  const local = new Uint8Array(28)
  const remote = new Uint8Array(28)

  assert.equal(kernel.socketName(ends.client, false, local), 16)
  assert.equal(kernel.socketName(ends.server, true, remote), 16)
  assert.deepEqual(local.subarray(2, 4), remote.subarray(2, 4))
  const alone = openTcp(kernel)
  assert.equal(kernel.socketName(alone, true, local), -ENOTCONN)
  kernel.closeFd(alone)
  closeBoth(kernel, ends)
})

contract('a multishot accept gives each connection a completion that says more', (kernel) => {
  using ring = new TestRing(kernel)
  const listener = listenTcp(kernel)
  const accept = { opcode: IORING_OP_ACCEPT, fd: listener.fd, ioPriority: IORING_ACCEPT_MULTISHOT }
  ring.push({ ...accept, userData: 1 })
  ring.submit()
  const fds: number[] = []
  for (let index = 0; index < 3; index++) {
    const fd = openTcp(kernel)
    ring.push({ ...connectEntry(ring, fd, listener.port), userData: 2 })
    const accepted = ring.wait(2).find(({ userData }) => userData === 1)!
    assert.ok(accepted.flags & IORING_CQE_F_MORE)
    fds.push(fd, accepted.result)
  }

  ring.push({ opcode: IORING_OP_ASYNC_CANCEL, address: 1, userData: 3 })
  const last = ring.wait(2).find(({ userData }) => userData === 1)!

  assert.equal(new Set(fds).size, 6)
  assert.equal(last.result, -ECANCELED)
  assert.equal(last.flags & IORING_CQE_F_MORE, 0)
  for (const fd of [...fds, listener.fd]) kernel.closeFd(fd)
})

contract('a multishot accept that is cancelled amid connections ends with its last', (kernel) => {
  using ring = new TestRing(kernel)
  using other = new TestRing(kernel)
  const listener = listenTcp(kernel)
  const client = openTcp(kernel)
  const accept = { opcode: IORING_OP_ACCEPT, fd: listener.fd, ioPriority: IORING_ACCEPT_MULTISHOT }
  ring.push({ ...accept, userData: 1 })
  ring.submit()
  assert.equal(other.run(connectEntry(other, client, listener.port)), 0)
  // The ring is not entered meanwhile: what the accept has to say is held back.
  for (const startNs = kernel.nowNs(); kernel.nowNs() < startNs + 1e6; );

  ring.push({ opcode: IORING_OP_ASYNC_CANCEL, address: 1, userData: 3 })
  const found: Completion[] = []
  const collect = (): void => {
    ring.submit()
    found.push(...ring.reap().filter(({ userData }) => userData === 1))
  }
  const isLast = ({ flags }: Completion): boolean => (flags & IORING_CQE_F_MORE) === 0
  while (!found.some(isLast)) collect()
  // What came too late would come now.
  collect()

  assert.equal(found.findIndex(isLast), found.length - 1)
  for (const { result } of found) if (result >= 0) kernel.closeFd(result)
  kernel.closeFd(client)
  kernel.closeFd(listener.fd)
})

contract('ACCEPT on a socket that does not listen completes with -EINVAL', (kernel) => {
  using ring = new TestRing(kernel)
  const fd = openTcp(kernel)

  assert.equal(ring.run({ opcode: IORING_OP_ACCEPT, fd }), -EINVAL)
  kernel.closeFd(fd)
})

contract('shutdown of a listener ends an accept that waits', (kernel) => {
  using ring = new TestRing(kernel)
  const { fd } = listenTcp(kernel)
  ring.push({ opcode: IORING_OP_ACCEPT, fd, userData: 1 })
  ring.submit()

  ring.push({ opcode: IORING_OP_SHUTDOWN, fd, length: SHUT_RD, userData: 2 })
  const results = ring.results(2)

  assert.equal(results.get(1), -EINVAL)
  assert.equal(results.get(2), 0)
  kernel.closeFd(fd)
})

contract('a receive that waits gets what is sent later', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  const target = ring.allocate(16)
  const entry = { opcode: IORING_OP_RECV, fd: ends.server, address: target.address, length: 16 }
  ring.push({ ...entry, userData: 1 })
  ring.submit()

  send(ring, ends.client, 'hello')
  const results = ring.results(2)

  assert.equal(results.get(100), 5)
  assert.equal(results.get(1), 5)
  assert.equal(Buffer.from(target.bytes.subarray(0, 5)).toString(), 'hello')
  closeBoth(kernel, ends)
})

contract('a receive with MSG_WAITALL waits for everything', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  const target = ring.allocate(10)
  const entry = { opcode: IORING_OP_RECV, fd: ends.server, address: target.address, length: 10 }
  ring.push({ ...entry, opFlags: MSG_WAITALL, userData: 1 })
  ring.submit()

  send(ring, ends.client, 'hello')
  assert.equal(ring.wait(1)[0]!.userData, 100)
  send(ring, ends.client, 'world')
  const results = ring.results(2)

  assert.equal(results.get(1), 10)
  assert.equal(Buffer.from(target.bytes).toString(), 'helloworld')
  closeBoth(kernel, ends)
})

contract('shutdown for writing is the end for the other side, which can still send', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  const target = ring.allocate(16)
  const receive = { opcode: IORING_OP_RECV, address: target.address, length: 16 }
  const shutdown = { opcode: IORING_OP_SHUTDOWN, fd: ends.client, length: SHUT_WR }

  assert.equal(ring.run(shutdown), 0)
  assert.equal(ring.run({ ...receive, fd: ends.server }), 0)
  send(ring, ends.server, 'late')
  assert.equal(ring.wait(1)[0]!.result, 4)
  assert.equal(ring.run({ ...receive, fd: ends.client }), 4)
  send(ring, ends.client, 'no')
  assert.equal(ring.wait(1)[0]!.result, -EPIPE)
  closeBoth(kernel, ends)
})

contract('shutdown ends a receive of this side with 0', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  const { address } = ring.allocate(16)
  ring.push({ opcode: IORING_OP_RECV, fd: ends.client, address, length: 16, userData: 1 })
  ring.submit()

  ring.push({ opcode: IORING_OP_SHUTDOWN, fd: ends.client, length: 2, userData: 2 })

  assert.equal(ring.results(2).get(1), 0)
  closeBoth(kernel, ends)
})

contract('shutdown of what is not connected completes with -ENOTCONN', (kernel) => {
  using ring = new TestRing(kernel)
  const fd = openTcp(kernel)

  assert.equal(ring.run({ opcode: IORING_OP_SHUTDOWN, fd, length: SHUT_WR }), -ENOTCONN)
  kernel.closeFd(fd)
})

contract('closing with unread data resets the connection', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  send(ring, ends.client, 'unread')
  ring.wait(1)
  const { address } = ring.allocate(16)
  const poll = { opcode: 6, fd: ends.server, opFlags: 1 }
  assert.ok(ring.run(poll) & 1)

  kernel.closeFd(ends.server)
  const result = ring.run({ opcode: IORING_OP_RECV, fd: ends.client, address, length: 16 })

  assert.equal(result, -ECONNRESET)
  kernel.closeFd(ends.client)
})

contract('a receive on a file that is no socket completes with -ENOTSOCK', (kernel) => {
  using ring = new TestRing(kernel)
  using other = new TestRing(kernel)
  const { address } = ring.allocate(16)
  const entry = { opcode: IORING_OP_RECV, fd: other.memory.fd, address, length: 16 }

  assert.equal(ring.run(entry), -ENOTSOCK)
})

contract('a send without a reader ends when the buffers are full, and goes on after', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  const length = 32 * 1024
  const { address } = ring.allocate(length)
  const sending = { opcode: IORING_OP_SEND, fd: ends.client, address, length }
  const entry = { ...sending, opFlags: MSG_NOSIGNAL, flags: IOSQE_IO_LINK, userData: 1 }
  const timeout = { opcode: IORING_OP_LINK_TIMEOUT, address: ring.timespec(20e6), length: 1 }
  let sent = 0
  for (;;) {
    ring.push(entry)
    ring.push({ ...timeout, userData: 2 })
    const result = ring.results(2).get(1)!
    if (result === -ECANCELED) break
    assert.ok(result > 0)
    sent += result
  }

  let received = 0
  while (received < sent) {
    received += ring.run({ opcode: IORING_OP_RECV, fd: ends.server, address, length })
  }
  ring.push({ ...sending, opFlags: MSG_NOSIGNAL, userData: 1 })

  assert.ok(ring.wait(1)[0]!.result > 0)
  assert.equal(received, sent)
  closeBoth(kernel, ends)
})

contract('SEND_ZC completes twice: the result, then that the memory is free', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  const address = ring.place(Buffer.from('hello'))
  ring.push({ opcode: IORING_OP_SEND_ZC, fd: ends.client, address, length: 5 })
  const target = ring.allocate(16)
  const entry = { opcode: IORING_OP_RECV, fd: ends.server, address: target.address, length: 16 }
  ring.push({ ...entry, userData: 9 })

  const found = ring.wait(3).filter(({ userData }) => userData === 0)

  assert.equal(found[0]!.result, 5)
  assert.ok(found[0]!.flags & IORING_CQE_F_MORE)
  assert.ok(found[1]!.flags & IORING_CQE_F_NOTIF)
  assert.equal(found[1]!.flags & IORING_CQE_F_MORE, 0)
  closeBoth(kernel, ends)
})

contract('a multishot receive names the buffer of each completion', (kernel) => {
  using ring = new TestRing(kernel)
  const buffers = new Buffers(ring, 4, 64)
  const ends = connectPair(ring)
  ring.push({ ...receiveEntry(ends.server, true), userData: 1 })
  ring.submit()
  const ids: number[] = []
  for (const text of ['one', 'two']) {
    send(ring, ends.client, text)
    const got = ring.wait(2).find(({ userData }) => userData === 1)!
    assert.ok(got.flags & IORING_CQE_F_MORE)
    assert.ok(got.flags & IORING_CQE_F_BUFFER)
    const id = got.flags >>> IORING_CQE_BUFFER_SHIFT
    assert.equal(Buffer.from(buffers.memory[id]!.subarray(0, got.result)).toString(), text)
    ids.push(id)
  }

  kernel.closeFd(ends.client)
  const [last] = ring.wait(1)

  assert.deepEqual(ids, [0, 1])
  assert.deepEqual([last!.result, last!.flags & IORING_CQE_F_MORE], [0, 0])
  assert.equal(last!.flags & IORING_CQE_F_BUFFER, 0)
  kernel.closeFd(ends.server)
})

contract(
  'a multishot receive ends with -ENOBUFS when buffers run out, and loses nothing',
  (kernel) => {
    using ring = new TestRing(kernel)
    const buffers = new Buffers(ring, 4, 4, 2)
    const ends = connectPair(ring)
    ring.push({ ...receiveEntry(ends.server, true), userData: 1 })
    ring.submit()
    send(ring, ends.client, 'abcdefghijkl')

    const found = ring.wait(4).filter(({ userData }) => userData === 1)
    assert.deepEqual(
      found.map(({ result }) => result),
      [4, 4, -ENOBUFS],
    )
    assert.equal(found[2]!.flags & IORING_CQE_F_MORE, 0)
    assert.equal(Buffer.concat(buffers.memory).toString(), 'abcdefgh')
    buffers.provide(0)
    ring.push({ ...receiveEntry(ends.server, false), userData: 2 })
    const [rest] = ring.wait(1)

    assert.equal(rest!.result, 4)
    assert.equal(Buffer.from(buffers.memory[0]!).toString(), 'ijkl')
    closeBoth(kernel, ends)
  },
)

contract('a receive finds no provided buffer and completes with -ENOBUFS at once', (kernel) => {
  using ring = new TestRing(kernel)
  new Buffers(ring, 4, 64, 0)
  const ends = connectPair(ring)

  assert.equal(ring.run(receiveEntry(ends.server, true)), -ENOBUFS)
  closeBoth(kernel, ends)
})

contract('a group of provided buffers is unregistered once', (kernel) => {
  using ring = new TestRing(kernel)
  const buffers = new Buffers(ring, 4, 64)

  assert.equal(buffers.unregister(), 0)
  assert.ok(buffers.unregister() < 0)
})

contract('closing a descriptor does not end a receive that waits on it', (kernel) => {
  using ring = new TestRing(kernel)
  const ends = connectPair(ring)
  const { address } = ring.allocate(16)
  ring.push({ opcode: IORING_OP_RECV, fd: ends.server, address, length: 16, userData: 1 })
  ring.submit()

  assert.equal(kernel.closeFd(ends.server), 0)
  send(ring, ends.client, 'still')
  const results = ring.results(2)

  assert.equal(results.get(1), 5)
  kernel.closeFd(ends.client)
})
