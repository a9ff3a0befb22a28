/** What a socket does that needs nothing of its state. */
import { type AddressInfo, BlockList, isIP } from 'node:net'
import { Duplex } from 'node:stream'
import type { SocketAddress, UnixEndpoint } from '../net/index.ts'
import type { Listener } from './arguments.ts'
import { nodeError, wrongArgument } from './errors.ts'
import type { Callback } from './writing.ts'

/** After the peer's end a socket that is to end with it takes no more. */
export function refuseWrites(this: Duplex): void {
  if (this.allowHalfOpen) return
  const refused = (...args: unknown[]): boolean => {
    if (!this.writableEnded) return Reflect.apply(Duplex.prototype.write, this, args) as boolean
    const error = closedError('EPIPE', 'This socket has been ended by the other party')
    const callback = args.find((value) => typeof value === 'function') as Callback | undefined
    if (callback !== undefined) process.nextTick(callback, error)
    this.destroy(error)
    return false
  }
  // As `node:net` does: the method is looked up at every write, and most sockets never have another.
  Object.defineProperty(this, 'write', { value: refused, configurable: true, writable: true })
}

export function closedError(code: string, message: string): Error {
  return nodeError(Error, code, message)
}

/** Settings of a connection that has just broken are of no interest to anybody. */
export function applyLeniently(apply: Listener): void {
  try {
    apply()
  } catch {}
}

/** @throws {TypeError} `ERR_INVALID_ARG_TYPE` */
export function readBlockList(options: { readonly blockList?: unknown }): BlockList | undefined {
  const { blockList } = options
  if (!blockList) return undefined
  if (blockList instanceof BlockList) return blockList
  throw wrongArgument('"options.blockList" property', 'an instance of net.BlockList', blockList)
}

export function isBlocked(blockList: BlockList | undefined, address: string): boolean {
  const version = blockList === undefined ? 0 : isIP(address)
  return version !== 0 && blockList!.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

export function familyOf(end: SocketAddress | null): string | undefined {
  if (end === null) return undefined
  return end.family === 'ipv4' ? 'IPv4' : 'IPv6'
}

/** A path as `node:net` takes it: an abstract name after a NUL. */
export function toUnixEndpoint(path: string): UnixEndpoint {
  return path.startsWith('\0') ? { abstractName: path.slice(1) } : { path }
}

/** An address as `node:net` gives it. */
export function toAddressInfo(end: SocketAddress): AddressInfo {
  const { host, port, family } = end
  return { address: host, family: family === 'ipv4' ? 'IPv4' : 'IPv6', port }
}
