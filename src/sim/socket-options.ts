/** Options of simulated sockets. */
import {
  AF_UNIX,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EFAULT,
  EINVAL,
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  SK_MEMINFO_DROPS,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_ERROR,
  SO_LINGER,
  SO_MEMINFO,
  SO_PEERCRED,
  SO_RCVBUF,
  SO_SNDBUF,
  SO_TYPE,
  SOL_SOCKET,
} from '../kernel/index.ts'
import type { SimCore } from './core.ts'
import { isMulticast } from './datagrams.ts'
import { SIM_PROCESS_ID } from './machine.ts'
import type { SimSocket } from './socket.ts'

/** setsockopt(2) */
export function setOption(
  socket: SimSocket,
  level: number,
  option: number,
  value: Uint8Array,
): number {
  if (value.length < 4) return -EINVAL
  const isJoin = option === (level === IPPROTO_IP ? IP_ADD_MEMBERSHIP : IPV6_JOIN_GROUP)
  const isLeave = option === (level === IPPROTO_IP ? IP_DROP_MEMBERSHIP : IPV6_LEAVE_GROUP)
  if ((level === IPPROTO_IP || level === IPPROTO_IPV6) && (isJoin || isLeave)) {
    return setMembership(socket, value.subarray(0, level === IPPROTO_IP ? 4 : 16), isJoin)
  }
  const number = new DataView(value.buffer, value.byteOffset, 4).getInt32(0, true)
  // ABI: struct linger is whether, and how long; kept as one number, of which 1 means "not at all".
  if (level === SOL_SOCKET && option === SO_LINGER && value.length >= 8) {
    const seconds = new DataView(value.buffer, value.byteOffset, 8).getInt32(4, true)
    socket.optionValues.set(`${level}:${option}`, number === 0 ? 0 : seconds + 1)
    return 0
  }
  const isBuffer = level === SOL_SOCKET && (option === SO_SNDBUF || option === SO_RCVBUF)
  socket.optionValues.set(`${level}:${option}`, isBuffer ? number * 2 : number)
  return 0
}

/** Groups are joined once, and left by who has joined them; the machine has one interface. */
function setMembership(socket: SimSocket, raw: Uint8Array, isJoin: boolean): number {
  const host = Buffer.from(raw).toString('latin1')
  if (!isMulticast({ family: socket.domain, port: 0, host })) return -EINVAL
  if (isJoin === socket.memberships.has(host)) return isJoin ? -EADDRINUSE : -EADDRNOTAVAIL
  if (isJoin) socket.memberships.add(host)
  else socket.memberships.delete(host)
  return 0
}

/** getsockopt(2) */
export function getOption(
  core: SimCore,
  socket: SimSocket,
  level: number,
  option: number,
  value: Uint8Array,
): number {
  if (value.length < 4) return -EFAULT
  if (level === SOL_SOCKET && option === SO_MEMINFO) return writeMemoryInfo(socket, value)
  if (level === SOL_SOCKET && option === SO_PEERCRED) return writeCredentials(socket, value)
  let number = socket.optionValues.get(`${level}:${option}`) ?? 0
  if (level === SOL_SOCKET && option === SO_ERROR) number = -core.network.takeError(socket)
  else if (level === SOL_SOCKET && option === SO_DOMAIN) number = socket.domain
  else if (level === SOL_SOCKET && option === SO_TYPE) number = socket.type
  else if (level === SOL_SOCKET && option === SO_ACCEPTCONN) {
    number = socket.state === 'listening' ? 1 : 0
  } else if (level === SOL_SOCKET && number === 0) {
    if (option === SO_SNDBUF || option === SO_RCVBUF) number = core.options.socketBufferBytes
  }
  new DataView(value.buffer, value.byteOffset, 4).setInt32(0, number, true)
  return 4
}

function writeMemoryInfo(socket: SimSocket, value: Uint8Array): number {
  const lengthBytes = 4 * (SK_MEMINFO_DROPS + 1)
  if (value.length < lengthBytes) return -EINVAL
  value.fill(0, 0, lengthBytes)
  const fields = new DataView(value.buffer, value.byteOffset, lengthBytes)
  fields.setUint32(4 * SK_MEMINFO_DROPS, socket.droppedCount, true)
  return lengthBytes
}

// ABI: struct ucred: process, user, group.
/** Whoever is there is this process, of user 0; nobody has the number 0, and the others -1. */
function writeCredentials(socket: SimSocket, value: Uint8Array): number {
  if (value.length < 12) return -EINVAL
  const hasPeer = socket.domain === AF_UNIX && socket.remote !== null
  const fields = new DataView(value.buffer, value.byteOffset, 12)
  fields.setInt32(0, hasPeer ? SIM_PROCESS_ID : 0, true)
  fields.setInt32(4, hasPeer ? 0 : -1, true)
  fields.setInt32(8, hasPeer ? 0 : -1, true)
  return 12
}
