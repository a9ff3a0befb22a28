import {
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOBUFS,
  ENOTCONN,
  ENOTSOCK,
  ETIMEDOUT,
  IORING_ACCEPT_MULTISHOT,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUF_MORE,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IORING_CQE_F_NOTIF,
  IORING_CQE_F_SOCK_NONEMPTY,
  IORING_OP_ACCEPT,
  IORING_OP_BIND,
  IORING_OP_CONNECT,
  IORING_OP_LISTEN,
  IORING_OP_RECV,
  IORING_OP_RECVMSG,
  IORING_OP_SEND,
  IORING_OP_SEND_ZC,
  IORING_OP_SENDMSG,
  IORING_OP_SHUTDOWN,
  IORING_OP_SOCKET,
  IORING_RECV_MULTISHOT,
  IORING_RECVSEND_BUNDLE,
  IOSQE_BUFFER_SELECT,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_WAITALL,
  O_NONBLOCK,
  POLLIN,
  POLLOUT,
  SOCK_NONBLOCK,
} from '../kernel/index.ts'
import { readAddress, type SimAddress, writeAddress } from './address.ts'
import type { BufferGroup } from './buffer-group.ts'
import { type OperationEntry, PENDING, type SimCore, type SimOperation } from './core.ts'
import { readMessage, type SimMessage, writeMessage } from './message.ts'
import type { SimRequest } from './request.ts'
import { SimSocket } from './socket.ts'

const MSG_TRUNC = 0x20
/** After so many completions a multishot operation lets others go first. */
const COMPLETIONS_IN_A_ROW_MAX = 32
const CONNECT_RETRY_NS = 1_000_000
/** As Linux, after seven tries whose waits double. */
const CONNECT_TIMEOUT_NS = 127e9

/** Opcodes on sockets. */
export const SOCKET_OPERATIONS: readonly OperationEntry[] = [
  [
    IORING_OP_SOCKET,
    { name: 'SOCKET', kind: 'inline', needsFile: false, errors: ['EMFILE'], attempt: open },
  ],
  [IORING_OP_BIND, onSocket('BIND', 'inline', bind)],
  [IORING_OP_LISTEN, onSocket('LISTEN', 'inline', listen)],
  [
    IORING_OP_CONNECT,
    { ...onSocket('CONNECT', 'inline', connect), errors: ['ECONNREFUSED', 'ETIMEDOUT'] },
  ],
  [
    IORING_OP_ACCEPT,
    { ...onSocket('ACCEPT', 'socket', accept), errors: ['EMFILE', 'ENOMEM'], waitEvents: POLLIN },
  ],
  [IORING_OP_SEND, sending('SEND', send)],
  [IORING_OP_SEND_ZC, sending('SEND_ZC', sendZeroCopy)],
  [IORING_OP_SENDMSG, sending('SENDMSG', sendMessage)],
  [IORING_OP_RECV, receiving('RECV', receive)],
  [IORING_OP_RECVMSG, receiving('RECVMSG', receiveMessage)],
  [IORING_OP_SHUTDOWN, onSocket('SHUTDOWN', 'inline', shutdown)],
]

type SocketBody = (core: SimCore, request: SimRequest, socket: SimSocket) => number

function onSocket(name: string, kind: 'inline' | 'socket', body: SocketBody): SimOperation {
  const attempt = (core: SimCore, request: SimRequest): number => {
    const socket = request.description
    return socket instanceof SimSocket ? body(core, request, socket) : -ENOTSOCK
  }
  return { name, kind, needsFile: true, errors: [], attempt }
}

function sending(name: string, body: SocketBody): SimOperation {
  return {
    ...onSocket(name, 'socket', body),
    errors: ['ECONNRESET', 'EINTR'],
    waitEvents: POLLOUT,
    breaksLink: (request, result) => isShort(request, result),
  }
}

function receiving(name: string, body: SocketBody): SimOperation {
  return {
    ...onSocket(name, 'socket', body),
    errors: ['ECONNRESET', 'EINTR'],
    waitEvents: POLLIN,
    breaksLink: (request, result) => isShort(request, result),
  }
}

function isShort(request: SimRequest, result: number): boolean {
  return (request.opFlags & MSG_WAITALL) !== 0 && result < request.length
}

function open(core: SimCore, request: SimRequest): number {
  const socket = core.network.create(request.fd, request.offset)
  if (typeof socket === 'number') return socket
  return core.install(request, socket)
}

function bind(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const address = addressOf(core, request.address, request.offset)
  return typeof address === 'number' ? address : core.network.bind(socket, address)
}

