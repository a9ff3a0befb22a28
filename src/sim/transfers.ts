/** What sends and receives of simulated sockets have in common. */
import {
  EAGAIN,
  EFAULT,
  ENOTCONN,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  O_NONBLOCK,
} from '../kernel/index.ts'
import { readAddress, type SimAddress, writeAddress } from './address.ts'
import { PENDING, type SimCore } from './core.ts'
import type { SendExtra } from './network.ts'
import type { SimRequest } from './request.ts'
import type { SimSocket } from './socket.ts'

/** After so many completions a multishot operation lets others go first. */
export const COMPLETIONS_IN_A_ROW_MAX = 32

export function sendBytes(
  core: SimCore,
  request: SimRequest,
  socket: SimSocket,
  memory: Uint8Array,
  extra: SendExtra = {},
): number {
  const wantsAll = (request.opFlags & MSG_WAITALL) !== 0
  let rest = memory.subarray(request.doneBytes)
  if (!wantsAll) rest = rest.subarray(0, core.shorten(rest.length, core.faults.shortWrite))
  // Descriptors go with the first byte.
  const rights = request.doneBytes === 0 ? extra.rights : null
  const result = core.network.send(socket, rest, { ...extra, rights })
  if (result < 0) return request.doneBytes > 0 ? request.doneBytes : result
  if (result === 0 && memory.length > 0) return pending(request, socket)
  request.doneBytes += result
  const isDone = !wantsAll || request.doneBytes === memory.length
  return isDone ? request.doneBytes : pending(request, socket)
}

/** Sends a datagram, once there is room for it. */
export function sendDatagram(
  core: SimCore,
  request: SimRequest,
  socket: SimSocket,
  { bytes, to }: { readonly bytes: Uint8Array; readonly to: SimAddress | null },
): number {
  return core.network.sendDatagram(socket, bytes, to) ?? pending(request, socket)
}

export function receiveInto(
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
    core.network.takeDatagram(socket)
  }
  return request.opFlags & MSG_TRUNC ? datagram.bytes.length : count
}

/** Waits for the socket, unless it is not to be waited for. */
export function pending(request: SimRequest, socket: SimSocket): number {
  const isWaiting = !(request.opFlags & MSG_DONTWAIT) && !(socket.statusFlags & O_NONBLOCK)
  if (isWaiting) return PENDING
  return request.doneBytes > 0 ? request.doneBytes : -EAGAIN
}

/** Goes on after others had their turn. */
export function again(core: SimCore, request: SimRequest): number {
  core.later(request, core.latencyNs(100, 2_000), () => core.attempt(request))
  return PENDING
}

export function addressOf(
  core: SimCore,
  address: number,
  lengthBytes: number,
): SimAddress | number {
  const raw = core.memory.view(address, lengthBytes)
  return raw === null ? -EFAULT : readAddress(raw)
}

export function writeDirect(
  core: SimCore,
  at: number,
  room: number,
  name: SimAddress | null,
): number {
  const target = at === 0 || name === null ? null : core.memory.view(at, room)
  return target === null ? 0 : writeAddress(target, name!)
}
