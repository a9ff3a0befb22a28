/** What the native loopReceiveRights does: recvmsg(2) on a local stream, without waiting. */
import {
  AF_UNIX,
  EAGAIN,
  EBADF,
  ENOTCONN,
  ENOTSOCK,
  EOPNOTSUPP,
  RIGHTS_HEAD_WORDS,
} from '../kernel/index.ts'
import type { Rights } from './byte-stream.ts'
import type { SimCore } from './core.ts'
import { SimSocket } from './socket.ts'

/** Bytes read, or `-errno`; the descriptors that came are installed, and nobody's yet. */
export function receiveRights(
  core: SimCore,
  fd: number,
  data: Uint8Array,
  rights: Int32Array,
): number {
  const socket = core.descriptors.get(fd)
  if (socket === null) return -EBADF
  if (!(socket instanceof SimSocket)) return -ENOTSOCK
  if (!socket.isStream || socket.domain !== AF_UNIX) return -EOPNOTSUPP
  const { incoming } = socket
  if (incoming === null) return socket.error === 0 ? -ENOTCONN : core.network.takeError(socket)
  rights.fill(0, 0, RIGHTS_HEAD_WORDS)
  if (incoming.arrivedBytes === 0) {
    if (incoming.hasEnded) return 0
    if (socket.error !== 0) return core.network.takeError(socket)
    return socket.isReadShut ? 0 : -EAGAIN
  }
  const room = data.subarray(0, Math.min(data.length, incoming.arrivedBytes))
  const wanted = room.subarray(0, core.shorten(room.length, core.faults.shortRead))
  const taken = incoming.take(wanted, false, (received) => install(core, received, rights))
  core.network.drained(socket)
  return taken
}

/** Gives each a number, while there is room and a number; the others are closed, and that is told. */
function install(core: SimCore, received: Rights, rights: Int32Array): void {
  for (const description of received) {
    const hasRoom = rights[0]! < rights.length - RIGHTS_HEAD_WORDS && rights[1] === 0
    const fd = hasRoom ? core.descriptors.install(description) : -1
    if (fd < 0) {
      rights[1] = 1
    } else {
      rights[RIGHTS_HEAD_WORDS + rights[0]!] = fd
      rights[0]!++
    }
    description.release()
  }
}