function listen(core: SimCore, request: SimRequest, socket: SimSocket): number {
  return core.network.listen(socket, request.length)
}

function connect(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const address = addressOf(core, request.address, request.offset)
  if (typeof address === 'number') return address
  const endNs = core.clock.nowNs + CONNECT_TIMEOUT_NS
  const step = (): void => {
    const result = core.network.connect(socket, address)
    if (result !== null) core.complete(request, result)
    else if (core.clock.nowNs >= endNs) core.complete(request, -ETIMEDOUT)
    else core.later(request, CONNECT_RETRY_NS, step)
  }
  const [minNs, maxNs] = core.options.networkLatencyNs
  core.later(request, core.latencyNs(minNs, maxNs), step)
  return PENDING
}

function accept(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const isMultishot = (request.ioPriority & IORING_ACCEPT_MULTISHOT) !== 0
  for (let count = 0; count < COMPLETIONS_IN_A_ROW_MAX; count++) {
    if (socket.state !== 'listening') return -EINVAL
    if (socket.accepting.length === 0) return pending(request, socket)
    const connection = socket.accepting[0]!
    const fd = core.install(request, connection)
    // It stays in the backlog for when a descriptor is free.
    if (fd < 0) return fd
    socket.accepting.shift()
    if (request.opFlags & SOCK_NONBLOCK) connection.statusFlags |= O_NONBLOCK
    writeName(core, request.address, request.offset, connection.remote)
    if (!isMultishot) return fd
    if (!request.ring.postMore(request, fd, 0)) return fd
  }
  return again(core, request)
}

function send(core: SimCore, request: SimRequest, socket: SimSocket, onTaken?: () => void): number {
  const memory = core.memory.view(request.address, request.length)
  if (memory === null) return -EFAULT
  if (socket.isStream) return sendBytes(core, request, socket, memory, onTaken)
  const to = request.offset > 0 ? addressOf(core, request.offset, request.fileIndex & 0xffff) : null
  return typeof to === 'number' ? to : core.network.sendDatagram(socket, memory, to)
}

function sendBytes(
  core: SimCore,
  request: SimRequest,
  socket: SimSocket,
  memory: Uint8Array,
  onTaken?: () => void,
): number {
  const wantsAll = (request.opFlags & MSG_WAITALL) !== 0
  let rest = memory.subarray(request.doneBytes)
  if (!wantsAll) rest = rest.subarray(0, core.shorten(rest.length, core.faults.shortWrite))
  const result = core.network.send(socket, rest, onTaken)
  if (result < 0) return request.doneBytes > 0 ? request.doneBytes : result
  if (result === 0 && memory.length > 0) return pending(request, socket)
  request.doneBytes += result
  const isDone = !wantsAll || request.doneBytes === memory.length
  return isDone ? request.doneBytes : pending(request, socket)
}

/** Two completions: the result, be it an error, and that the memory is no longer needed: it was taken from where it lies. */
function sendZeroCopy(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const [minNs, maxNs] = core.options.networkLatencyNs
  const notify = (): void => {
    core.later(request, core.latencyNs(minNs, maxNs), () => {
      core.complete(request, 0, IORING_CQE_F_NOTIF)
    })
  }
  const result = send(core, request, socket, notify)
  if (result === PENDING) return result
  core.record(request, result, IORING_CQE_F_MORE)
  request.isUnstoppable = true
  if (result <= 0 || !socket.isStream) notify()
  core.releaseFile(request)
  request.ring.post(request.userDataLow, request.userDataHigh, result, IORING_CQE_F_MORE)
  return PENDING
}

function sendMessage(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const message = readMessage(core, request.address)
  if (typeof message === 'number') return message
  const bytes = Buffer.concat(message.memory)
  if (socket.isStream) return sendBytes(core, request, socket, bytes)
  const to = message.nameBytes > 0 ? addressOf(core, message.name, message.nameBytes) : null
  return typeof to === 'number' ? to : core.network.sendDatagram(socket, bytes, to)
}

function receive(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const isMultishot = (request.ioPriority & IORING_RECV_MULTISHOT) !== 0
  if (isMultishot && !(request.flags & IOSQE_BUFFER_SELECT)) return -EINVAL
  if (!(request.flags & IOSQE_BUFFER_SELECT)) {
    const memory = core.memory.view(request.address, request.length)
    return memory === null ? -EFAULT : receiveInto(core, request, socket, memory)
  }
  for (let count = 0; count < COMPLETIONS_IN_A_ROW_MAX; count++) {
    const result = receiveSelected(core, request, socket, isMultishot)
    if (result <= 0 || request.isDone) return result
  }
  return again(core, request)
}

