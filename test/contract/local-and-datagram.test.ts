import assert from 'node:assert/strict'
import {
  AF_INET,
  AF_UNIX,
  AT_FDCWD,
  EADDRINUSE,
  ECONNREFUSED,
  ENOENT,
  EPROTOTYPE,
  IORING_OP_ACCEPT,
  IORING_OP_CONNECT,
  IORING_OP_RECV,
  IORING_OP_RECVMSG,
  IORING_OP_SEND,
  IORING_OP_SENDMSG,
  IORING_OP_UNLINKAT,
  type Kernel,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_STREAM,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'
import { loopbackAddress, TestRing, withDirectory } from './harness.ts'

const MSG_TRUNC = 0x20

/** A raw `sockaddr_un`. */
function localAddress(path: string): Uint8Array {
  const raw = new Uint8Array(2 + Buffer.byteLength(path) + 1)
  raw[0] = AF_UNIX
  raw.set(Buffer.from(path), 2)
  return raw
}

function openLocal(kernel: Kernel): number {
  return kernel.openSocket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
}

function connectLocal(ring: TestRing, fd: number, path: string): number {
  const raw = localAddress(path)
  const address = ring.place(raw)
  return ring.run({ opcode: IORING_OP_CONNECT, fd, address, offset: raw.length })
}

function openBound(kernel: Kernel): { fd: number; port: number } {
  const fd = kernel.openSocket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  assert.equal(kernel.bindSocket(fd, loopbackAddress(0)), 0)
  const name = new Uint8Array(28)
  assert.equal(kernel.socketName(fd, false, name), 16)
  return { fd, port: new DataView(name.buffer).getUint16(2) }
}

/** A `struct msghdr` of one buffer and room for a name. */
function messageHeader(
  ring: TestRing,
  memory: { address: number; lengthBytes: number },
  name: Uint8Array,
): { address: number; fields: DataView; name: Uint8Array } {
  const vector = ring.allocate(16)
  const header = ring.allocate(56)
  const room = ring.allocate(name.length)
  room.bytes.set(name)
  const vectorFields = new DataView(vector.bytes.buffer, vector.bytes.byteOffset, 16)
  vectorFields.setBigUint64(0, BigInt(memory.address), true)
  vectorFields.setBigUint64(8, BigInt(memory.lengthBytes), true)
  const fields = new DataView(header.bytes.buffer, header.bytes.byteOffset, 56)
  fields.setBigUint64(0, BigInt(room.address), true)
  fields.setUint32(8, name.length, true)
  fields.setBigUint64(16, BigInt(vector.address), true)
  fields.setBigUint64(24, 1n, true)
  return { address: header.address, fields, name: room.bytes }
}

contract('a local socket is found by its path, and carries bytes', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const path = `${directory}/socket`
    const listener = openLocal(kernel)
    assert.equal(kernel.bindSocket(listener, localAddress(path)), 0)
    assert.equal(kernel.listenSocket(listener, 4), 0)
    const client = openLocal(kernel)
    assert.equal(connectLocal(ring, client, path), 0)
    const server = ring.run({ opcode: IORING_OP_ACCEPT, fd: listener })
    assert.ok(server >= 0)

    const address = ring.place(Buffer.from('hello'))
    assert.equal(ring.run({ opcode: IORING_OP_SEND, fd: client, address, length: 5 }), 5)
    const target = ring.allocate(16)
    const receive = { opcode: IORING_OP_RECV, address: target.address, length: 16 }
    assert.equal(ring.run({ ...receive, fd: server }), 5)

    assert.equal(Buffer.from(target.bytes.subarray(0, 5)).toString(), 'hello')
    for (const fd of [listener, client, server]) kernel.closeFd(fd)
  })
})

contract('a local address is refused: taken, missing, or with nobody listening', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const path = `${directory}/socket`
    const first = openLocal(kernel)
    const second = openLocal(kernel)
    assert.equal(kernel.bindSocket(first, localAddress(path)), 0)

    assert.equal(kernel.bindSocket(second, localAddress(path)), -EADDRINUSE)
    assert.equal(connectLocal(ring, second, path), -ECONNREFUSED)
    assert.equal(connectLocal(ring, second, `${directory}/none`), -ENOENT)
    for (const fd of [first, second]) kernel.closeFd(fd)
  })
})

/** What a datagram socket that is connected to a path is told. */
function probeLocal(ring: TestRing, path: string): number {
  const fd = ring.kernel.openSocket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  const result = connectLocal(ring, fd, path)
  ring.kernel.closeFd(fd)
  return result
}

contract(
  'a socket of another type tells a live name from a stale one, listening or not',
  async (kernel) => {
    using ring = new TestRing(kernel)
    await withDirectory(ring, (directory) => {
      const path = `${directory}/socket`
      assert.equal(probeLocal(ring, path), -ENOENT)
      const fd = openLocal(kernel)
      assert.equal(kernel.bindSocket(fd, localAddress(path)), 0)

      const bound = probeLocal(ring, path)
      assert.equal(kernel.listenSocket(fd, 1), 0)
      const listening = probeLocal(ring, path)
      kernel.closeFd(fd)

      assert.deepEqual([bound, listening], [-EPROTOTYPE, -EPROTOTYPE])
      assert.equal(probeLocal(ring, path), -ECONNREFUSED)
    })
  },
)

