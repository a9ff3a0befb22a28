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
import { formatAddress, type UnixAddress } from '../values/address.ts'
import { remainingOptions } from '../values/resolve.ts'
import type { SocketFile } from '../values/share-listener.ts'
import { encodeAddress, UNIX_NAME_BYTES_MAX } from '../values/sockaddr.ts'
import { connectSocket } from './connect.ts'
import { Socket } from './socket.ts'
import { identifyOwnSocket, identifySocket, removeSocketFile } from './socket-file.ts'

/** A socket that is bound to a name, and what has to be removed with it. */
export interface BoundUnix {
  readonly fd: number
  /** As it was given, but for a path: that is absolute where there is room for it. */
  readonly address: UnixAddress
  /** The file that it has made, or null. */
  readonly file: SocketFile | null
}

/** What is bound to a name, `SOCK_STREAM` or `SOCK_DGRAM`, and what errors say was done. */
export interface UnixKind {
  readonly type: number
  readonly action: string
}

/** How long to wait for another thread or process that repairs the same name. */
const PAUSE_MS = 2

/**
 * Opens a socket, binds it, and remembers the file that it has made; see {@link openBound}.
 *
 * @throws {KernelError} `EADDRINUSE` if the address is another's, `EACCES`, `ENOENT`.
 */
export async function bindUnix(
  net: NetRing,
  given: UnixAddress,
  kind: UnixKind,
  options: WaitOptions,
): Promise<BoundUnix> {
  const { executor } = net
  // Now, since the program may go to another folder meanwhile.
  const absolute = given.path === null ? null : toAbsolute(executor, given.path)
  const address = isAddressable(absolute) ? { ...given, path: absolute } : given
  const fd = await openBound(net, address, kind, options)
  try {
    const file = absolute === null ? null : await identifyOwn(executor, absolute)
    return { fd, address, file }
  } catch (error) {
    executor.descriptors.closeFd(fd)
    throw error
  }
}

/** Removes it while its socket is still there, so that nobody else takes it for stale. What hinders that is no failure of a close. */
export async function removeOwnFile(
  executor: Executor,
  { path, identity }: SocketFile,
): Promise<void> {
  try {
    await removeSocketFile(executor, path, identity)
  } catch {
    // The next one to bind that finds it stale.
  }
}

/** Removes what a closed socket was found by, unless another process listens on the same: as {@link removeOwnFile} for what hinders. */
export async function removeOwnFileIfStale(net: NetRing, { path }: SocketFile): Promise<void> {
  try {
    await isFreed(net, { family: 'unix', path, abstractName: null }, {})
  } catch {
    // The next one to bind that finds it stale.
  }
}

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
async function openBound(
  net: NetRing,
  address: UnixAddress,
  { type, action }: UnixKind,
  options: WaitOptions,
): Promise<number> {
  const { executor } = net
  const startNs = executor.nowNs()
  executor.assertOpen(action)
  const fd = executor.descriptors.openSocket(AF_UNIX, type | SOCK_CLOEXEC, 0)
  if (fd < 0) throw kernelError(fd, { syscall: 'socket', address: formatAddress(address) })
  try {
    for (;;) {
      const bound = executor.kernel.bindSocket(fd, encodeAddress(address))
      if (bound >= 0) return fd
      const wait = remainingOptions(executor, options, startNs, action)
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
  // Of another type than a stream: it is told so, and a listener has no connection more.
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

/** Whether it fits an address: else the path that was given has to do, from the folder of the program. */
function isAddressable(absolute: string | null): absolute is string {
  return absolute !== null && Buffer.byteLength(absolute) <= UNIX_NAME_BYTES_MAX
}

/** @throws {KernelError} `EADDRINUSE` where something else has taken the place of the socket that was just bound. */
async function identifyOwn(executor: Executor, path: string): Promise<SocketFile> {
  const identity = await identifyOwnSocket(executor, path)
  if (identity === null) throw kernelError(-EADDRINUSE, { syscall: 'bind', address: path })
  return { path, identity }
}

/** The same path from wherever the process goes later. */
function toAbsolute({ kernel }: Executor, path: string): string {
  if (path.startsWith('/')) return path
  const directory = kernel.currentDirectory()
  if (typeof directory === 'number') throw kernelError(directory, { syscall: 'getcwd', path })
  return directory.endsWith('/') ? directory + path : `${directory}/${path}`
}
