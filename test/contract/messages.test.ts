import assert from 'node:assert/strict'
import {
  AF_INET,
  AF_UNIX,
  ECONNREFUSED,
  EMSGSIZE,
  ENOBUFS,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_MORE,
  IORING_ENTER_GETEVENTS,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_CONNECT,
  IORING_OP_RECVMSG,
  IORING_OP_SEND,
  IORING_OP_SENDMSG,
  IORING_RECV_MULTISHOT,
  IOSQE_BUFFER_SELECT,
  type Kernel,
  MSG_TRUNC,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_UDP,
  UDP_GRO,
  UDP_SEGMENT,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'
import { farLimitMs } from '../limits.ts'
import { type Completion, loopbackAddress, TestRing } from './harness.ts'
import { Buffers, GROUP } from './provided-buffers.ts'

// ABI: struct io_uring_recvmsg_out is four words: lengths of name, control data and data, flags.
const HEAD_BYTES = 16
const NAME_BYTES = 16
const CONTROL_BYTES = 24
const RECEIVE = 7
const OTHER = 1
const SIZES = { nameBytes: NAME_BYTES, controlBytes: 0 }

function openBound(kernel: Kernel): { fd: number; port: number } {
  const fd = kernel.openSocket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  assert.equal(kernel.bindSocket(fd, loopbackAddress(0)), 0)
  const name = new Uint8Array(28)
  assert.equal(kernel.socketName(fd, false, name), 16)
  return { fd, port: new DataView(name.buffer).getUint16(2) }
}

/** The address of a `struct msghdr` that says how much room each buffer has for a name and control data. */
function placeTemplate(
  ring: TestRing,
  { nameBytes, controlBytes }: { nameBytes: number; controlBytes: number },
): number {
  const { bytes, address } = ring.allocate(56)
  const fields = new DataView(bytes.buffer, bytes.byteOffset, 56)
  fields.setUint32(8, nameBytes, true)
  fields.setBigUint64(40, BigInt(controlBytes), true)
  return address
}

function receiveEntry(fd: number, header: number, opFlags = 0): Parameters<TestRing['push']>[0] {
  return {
    opcode: IORING_OP_RECVMSG,
    fd,
    address: header,
    length: 1,
    flags: IOSQE_BUFFER_SELECT,
    ioPriority: IORING_RECV_MULTISHOT,
    buffer: GROUP,
    opFlags,
    userData: RECEIVE,
  }
}

function sendTo(ring: TestRing, fd: number, port: number, bytes: Uint8Array): number {
  const name = ring.place(loopbackAddress(port))
  const vector = ring.allocate(16)
  const vectorFields = new DataView(vector.bytes.buffer, vector.bytes.byteOffset, 16)
  vectorFields.setBigUint64(0, BigInt(ring.place(bytes)), true)
  vectorFields.setBigUint64(8, BigInt(bytes.length), true)
  const header = ring.allocate(56)
  const fields = new DataView(header.bytes.buffer, header.bytes.byteOffset, 56)
  fields.setBigUint64(0, BigInt(name), true)
  fields.setUint32(8, NAME_BYTES, true)
  fields.setBigUint64(16, BigInt(vector.address), true)
  fields.setBigUint64(24, 1n, true)
  return sendOnly(ring, { opcode: IORING_OP_SENDMSG, fd, address: header.address, length: 1 })
}

/** What has come, and nobody has asked for yet. */
const comeAlready = new WeakMap<TestRing, Completion[]>()

/** The next completion of a send and the like, or of a receive. */
function next(ring: TestRing, userData = RECEIVE): Completion {
  const kept = comeAlready.get(ring) ?? []
  comeAlready.set(ring, kept)
  for (;;) {
    const index = kept.findIndex((one) => one.userData === userData)
    if (index >= 0) return kept.splice(index, 1)[0]!
    const { fd } = ring.memory
    const count = ring.unsubmittedCount
    ring.kernel.enter(fd, count, 1, IORING_ENTER_GETEVENTS, farLimitMs(20_000) * 1e6)
    kept.push(...ring.reap())
  }
}

function sendOnly(ring: TestRing, entry: Parameters<TestRing['push']>[0]): number {
  ring.push({ ...entry, userData: OTHER })
  return next(ring, OTHER).result
}

/** What a buffer says, and the data in it. */
function decode(buffers: Buffers, { result, flags }: Completion, sizes = SIZES) {
  const bytes = buffers.memory[flags >>> IORING_CQE_BUFFER_SHIFT]!
  const fields = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES)
  const start = HEAD_BYTES + sizes.nameBytes + sizes.controlBytes
  return {
    nameBytes: fields.getUint32(0, true),
    controlBytes: fields.getUint32(4, true),
    payloadBytes: fields.getUint32(8, true),
    flags: fields.getUint32(12, true),
    name: Buffer.from(bytes.subarray(HEAD_BYTES, HEAD_BYTES + 8)),
    data: Buffer.from(bytes.subarray(start, result)).toString(),
    filledBytes: result - start,
    hasMore: (flags & IORING_CQE_F_MORE) !== 0,
  }
}

