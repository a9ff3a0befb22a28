/** Messages of simulated sockets: with names, header by header. */
import {
  AF_UNIX,
  EBADF,
  EFAULT,
  ENOBUFS,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUF_MORE,
  IORING_CQE_F_BUFFER,
  IORING_RECV_MULTISHOT,
  IOSQE_BUFFER_SELECT,
  MSG_TRUNC,
} from '../kernel/index.ts'
import { writeAddress } from './address.ts'
import type { Rights } from './byte-stream.ts'
import { PENDING, type SimCore } from './core.ts'
import { readMessage, readRights, type SimMessage, writeMessage } from './message.ts'
import type { SimRequest } from './request.ts'
import type { SimSocket } from './socket.ts'
import {
  addressOf,
  again,
  COMPLETIONS_IN_A_ROW_MAX,
  receiveInto,
  sendBytes,
  sendDatagram,
  writeDirect,
} from './transfers.ts'

export function sendMessage(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const message = readMessage(core, request.address)
  if (typeof message === 'number') return message
  const bytes = Buffer.concat(message.memory)
  if (socket.isStream) {
    const rights = describeRights(core, socket, message)
    if (typeof rights === 'number') return rights
    return sendBytes(core, request, socket, bytes, { rights })
  }
  const to = message.nameBytes > 0 ? addressOf(core, message.name, message.nameBytes) : null
  return typeof to === 'number' ? to : sendDatagram(core, request, socket, { bytes, to })
}

/** What the descriptors of a message are of, or `-errno`. */
function describeRights(
  core: SimCore,
  { domain }: SimSocket,
  message: SimMessage,
): Rights | null | number {
  // Only local sockets look at control data.
  const fds = domain === AF_UNIX ? readRights(core, message) : []
  if (typeof fds === 'number') return fds
  const rights = fds.map((fd) => core.descriptors.get(fd))
  if (rights.includes(null)) return -EBADF
  return rights.length === 0 ? null : (rights as Rights)
}

export function receiveMessage(core: SimCore, request: SimRequest, socket: SimSocket): number {
  const message = readMessage(core, request.address)
  if (typeof message === 'number') return message
  if (request.flags & IOSQE_BUFFER_SELECT) return receiveMessages(core, request, socket, message)
  const [datagram] = socket.datagrams
  const bytes = new Uint8Array(message.memory.reduce((sum, view) => sum + view.length, 0))
  const result = receiveInto(core, request, socket, bytes)
  if (result < 0) return result
  const filledBytes = Math.min(result, bytes.length)
  let done = 0
  for (const view of message.memory) {
    const count = Math.min(view.length, filledBytes - done)
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
    const room = memory.subarray(headBytes)
    const result = receiveInto(core, request, socket, room)
    if (result === PENDING || result < 0 || datagram === undefined) return result
    const filledBytes = Math.min(result, room.length)
    const fields = new DataView(memory.buffer, memory.byteOffset, headBytes)
    const name = memory.subarray(16, 16 + message.nameBytes)
    fields.setUint32(0, datagram.from === null ? 0 : writeAddress(name, datagram.from), true)
    fields.setUint32(4, 0, true)
    // The whole length only for who asks for it, by MSG_TRUNC.
    fields.setUint32(8, result, true)
    fields.setUint32(12, datagram.bytes.length > filledBytes ? MSG_TRUNC : 0, true)
    const total = headBytes + filledBytes
    const goesOn = group.take(total)
    const flags =
      IORING_CQE_F_BUFFER |
      (buffer.id << IORING_CQE_BUFFER_SHIFT) |
      (goesOn ? IORING_CQE_F_BUF_MORE : 0)
    // One without data ends it, as the end of a stream would.
    const goesOnReceiving = isMultishot && result > 0
    if (goesOnReceiving && request.ring.postMore(request, total, flags)) continue
    core.complete(request, total, flags)
    return total
  }
  return again(core, request)
}
