import {
  assert,
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
  wrongType,
} from '../../base/index.ts'
import type { Executor } from '../../executor/index.ts'
import { ENOENT, kernelError } from '../../kernel/index.ts'
import type { SocketAddress } from './address.ts'
import { decodeIpAddress, SOCKADDR_BYTES_MAX } from './sockaddr.ts'

/** A listening socket that threads of the process share: plain data, to be posted, and adopted any number of times. */
export interface TcpListenerShare {
  readonly kind: 'TcpListener'
  /** Stands for the socket while one of its listeners is open: no other share of the process has the same. */
  readonly name: number
  readonly address: SocketAddress
}

const NAMES = optionNames<TcpListenerShare>({ kind: true, name: true, address: true })

/** A descriptor of its own of the socket that is shared, tracked, and what that is bound to. */
export function joinListener(
  current: Executor,
  share: TcpListenerShare,
  action: string,
): { fd: number; address: SocketAddress } {
  const fd = current.descriptors.joinFd(share.name)
  if (fd === -ENOENT) {
    throw new RuntimeError(
      'ERR_HANDLE_CLOSED',
      `Cannot ${action} as one that shares its socket must be open: all were closed`,
    )
  }
  if (fd < 0) throw kernelError(fd, { syscall: 'dup' })
  const raw = new Uint8Array(SOCKADDR_BYTES_MAX)
  const length = current.kernel.socketName(fd, false, raw)
  assert(length >= 0, 'a listening socket has an address')
  return { fd, address: decodeIpAddress(raw) }
}

/** @throws {TypeError | RangeError} */
export function validateShare(action: string, share: unknown): asserts share is TcpListenerShare {
  validateOptions(action, share, NAMES, 'share')
  const { kind, name } = share as Partial<TcpListenerShare>
  if (kind !== 'TcpListener') throw wrongType(action, 'share.kind', "'TcpListener'", kind)
  validateInteger(action, 'share.name', name, { min: 0, max: Number.MAX_SAFE_INTEGER })
}
