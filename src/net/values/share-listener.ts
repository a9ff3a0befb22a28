import {
  assert,
  type OptionNames,
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
  validateString,
  wrongType,
} from '../../base/index.ts'
import type { Executor } from '../../executor/index.ts'
import { ENOENT, kernelError } from '../../kernel/index.ts'
import type { Address, SocketAddress, UnixAddress } from './address.ts'
import { decodeAddress, SOCKADDR_BYTES_MAX } from './sockaddr.ts'

/** A listening socket that threads of the process share: plain data, to be posted, and adopted any number of times. */
export interface TcpListenerShare {
  readonly kind: 'TcpListener'
  /** Stands for the socket while one of its listeners is open: no other share of the process has the same. */
  readonly name: number
  readonly address: SocketAddress
}

/** The same of a Unix listener. */
export interface UnixListenerShare {
  readonly kind: 'UnixListener'
  /** Stands for the socket while one of its listeners is open: no other share of the process has the same. */
  readonly name: number
  readonly address: UnixAddress
  /** The file that the last of them removes as it is closed; null if there is none of theirs. */
  readonly file: SocketFile | null
}

/** The file that a listener has made. */
export interface SocketFile {
  /** Absolute. */
  readonly path: string
  readonly identity: string
}

/** A listening socket that threads of the process share. */
export type ListenerShare = TcpListenerShare | UnixListenerShare

const NAMES: Readonly<Record<ListenerShare['kind'], OptionNames>> = {
  TcpListener: optionNames<TcpListenerShare>({ kind: true, name: true, address: true }),
  UnixListener: optionNames<UnixListenerShare>({
    kind: true,
    name: true,
    address: true,
    file: true,
  }),
}
const FILE_NAMES = optionNames<SocketFile>({ path: true, identity: true })

/** A descriptor of its own of the socket that is shared, tracked. */
export function joinListener(current: Executor, share: ListenerShare, action: string): number {
  const fd = current.descriptors.joinFd(share.name)
  if (fd === -ENOENT) {
    throw new RuntimeError(
      'ERR_HANDLE_CLOSED',
      `Cannot ${action} as one that shares its socket must be open: all were closed`,
    )
  }
  if (fd < 0) throw kernelError(fd, { syscall: 'dup' })
  return fd
}

/** What a listening socket is bound to. */
export function listeningAddress(current: Executor, fd: number): Address {
  const raw = new Uint8Array(SOCKADDR_BYTES_MAX)
  const length = current.kernel.socketName(fd, false, raw)
  assert(length >= 0, 'a listening socket has an address')
  return decodeAddress(raw, length)
}

/** @throws {TypeError | RangeError} */
export function validateShare(action: string, share: unknown, kind: ListenerShare['kind']): void {
  validateOptions(action, share, NAMES[kind], 'share')
  const { kind: given, name } = share as Partial<ListenerShare>
  if (given !== kind) throw wrongType(action, 'share.kind', `'${kind}'`, given)
  validateInteger(action, 'share.name', name, { min: 0, max: Number.MAX_SAFE_INTEGER })
  const { file = null } = share as Partial<UnixListenerShare>
  if (file === null) return
  validateOptions(action, file, FILE_NAMES, 'share.file')
  validateString(action, 'share.file.path', file.path)
  validateString(action, 'share.file.identity', file.identity)
}