contract(
  'a name is that of its file: without it a socket is not found, and another may take it',
  async (kernel) => {
    using ring = new TestRing(kernel)
    await withDirectory(ring, (directory) => {
      const path = `${directory}/socket`
      const [first, second, client] = [openLocal(kernel), openLocal(kernel), openLocal(kernel)]
      assert.equal(kernel.bindSocket(first, localAddress(path)), 0)
      assert.equal(kernel.listenSocket(first, 1), 0)
      const unlink = { opcode: IORING_OP_UNLINKAT, fd: AT_FDCWD, address: ring.place(path) }
      assert.equal(ring.run(unlink), 0)
      assert.equal(connectLocal(ring, client, path), -ENOENT)

      assert.equal(kernel.bindSocket(second, localAddress(path)), 0)

      assert.equal(connectLocal(ring, client, path), -ECONNREFUSED)
      assert.equal(kernel.listenSocket(second, 1), 0)
      assert.equal(connectLocal(ring, client, path), 0)
      assert.ok(ring.run({ opcode: IORING_OP_ACCEPT, fd: second }) >= 0)
      for (const fd of [first, second, client]) kernel.closeFd(fd)
    })
  },
)

contract('an abstract name is as long as its address says, and ends with its socket', (kernel) => {
  const name = `\0percore-contract-${process.pid}`
  const raw = Uint8Array.of(AF_UNIX, 0, ...Buffer.from(name))
  const [first, second] = [openLocal(kernel), openLocal(kernel)]
  const found = new Uint8Array(110)

  assert.equal(kernel.bindSocket(first, raw), 0)

  assert.equal(kernel.socketName(first, false, found), raw.length)
  assert.deepEqual(found.subarray(0, raw.length), raw)
  assert.equal(kernel.bindSocket(second, raw), -EADDRINUSE)
  kernel.closeFd(first)
  assert.equal(kernel.bindSocket(second, raw), 0)
  kernel.closeFd(second)
})

contract('a datagram arrives as a whole, with the name of its sender', (kernel) => {
  using ring = new TestRing(kernel)
  const sender = openBound(kernel)
  const receiver = openBound(kernel)
  const text = ring.place(Buffer.from('datagram'))
  const to = loopbackAddress(receiver.port)
  const sending = messageHeader(ring, { address: text, lengthBytes: 8 }, to)

  const sent = ring.run({ opcode: IORING_OP_SENDMSG, fd: sender.fd, address: sending.address })
  const target = ring.allocate(64)
  const memory = { address: target.address, lengthBytes: 64 }
  const receiving = messageHeader(ring, memory, new Uint8Array(28))
  const entry = { opcode: IORING_OP_RECVMSG, fd: receiver.fd, address: receiving.address }
  const received = ring.run(entry)

  assert.equal(sent, 8)
  assert.equal(received, 8)
  assert.equal(Buffer.from(target.bytes.subarray(0, 8)).toString(), 'datagram')
  assert.equal(receiving.fields.getUint32(8, true), 16)
  const from = loopbackAddress(sender.port)
  assert.deepEqual(Buffer.from(receiving.name.subarray(0, 8)), Buffer.from(from.subarray(0, 8)))
  for (const { fd } of [sender, receiver]) kernel.closeFd(fd)
})

contract('a datagram that is too long is cut, and said to be', (kernel) => {
  using ring = new TestRing(kernel)
  const sender = openBound(kernel)
  const receiver = openBound(kernel)
  const raw = loopbackAddress(receiver.port)
  const connect = { opcode: IORING_OP_CONNECT, fd: sender.fd, address: ring.place(raw), offset: 16 }
  assert.equal(ring.run(connect), 0)
  const text = ring.place(Buffer.from('datagram'))
  for (let count = 0; count < 2; count++) {
    const entry = { opcode: IORING_OP_SEND, fd: sender.fd, address: text, length: 8 }
    assert.equal(ring.run(entry), 8)
  }
  const target = ring.allocate(64)
  const memory = { address: target.address, lengthBytes: 4 }
  const receiving = messageHeader(ring, memory, new Uint8Array(28))

  const entry = { opcode: IORING_OP_RECVMSG, fd: receiver.fd, address: receiving.address }
  const cut = ring.run(entry)
  const rest = { opcode: IORING_OP_RECV, fd: receiver.fd, address: target.address, length: 64 }

  assert.equal(cut, 4)
  assert.equal(receiving.fields.getUint32(48, true) & MSG_TRUNC, MSG_TRUNC)
  assert.equal(ring.run(rest), 8)
  for (const { fd } of [sender, receiver]) kernel.closeFd(fd)
})
