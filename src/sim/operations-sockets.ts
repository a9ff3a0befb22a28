import {
  EFAULT,
  EINVAL,
  ENOBUFS,
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
  MSG_WAITALL,
  O_NONBLOCK,
  POLLIN,
  POLLOUT,
  SOCK_NONBLOCK,
} from '../kernel/index.ts'
import type { SimAddress } from './address.ts'
import type { BufferGroup } from './buffer-group.ts'
import { type OperationEntry, PENDING, type SimCore, type SimOperation } from './core.ts'
import { receiveMessage, sendMessage } from './operations-messages.ts'
import type { SimRequest } from './request.ts'
import { SimSocket } from './socket.ts'
import {
  addressOf,
  again,
  COMPLETIONS_IN_A_ROW_MAX,
  pending,
  receiveInto,
  sendBytes,
  sendDatagram,
  writeDirect,
} from './transfers.ts'

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
  // Nothing may be anywhere.
  const { address, length } = request
  const memory = length === 0 ? new Uint8Array(0) : core.memory.view(address, length)
  if (memory === null) return -EFAULT
  if (socket.isStream) return sendBytes(core, request, socket, memory, { onTaken })
  const to = request.offset > 0 ? addressOf(core, request.offset, request.fileIndex & 0xffff) : null
  return typeof to === 'number' ? to : sendDatagram(core, request, socket, { bytes: memory, to })
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

function shutdown(core: SimCore, request: SimRequest, socket: SimSocket): number {
  return core.network.shutdown(socket, request.length)
}

// ABI: the length is in memory too: the room there is, then the room that was needed.
function writeName(core: SimCore, at: number, lengthAt: number, name: SimAddress | null): void {
  if (at === 0 || lengthAt === 0 || name === null) return
  const length = core.memory.view(lengthAt, 4)
  if (length === null) return
  const fields = new DataView(length.buffer, length.byteOffset, 4)
  fields.setUint32(0, writeDirect(core, at, fields.getUint32(0, true), name), true)
}