/** One receive into a provided buffer; completes the request unless it goes on. */
function receiveSelected(
  core: SimCore,
  request: SimRequest,
  socket: SimSocket,
  isMultishot: boolean,
): number {
  const group = request.ring.bufferGroups.get(request.bufferIndex)
  const buffer = group?.peek() ?? null
  if (group === undefined || buffer === null || core.chance(core.faults.noBuffers)) return -ENOBUFS
  const rooms = pickRooms(core, request, socket, group)
  if (rooms === null) return -EFAULT
  const [room] = rooms
  const memory = rooms.length === 1 ? room! : new Uint8Array(sumOf(rooms))
  const result = receiveInto(core, request, socket, memory)
  if (result <= 0) return result
  let left = result
  let goesOn = false
  for (const view of rooms) {
    if (left === 0) break
    const count = Math.min(view.length, left)
    if (memory !== view) view.set(memory.subarray(result - left, result - left + count))
    goesOn = group.take(count)
    left -= count
  }
  let flags = IORING_CQE_F_BUFFER | (buffer.id << IORING_CQE_BUFFER_SHIFT)
  if (goesOn) flags |= IORING_CQE_F_BUF_MORE
  if (socket.isReadable) flags |= IORING_CQE_F_SOCK_NONEMPTY
  if (!isMultishot || !request.ring.postMore(request, result, flags)) {
    core.complete(request, result, flags)
  }
  return result
}

/** What one receive may fill: a buffer or, for a bundle, as many as there are bytes for. Null if one is no memory. */
function pickRooms(
  core: SimCore,
  { ioPriority, length }: SimRequest,
  socket: SimSocket,
  group: BufferGroup,
): readonly Uint8Array<ArrayBuffer>[] | null {
  const isBundle = (ioPriority & IORING_RECVSEND_BUNDLE) !== 0 && socket.isStream
  const wanted = isBundle ? (socket.incoming?.arrivedBytes ?? 0) : 1
  let left = length === 0 ? Number.POSITIVE_INFINITY : length
  const rooms: Uint8Array<ArrayBuffer>[] = []
  for (let index = 0, sum = 0; index === 0 || (sum < wanted && left > 0); index++) {
    const buffer = group.peek(index)
    if (buffer === null) break
    const view = core.memory.view(buffer.address, Math.min(left, buffer.lengthBytes))
    if (view === null) return null
    rooms.push(view)
    sum += view.length
    left -= view.length
  }
  return rooms
}

function sumOf(rooms: readonly Uint8Array[]): number {
  return rooms.reduce((sum, { length }) => sum + length, 0)
}

function receiveInto(
  core: SimCore,
  request: SimRequest,
  socket: SimSocket,
  memory: Uint8Array,
): number {
  if (!socket.isStream) return receiveDatagram(core, request, socket, memory)
  if (socket.incoming === null)
    return socket.error === 0 ? -ENOTCONN : core.network.takeError(socket)
  const { incoming } = socket
  const isPeeking = (request.opFlags & MSG_PEEK) !== 0
  const wantsAll = (request.opFlags & MSG_WAITALL) !== 0 && !isPeeking
  if (incoming.arrivedBytes > 0) {
    let rest = memory.subarray(wantsAll ? request.doneBytes : 0)
    const available = Math.min(rest.length, incoming.arrivedBytes)
    rest = rest.subarray(0, core.shorten(available, core.faults.shortRead))
    const taken = incoming.take(rest, isPeeking)
    if (!isPeeking) core.network.drained(socket)
    if (!wantsAll) return taken
    request.doneBytes += taken
    if (request.doneBytes === memory.length) return request.doneBytes
    if (incoming.arrivedBytes > 0) return receiveInto(core, request, socket, memory)
  }
  // The end goes before an error that came after it.
  if (memory.length === 0 || incoming.hasEnded) return request.doneBytes
  if (request.doneBytes > 0 && socket.error !== 0) return request.doneBytes
  if (socket.error !== 0) return core.network.takeError(socket)
  if (socket.isReadShut) return request.doneBytes
  return pending(request, socket)
}

function receiveDatagram(
  core: SimCore,
  request: SimRequest,
  socket: SimSocket,
  memory: Uint8Array,
): number {
  const [datagram] = socket.datagrams
  if (datagram === undefined) {
    if (socket.error !== 0) return core.network.takeError(socket)
    return socket.isReadShut ? 0 : pending(request, socket)
  }
  const count = Math.min(memory.length, datagram.bytes.length)
  memory.set(datagram.bytes.subarray(0, count))
  if (!(request.opFlags & MSG_PEEK)) {
    socket.datagrams.shift()
    socket.datagramBytes -= datagram.bytes.length
  }
  return count
}

