import { assert, type KernelErrorContext, NO_QUEUE, RuntimeError } from '../base/index.ts'
import { Waiter } from '../executor/index.ts'
import { encodeCancel, encodeCancelFd, encodeClose, Operation, type Target } from '../ring/index.ts'
import { decodeAddress, formatAddress, SOCKADDR_BYTES_MAX, type SocketAddress } from './address.ts'
import type { NetRing } from './net-ring.ts'
import type { Receiver } from './receiver.ts'
import type { Sender } from './sender.ts'

/**
 * A descriptor, and the order in which it is closed: end what is in flight on it, then close.
 *
 * Closing alone would cancel nothing, and the peer would see no end while an operation holds the
 * file. Shutting it down first would end the same operations as cancelling them does, but the kernel
 * hands every shutdown to a worker thread: only {@link TcpStream.shutdown} does.
 */
export class Socket implements Target {
  readonly fd: number
  readonly registered = false
  readonly net: NetRing
  receiver: Receiver | null = null
  sender: Sender | null = null
  /** Operations of neither side, such as a shutdown under way. */
  otherCount = 0
  bytesRead = 0
  bytesWritten = 0
  #remote: SocketAddress | number | null
  #closed: Waiter<void> | null = null
  #isClosingFd = false

  /** Takes over `fd`, which is tracked already. */
  constructor(net: NetRing, fd: number, remote: SocketAddress | null) {
    this.net = net
    this.fd = fd
    this.#remote = remote
  }

  get isClosing(): boolean {
    return this.#closed !== null
  }

  /** Remembers who is on the other side, which the kernel forgets with a reset. */
  lookUpRemote(): void {
    const { kernel } = this.net.executor.reactor
    const length = kernel.socketName(this.fd, true, scratch)
    if (length < 0) return
    const address = decodeAddress(scratch)
    this.#remote = address.family === 'ipv4' ? packIpv4(scratch) : address
  }

  get remoteAddress(): SocketAddress | null {
    const remote = this.#remote
    return typeof remote === 'number' ? unpackIpv4(remote) : remote
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  get localAddress(): SocketAddress {
    if (this.isClosing) throw handleClosed('read a local address')
    const length = this.net.executor.reactor.kernel.socketName(this.fd, false, scratch)
    assert(length >= 0, 'an open socket has a local address')
    return decodeAddress(scratch)
  }

  describe(syscall: string): KernelErrorContext {
    const remote = this.remoteAddress
    return { syscall, fd: this.fd, ...(remote !== null && { address: formatAddress(remote) }) }
  }

  /** Cancels one operation that this socket has in flight. */
  cancelOperation(operation: Operation): void {
    cancelOn(this.net, operation)
  }

  /** Closes it, and resolves when the descriptor is gone; again is the same promise. */
  close(): Promise<void> {
    if (this.#closed !== null) return this.#closed.promise
    const { executor, ring } = this.net
    const closed = new Waiter<void>(executor)
    this.#closed = closed
    const reason = handleClosed('use a socket')
    this.receiver?.close(reason)
    this.sender?.close(reason)
    if (this.#isBusy()) {
      encodeCancelFd(ring.sqes, ring.begin(), this.fd)
      ring.commitUnwatched()
    } else {
      this.#closeFd(closed)
    }
    return closed.promise
  }

  /** An operation on it has had its terminal completion. */
  ended(): void {
    if (this.#closed !== null && !this.#isBusy()) this.#closeFd(this.#closed)
  }

  #isBusy(): boolean {
    return this.otherCount > 0 || this.receiver?.isArmed === true || this.sender?.isArmed === true
  }

  #closeFd(closed: Waiter<void>): void {
    if (this.#isClosingFd) return
    this.#isClosingFd = true
    submitClose(this.net, this, closed)
  }
}

/** Cancels an operation in flight, for good: it is not withdrawn. */
export function cancelOn(net: NetRing, operation: Operation): void {
  const { ring } = net
  // Before there is room for the entry it may end, and its slot be another's.
  const name = ring.nameOf(operation)
  encodeCancel(ring.sqes, ring.begin(), name)
  ring.commitUnwatched()
}

/** Closes a descriptor by way of the ring; `closed` is granted when it is gone. */
export function submitClose(net: NetRing, target: Target, closed: Waiter<void>): void {
  const { ring, executor } = net
  encodeClose(ring.sqes, ring.begin(), target)
  ring.commitClosing(new CloseOperation(closed))
  // Not before, lest nobody knew of it; nor upon completion: then the number may be another file's.
  executor.reactor.host.trackFd(target.fd, false)
}

export function handleClosed(action: string): RuntimeError {
  return new RuntimeError('ERR_HANDLE_CLOSED', `Cannot ${action} as it must be open: it was closed`)
}

/** Its result is of no use: the descriptor is gone in any case. */
class CloseOperation extends Operation {
  readonly #closed: Waiter<void>

  constructor(closed: Waiter<void>) {
    super(NO_QUEUE)
    this.#closed = closed
  }

  override complete(): void {
    this.#closed.fulfil()
  }

  override run(): void {}
}

const scratch = new Uint8Array(SOCKADDR_BYTES_MAX)

// An idle connection keeps its peer's address as one number: the host's 32 bits and the port's 16.
function packIpv4(bytes: Uint8Array): number {
  const host = ((bytes[4]! * 256 + bytes[5]!) * 256 + bytes[6]!) * 256 + bytes[7]!
  return host * 65_536 + bytes[2]! * 256 + bytes[3]!
}

function unpackIpv4(packed: number): SocketAddress {
  const host = Math.floor(packed / 65_536)
  const parts = [host >>> 24, (host >>> 16) & 255, (host >>> 8) & 255, host & 255]
  return { host: parts.join('.'), port: packed % 65_536, family: 'ipv4' }
}