contract('a receive goes on: each buffer has a header, the name, room, then the data', (kernel) => {
  using ring = new TestRing(kernel)
  const buffers = new Buffers(ring, 4, 256)
  const [sender, receiver] = [openBound(kernel), openBound(kernel)]
  ring.push(receiveEntry(receiver.fd, placeTemplate(ring, { nameBytes: 32, controlBytes: 24 })))
  ring.submit()

  assert.equal(sendTo(ring, sender.fd, receiver.port, Buffer.from('first')), 5)
  assert.equal(sendTo(ring, sender.fd, receiver.port, Buffer.from('second')), 6)

  const sizes = { nameBytes: 32, controlBytes: 24 }
  const from = Buffer.from(loopbackAddress(sender.port).subarray(0, 8))
  for (const text of ['first', 'second']) {
    assert.deepEqual(decode(buffers, next(ring), sizes), {
      nameBytes: NAME_BYTES,
      controlBytes: 0,
      payloadBytes: text.length,
      flags: 0,
      name: from,
      data: text,
      filledBytes: text.length,
      hasMore: true,
    })
  }
  for (const { fd } of [sender, receiver]) kernel.closeFd(fd)
})

contract('what does not fit a buffer is cut; with MSG_TRUNC it tells its length', (kernel) => {
  using ring = new TestRing(kernel)
  const buffers = new Buffers(ring, 4, HEAD_BYTES + NAME_BYTES + 4)
  const [sender, receiver] = [openBound(kernel), openBound(kernel)]
  for (const [opFlags, payloadBytes] of [
    [0, 4],
    [MSG_TRUNC, 9],
  ] as const) {
    assert.equal(sendTo(ring, sender.fd, receiver.port, Buffer.from('truncated')), 9)
    const header = placeTemplate(ring, SIZES)
    ring.push({ ...receiveEntry(receiver.fd, header, opFlags), ioPriority: IORING_RECV_MULTISHOT })

    const told = decode(buffers, next(ring))

    assert.equal(told.flags & MSG_TRUNC, MSG_TRUNC)
    assert.deepEqual([told.payloadBytes, told.filledBytes, told.data], [payloadBytes, 4, 'trun'])
    // Of two requests the first would take what comes next.
    const cancel = { opcode: IORING_OP_ASYNC_CANCEL, address: RECEIVE }
    assert.equal(sendOnly(ring, cancel), 0)
    assert.equal(next(ring).flags & IORING_CQE_F_MORE, 0)
  }
  for (const { fd } of [sender, receiver]) kernel.closeFd(fd)
})

contract('a datagram without data comes, and ends a receive that goes on', (kernel) => {
  using ring = new TestRing(kernel)
  const buffers = new Buffers(ring, 4, 256)
  const [sender, receiver] = [openBound(kernel), openBound(kernel)]
  ring.push(receiveEntry(receiver.fd, placeTemplate(ring, SIZES)))
  ring.submit()

  assert.equal(sendTo(ring, sender.fd, receiver.port, new Uint8Array(0)), 0)

  const told = decode(buffers, next(ring))
  assert.deepEqual([told.nameBytes, told.filledBytes, told.hasMore], [NAME_BYTES, 0, false])
  for (const { fd } of [sender, receiver]) kernel.closeFd(fd)
})

contract('without a buffer a receive ends with -ENOBUFS, and the datagram stays', (kernel) => {
  using ring = new TestRing(kernel)
  const buffers = new Buffers(ring, 4, 256, 0)
  const [sender, receiver] = [openBound(kernel), openBound(kernel)]
  const header = placeTemplate(ring, SIZES)
  assert.equal(sendTo(ring, sender.fd, receiver.port, Buffer.from('kept')), 4)

  ring.push(receiveEntry(receiver.fd, header))
  const refused = next(ring)

  assert.deepEqual([refused.result, refused.flags & IORING_CQE_F_MORE], [-ENOBUFS, 0])
  buffers.memory.push(ring.allocate(256).bytes)
  buffers.provide(0)
  ring.push(receiveEntry(receiver.fd, header))
  assert.equal(decode(buffers, next(ring)).data, 'kept')
  for (const { fd } of [sender, receiver]) kernel.closeFd(fd)
})

contract(
  'who is connected to where nobody is is told so, by a receive or the next send',
  (kernel) => {
    using ring = new TestRing(kernel)
    new Buffers(ring, 4, 256)
    const gone = openBound(kernel)
    kernel.closeFd(gone.fd)
    const fd = kernel.openSocket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    const name = ring.place(loopbackAddress(gone.port))
    const connect = { opcode: IORING_OP_CONNECT, fd, address: name, offset: NAME_BYTES }
    assert.equal(sendOnly(ring, connect), 0)
    ring.push(receiveEntry(fd, placeTemplate(ring, SIZES)))
    ring.submit()
    const send = { opcode: IORING_OP_SEND, fd, address: ring.place('x'), length: 1 }

    assert.equal(sendOnly(ring, send), 1)

    const told = next(ring)
    assert.deepEqual([told.result, told.flags & IORING_CQE_F_MORE], [-ECONNREFUSED, 0])
    kernel.closeFd(fd)
  },
)

