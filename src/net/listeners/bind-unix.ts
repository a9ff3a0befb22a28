import type { Executor, WaitOptions } from '../../executor/index.ts'
import {
  AF_UNIX,
  EADDRINUSE,
  ECONNREFUSED,
  ENOENT,
  kernelError,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
} from '../../kernel/index.ts'
import { sleep } from '../../time/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import { connectSocket, openStreamSocket } from '../sockets/connect.ts'
import { Socket } from '../sockets/socket.ts'
import { identifySocket, removeSocketFile } from '../sockets/socket-file.ts'
import { formatAddress, type UnixAddress } from '../values/address.ts'
import { remainingOptions } from '../values/resolve.ts'
import { encodeAddress } from '../values/sockaddr.ts'

/** How long to wait for another thread or process that repairs the same name. */
const PAUSE_MS = 2
const ACTION = 'listen'

/**
 * Opens a socket and binds it to an address, whose name is taken from a socket that is not there any more.
 *
 * A stale name is one whose socket nobody has: connecting to it is refused, be it by a socket of another type, which a
 * live one does not notice. Such a name is removed by one at a time: who removes it holds, for as long, an abstract name
 * that is made of the identity of that file, and looks again once it has that. So the name of a socket that another
 * has bound in its place is not removed, and neither is a file of another kind.
 *
 * @throws {KernelError} `EADDRINUSE` if the address is another's, `EACCES`, `ENOENT`.
 */
export async function openBound(
  net: NetRing,
  address: UnixAddress,
  options: WaitOptions,
): Promise<number> {
  const { executor } = net
  const startNs = executor.nowNs()
  const fd = openStreamSocket(executor, address)
  try {
    for (;;) {
      const bound = executor.kernel.bindSocket(fd, encodeAddress(address))
      if (bound >= 0) return fd
      const wait = remainingOptions(executor, options, startNs, ACTION)
      if (bound !== -EADDRINUSE || address.path === null || !(await isFreed(net, address, wait))) {
        throw kernelError(bound, { syscall: 'bind', fd, address: formatAddress(address) })
      }
    }
  } catch (error) {
    executor.descriptors.closeFd(fd)
    throw error
  }
}

/** Removes the name if it is stale; whether it may be free now, and to bind is worth another try. */
async function isFreed(net: NetRing, address: UnixAddress, wait: WaitOptions): Promise<boolean> {
  const { executor } = net
  const path = address.path!
  const identity = await identifyIfThere(executor, path, wait)
  if (identity === undefined) return true
  if (identity === null || (await isLive(net, address, wait))) return false
  const lock = openLock(executor, identity)
  if (lock < 0 && lock !== -EADDRINUSE) throw kernelError(lock, { syscall: 'bind', address: path })
  if (lock < 0) {
    await sleep(PAUSE_MS, { signal: wait.signal })
    return true
  }
  try {
    // Whoever had the lock may have bound the name.
    if ((await identifyIfThere(executor, path, wait)) !== identity) return true
    if (await isLive(net, address, wait)) return false
    await removeSocketFile(executor, path, identity)
    return true
  } finally {
    executor.descriptors.closeFd(lock)
  }
}

/** Its identity; null if it is no socket, undefined if there is nothing. */
async function identifyIfThere(
  executor: Executor,
  path: string,
  wait: WaitOptions,
): Promise<string | null | undefined> {
  try {
    return await identifySocket(executor, path, wait)
  } catch (error) {
    if ((error as { errno?: number }).errno === -ENOENT) return undefined
    throw error
  }
}

/** A descriptor that nobody else in the network's name space has at the same time for that file, or `-errno`. */
function openLock(executor: Executor, identity: string): number {
  const fd = executor.descriptors.openSocket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) return fd
  const abstractName = `percore-stale-${identity}`
  const name = encodeAddress({ family: 'unix', path: null, abstractName })
  const bound = executor.kernel.bindSocket(fd, name)
  if (bound >= 0) return fd
  executor.descriptors.closeFd(fd)
  return bound
}

/** Whether somebody has the socket of that name, listening or not. */
async function isLive(net: NetRing, address: UnixAddress, wait: WaitOptions): Promise<boolean> {
  const { descriptors } = net.executor
  // Of another type: it is told so, and a listener has no connection more.
  const fd = descriptors.openSocket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) throw kernelError(fd, { syscall: 'socket', address: formatAddress(address) })
  const probe = new Socket(net, fd, address)
  try {
    await connectSocket(probe, address, wait)
    return true
  } catch (error) {
    const { errno } = error as { errno?: number }
    if (errno === undefined) throw error
    return errno !== -ECONNREFUSED && errno !== -ENOENT
  } finally {
    await probe.close()
  }
}
