import { assert, RuntimeError, showAs } from '../base/index.ts'
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  ENOTSOCK,
  kernelError,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../kernel/index.ts'
import { submitClose } from './close-descriptor.ts'
import type { Executor } from './executor.ts'
import { ClosingWaiter } from './wait-list.ts'

/** What a descriptor is of: a socket of a kind, another socket, or no socket: a file, a pipe, a device. */
export type DescriptorKind =
  | 'tcpStream'
  | 'tcpListener'
  | 'udp'
  | 'unixStream'
  | 'unixListener'
  | 'unixDatagram'
  | 'socket'
  | 'file'

/**
 * An open descriptor that came from another process, or from elsewhere in this one, and that nothing has been made of yet.
 *
 * It is its holder's: closed by {@link close}, or taken over by whatever adopts it, as `TcpStream.adopt()`, `UnixStream.adopt()`,
 * `TcpListener.adopt()`, `UnixListener.adopt()`, `BufferedFile.adopt()` and `DirectFile.adopt()` do, on the thread that it
 * came to. It is closed with its executor at the latest.
 */
export class OwnedDescriptor implements AsyncDisposable {
  static {
    showAs(OwnedDescriptor, ({ fd }) => `OwnedDescriptor ${fd < 0 ? 'gone' : fd}`)
  }

  readonly #executor: Executor
  #fd: number

  /** @internal Takes over `fd`, which is tracked already. */
  constructor(executor: Executor, fd: number) {
    this.#executor = executor
    this.#fd = fd
  }

  /** The number, or -1 once it is closed or taken over. */
  get fd(): number {
    return this.#executor.isClosed ? -1 : this.#fd
  }

  /**
   * Asks the kernel what it is of: some quick system calls.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`
   */
  kind(): DescriptorKind {
    return this.#kind('tell what a descriptor is')
  }

  #kind(action: string): DescriptorKind {
    const domain = this.#option(action, SO_DOMAIN)
    if (domain === null) return 'file'
    const type = this.#option(action, SO_TYPE)
    const isUnix = domain === AF_UNIX
    if (!isUnix && domain !== AF_INET && domain !== AF_INET6) return 'socket'
    if (type === SOCK_DGRAM) return isUnix ? 'unixDatagram' : 'udp'
    if (type !== SOCK_STREAM) return 'socket'
    const isListening = this.#option(action, SO_ACCEPTCONN) === 1
    if (isListening) return isUnix ? 'unixListener' : 'tcpListener'
    return isUnix ? 'unixStream' : 'tcpStream'
  }

  /** Closes it, unless it was taken over; again is nothing. */
  close(): Promise<void> {
    const { fd } = this
    const executor = this.#executor
    this.#fd = -1
    if (fd < 0) return Promise.resolve()
    const closed = new ClosingWaiter(executor)
    submitClose({ executor, ring: executor.io.main }, { fd, registered: false }, closed)
    return closed.promise
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /**
   * @internal Refuses what is gone, another thread's, or of another kind; it stays its holder's.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_UNSUPPORTED`
   */
  assertTakeable(current: Executor, action: string, ...kinds: readonly DescriptorKind[]): void {
    current.assertOpen(action)
    if (current !== this.#executor) throw elsewhere(action)
    const kind = this.#kind(action)
    if (!kinds.includes(kind)) throw otherKind(action, kinds, kind)
  }

  /** @internal The number, which is its taker's now. */
  take(): number {
    const { fd } = this
    assert(fd >= 0, 'what is taken over is open')
    this.#fd = -1
    return fd
  }

  #option(action: string, option: number): number | null {
    const { fd } = this
    if (fd < 0) throw gone(action)
    const value = new Int32Array(1)
    const { kernel } = this.#executor
    const result = kernel.getSocketOption(fd, SOL_SOCKET, option, new Uint8Array(value.buffer))
    if (result === -ENOTSOCK) return null
    if (result < 0) throw kernelError(result, { syscall: 'getsockopt', fd })
    return value[0]!
  }
}

function gone(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    `Cannot ${action} as it must be open, and nobody else's: it was closed, or taken over`,
  )
}

function elsewhere(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${action} as its descriptor must be of this thread: adopt it where it came, and detach it from there`,
  )
}

function otherKind(
  action: string,
  kinds: readonly DescriptorKind[],
  kind: DescriptorKind,
): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${action} as its descriptor must be of kind ${kinds.join(' or ')}: it is of kind ${kind}`,
  )
}