contract('who is connected hears that sender alone', (kernel) => {
  using ring = new TestRing(kernel)
  const buffers = new Buffers(ring, 4, 256)
  const [one, other, receiver] = [openBound(kernel), openBound(kernel), openBound(kernel)]
  const name = ring.place(loopbackAddress(one.port))
  const connect = {
    opcode: IORING_OP_CONNECT,
    fd: receiver.fd,
    address: name,
    offset: NAME_BYTES,
  }
  assert.equal(sendOnly(ring, connect), 0)
  ring.push(receiveEntry(receiver.fd, placeTemplate(ring, SIZES)))
  ring.submit()

  assert.equal(sendTo(ring, other.fd, receiver.port, Buffer.from('other')), 5)
  assert.equal(sendTo(ring, one.fd, receiver.port, Buffer.from('one')), 3)

  assert.equal(decode(buffers, next(ring)).data, 'one')
  for (const { fd } of [one, other, receiver]) kernel.closeFd(fd)
})

contract('a datagram of more than 65,507 bytes is refused with -EMSGSIZE', (kernel) => {
  using ring = new TestRing(kernel)
  const [sender, receiver] = [openBound(kernel), openBound(kernel)]

  assert.equal(sendTo(ring, sender.fd, receiver.port, new Uint8Array(65_507)), 65_507)
  assert.equal(sendTo(ring, sender.fd, receiver.port, new Uint8Array(65_508)), -EMSGSIZE)
  for (const { fd } of [sender, receiver]) kernel.closeFd(fd)
})

contract('of a pair of local datagram sockets neither has a name, and none is lost', (kernel) => {
  using ring = new TestRing(kernel, { entryCount: 64 })
  const count = 20
  const buffers = new Buffers(ring, 32, 256)
  const fds = new Int32Array(2)
  assert.equal(kernel.openSocketPair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, fds), 0)
  const [one, other] = [fds[0]!, fds[1]!]
  for (let index = 0; index < count; index++) {
    const address = ring.place(Uint8Array.of(65 + index))
    ring.push({ opcode: IORING_OP_SEND, fd: one, address, length: 1, userData: OTHER })
  }
  // More than its queue has room for: the others wait.
  ring.submit()

  ring.push(receiveEntry(other, placeTemplate(ring, SIZES)))

  const data = Array.from({ length: count }, () => next(ring))
  for (let index = 0; index < count; index++) assert.equal(next(ring, OTHER).result, 1)
  const first = decode(buffers, data[0]!)
  assert.deepEqual([first.nameBytes, first.data], [0, 'A'])
  kernel.closeFd(one)
  kernel.closeFd(other)
})

contract(
  'one send is cut into segments, and one receive brings them together, by control data',
  (kernel) => {
    // The simulation has neither: its datagrams go one by one, as over a device that can do neither.
    if (kernel.name === 'sim') return
    using ring = new TestRing(kernel)
    const buffers = new Buffers(ring, 4, 4096)
    const [sender, receiver] = [openBound(kernel), openBound(kernel)]
    const on = new Uint8Array(Int32Array.of(1).buffer)
    assert.equal(kernel.setSocketOption(receiver.fd, SOL_UDP, UDP_GRO, on), 0)
    const segment = new Uint8Array(Int32Array.of(100).buffer)
    assert.equal(kernel.setSocketOption(sender.fd, SOL_UDP, UDP_SEGMENT, segment), 0)
    const sizes = { nameBytes: NAME_BYTES, controlBytes: CONTROL_BYTES }
    ring.push(receiveEntry(receiver.fd, placeTemplate(ring, sizes)))
    ring.submit()

    assert.equal(sendTo(ring, sender.fd, receiver.port, new Uint8Array(250).fill(66)), 250)

    const completion = next(ring)
    const told = decode(buffers, completion, sizes)
    const bytes = buffers.memory[completion.flags >>> IORING_CQE_BUFFER_SHIFT]!
    const at = HEAD_BYTES + NAME_BYTES
    const control = new DataView(bytes.buffer, bytes.byteOffset + at, CONTROL_BYTES)
    assert.equal(told.filledBytes, 250)
    assert.ok(told.controlBytes >= 20)
    assert.equal(control.getUint32(8, true), SOL_UDP)
    assert.equal(control.getUint32(12, true), UDP_GRO)
    assert.equal(control.getInt32(16, true), 100)
    for (const { fd } of [sender, receiver]) kernel.closeFd(fd)
  },
)
