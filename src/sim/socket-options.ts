/** Options of simulated sockets. */
import {
  AF_UNIX,
  EFAULT,
  EINVAL,
  SO_ERROR,
  SO_LINGER,
  SO_PEERCRED,
  SO_RCVBUF,
  SO_SNDBUF,
  SOL_SOCKET,
} from '../kernel/index.ts'
import type { SimCore } from './core.ts'
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

/** getsockopt(2) */
export function getOption(
  core: SimCore,
  socket: SimSocket,
  level: number,
  option: number,
  value: Uint8Array,
): number {
  if (value.length < 4) return -EFAULT
  if (level === SOL_SOCKET && option === SO_PEERCRED) return writeCredentials(socket, value)
  let number = socket.optionValues.get(`${level}:${option}`) ?? 0
  if (level === SOL_SOCKET && option === SO_ERROR) number = -core.network.takeError(socket)
  else if (level === SOL_SOCKET && number === 0) {
    if (option === SO_SNDBUF || option === SO_RCVBUF) number = core.options.socketBufferBytes
  }
  new DataView(value.buffer, value.byteOffset, 4).setInt32(0, number, true)
  return 4
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