function receiveMessage(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const message = readMessage(core, request.address)
  if (typeof message === 'number') return message
  if (request.flags & IOSQE_BUFFER_SELECT) return receiveMessages(core, request, socket, message)
  const [datagram] = socket.datagrams
  const bytes = new Uint8Array(message.memory.reduce((sum, view) => sum + view.length, 0))
  const result = receiveInto(core, request, socket, bytes)
  if (result < 0) return result
  let done = 0
  for (const view of message.memory) {
    const count = Math.min(view.length, result - done)
    view.set(bytes.subarray(done, done + count))
    done += count
  }
  const isCut = datagram !== undefined && datagram.bytes.length > bytes.length
  const nameBytes = writeDirect(core, message.name, message.nameBytes, datagram?.from ?? null)
  writeMessage(core, request.address, nameBytes, isCut ? MSG_TRUNC : 0)
  return result
}

// ABI: each buffer begins with struct io_uring_recvmsg_out, then room for the name and control data.
/** Receives datagrams into provided buffers, each with a header. */
function receiveMessages(
  core: SimCore,
  request: SimRequest,
  socket: SimSocket,
  message: SimMessage,
): number {
  const isMultishot = (request.ioPriority & IORING_RECV_MULTISHOT) !== 0
  for (let count = 0; count < COMPLETIONS_IN_A_ROW_MAX; count++) {
    const group = request.ring.bufferGroups.get(request.bufferIndex)
    const buffer = group?.peek() ?? null
    if (group === undefined || buffer === null || core.chance(core.faults.noBuffers)) {
      return -ENOBUFS
    }
    const memory = core.memory.view(buffer.address, buffer.lengthBytes)
    const headBytes = 16 + message.nameBytes + message.controlBytes
    if (memory === null || memory.length < headBytes) return -EFAULT
    const [datagram] = socket.datagrams
    const result = receiveInto(core, request, socket, memory.subarray(headBytes))
    if (result === PENDING || result < 0 || datagram === undefined) return result
    const fields = new DataView(memory.buffer, memory.byteOffset, headBytes)
    const name = memory.subarray(16, 16 + message.nameBytes)
    fields.setUint32(0, datagram.from === null ? 0 : writeAddress(name, datagram.from), true)
    fields.setUint32(4, 0, true)
    fields.setUint32(8, datagram.bytes.length, true)
    fields.setUint32(12, datagram.bytes.length > result ? MSG_TRUNC : 0, true)
    const total = headBytes + result
    const goesOn = group.take(total)
    const flags =
      IORING_CQE_F_BUFFER |
      (buffer.id << IORING_CQE_BUFFER_SHIFT) |
      (goesOn ? IORING_CQE_F_BUF_MORE : 0)
    if (isMultishot && request.ring.postMore(request, total, flags)) continue
    core.complete(request, total, flags)
    return total
  }
  return again(core, request)
}

function shutdown(core: SimCore, request: SimRequest, socket: SimSocket): number {
  return core.network.shutdown(socket, request.length)
}

/** Waits for the socket, unless it is not to be waited for. */
function pending(request: SimRequest, socket: SimSocket): number {
  const isWaiting = !(request.opFlags & MSG_DONTWAIT) && !(socket.statusFlags & O_NONBLOCK)
  if (isWaiting) return PENDING
  return request.doneBytes > 0 ? request.doneBytes : -EAGAIN
}

/** Goes on after others had their turn. */
function again(core: SimCore, request: SimRequest): number {
  core.later(request, core.latencyNs(100, 2_000), () => core.attempt(request))
  return PENDING
}

function addressOf(core: SimCore, address: number, lengthBytes: number): SimAddress | number {
  const raw = core.memory.view(address, lengthBytes)
  return raw === null ? -EFAULT : readAddress(raw)
}

// ABI: the length is in memory too: the room there is, then the room that was needed.
function writeName(core: SimCore, at: number, lengthAt: number, name: SimAddress | null): void {
  if (at === 0 || lengthAt === 0 || name === null) return
  const length = core.memory.view(lengthAt, 4)
  if (length === null) return
  const fields = new DataView(length.buffer, length.byteOffset, 4)
  fields.setUint32(0, writeDirect(core, at, fields.getUint32(0, true), name), true)
}

function writeDirect(core: SimCore, at: number, room: number, name: SimAddress | null): number {
  const target = at === 0 || name === null ? null : core.memory.view(at, room)
  return target === null ? 0 : writeAddress(target, name!)
}
