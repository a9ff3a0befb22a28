import { assert, type KernelErrorContext, RuntimeError } from '../../base/index.ts'
import { ClosingWaiter, submitClose, Waiter } from '../../executor/index.ts'
import { AF_INET } from '../../kernel/index.ts'
import { encodeCancelFd, type Operation } from '../../ring/index.ts'
import { COUNTER_SOCKETS } from '../../stats/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import type { SocketPort } from '../memory/socket-port.ts'
import { Receiver } from '../receiving/receiver.ts'
import { Sender } from '../sending/sender.ts'
import { type Address, formatAddress, type SocketAddress } from '../values/address.ts'
import { decodeAddress, SOCKADDR_BYTES_MAX } from '../values/sockaddr.ts'
import { setLinger } from '../values/socket-options.ts'
import type { StreamWatch } from './stream-watch.ts'

/** In place of a waiter: the descriptor was given away. */
const DETACHED = 'detached'

/**
 * A descriptor, and the order in which it is closed: end what is in flight on it, then close.
 *
 * Closing alone would cancel nothing, and the peer would see no end while an operation holds the
 * file. Shutting it down first would end the same operations as cancelling them does, but the kernel
 * hands every shutdown to a worker thread: only `shutdown()` of a stream does.
 */
export class Socket implements SocketPort {
  readonly fd: number
  readonly net: NetRing
  receiver: Receiver | null = null
  sender: Sender | null = null
  /** Operations of neither side, such as a shutdown under way. */
  otherCount = 0
  bytesRead = 0
  /** Its time limits; null while it has none. */
  watch: StreamWatch | null = null
  // An IPv4 host is kept as its 32 bits, signed, which V8 stores in place: idle connections are many.
  #remote: Address | number | null
  #remotePort = 0
  /** Who waits for its end or, of one that is detached, for that of what is in flight; null while nobody does. */
  #ending: ClosingWaiter | Waiter<void> | typeof DETACHED | null = null

  /** Takes over `fd`, which is tracked already. */
  constructor(net: NetRing, fd: number, remote: Address | null) {
    this.net = net
    this.fd = fd
    this.#remote = remote
    net.home.counters[COUNTER_SOCKETS]!++
  }

  // On the prototype, where it costs an idle connection nothing.
  get registered(): false {
    return false
  }

  get bytesWritten(): number {
    return this.sender === null ? 0 : this.sender.sentBytes
  }

  get brokenBy(): number {
    return this.sender === null ? 0 : this.sender.brokenBy
  }

  get isClosing(): boolean {
    const ending = this.#ending
    return ending !== null && (ending === DETACHED || ending instanceof ClosingWaiter)
  }

  /** Whether it is closed, or will be; an executor that was closed has closed its descriptors. */
  get isClosed(): boolean {
    return this.isClosing || this.net.executor.isClosed
  }

  /** Remembers the address of the peer, which the kernel forgets with a reset. */
  lookUpRemote(): void {
    const { kernel } = this.net.executor
    const length = kernel.socketName(this.fd, true, scratch)
    if (length < 0) return
    if (isIpv4(scratch)) {
      this.#remote = readHost(scratch)
      this.#remotePort = scratch[2]! * 256 + scratch[3]!
    } else {
      this.#remote = decodeAddress(scratch, length)
    }
  }

  get remoteAddress(): Address | null {
    const remote = this.#remote
    return typeof remote === 'number' ? ipv4Address(remote, this.#remotePort) : remote
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  get localAddress(): Address {
    if (this.isClosed) throw this.closedError('read a local address')
    const length = this.net.executor.kernel.socketName(this.fd, false, scratch)
    assert(length >= 0, 'an open socket has a local address')
    return decodeAddress(scratch, length)
  }

  describe(syscall: string): KernelErrorContext {
    const remote = this.remoteAddress
    return { syscall, fd: this.fd, ...(remote !== null && { address: formatAddress(remote) }) }
  }

  /** The receiving side, from its first use on. */
  receiving(): Receiver {
    if (this.receiver === null) {
      this.receiver = new Receiver(this)
      if (this.isClosing) this.receiver.close(this.closedError('read'))
    }
    return this.receiver
  }

  /** The sending side, from its first use on. */
  sending(): Sender {
    this.sender ??= new Sender(this)
    return this.sender
  }

  /** Cancels one operation that this socket has in flight. */
  cancelOperation(operation: Operation): void {
    cancelOn(this.net, operation)
  }

  /** Closes it, and resolves when the descriptor is gone; again is the same promise. */
  close(): Promise<void> {
    return this.closeFor(null)
  }

  /** Resets it at once, and tells those who wait why. */
  breakOff(reason: RuntimeError): void {
    setLinger(this.net.executor.kernel, this.fd, 0)
    breakReasons.set(this, reason)
    void this.closeFor(reason)
  }

  // Not private, as isBusy() is not.
  closeFor(cause: RuntimeError | null): Promise<void> {
    const ending = this.#ending
    if (ending === DETACHED) return Promise.resolve()
    if (ending instanceof ClosingWaiter) return ending.promise
    const { executor } = this.net
    // It has closed its descriptors.
    if (executor.isClosed) return Promise.resolve()
    const closed = new ClosingWaiter(executor)
    this.#ending = closed
    this.net.home.counters[COUNTER_SOCKETS]!--
    ending?.fail(handleClosed('detach a stream'))
    endWatch(this)
    const reason = cause ?? handleClosed('use a socket')
    this.receiver?.close(reason)
    this.sender?.close(reason)
    if (this.isBusy()) this.cancelAll()
    else closeOnce(this, closed)
    return closed.promise
  }

  /**
   * Cancels what is in flight on it: now or, if the ring refuses, soon.
   *
   * By descriptor where the entry is written now: it reaches the kernel before any entry for a later owner of the
   * number, as that opens its socket after this one is closed, and writes to the queue behind it; the other ring has
   * entries of its own. By name where the cancel comes later than that.
   */
  cancelAll(): void {
    const { net, receiver, sender } = this
    const { ring } = net
    const base = ring.tryBegin()
    if (base < 0) {
      if (receiver?.isArmed === true) cancelOn(net, receiver)
      if (sender?.isArmed === true) sender.cancelSend()
      return
    }
    encodeCancelFd(ring.sqes, base, this.fd)
    ring.commitUnwatched()
  }

  /** An operation on it has had its terminal completion; the last one leaves it to be closed. */
  ended(): void {
    const ending = this.#ending
    if (ending === null || ending === DETACHED || this.isBusy()) return
    if (ending instanceof ClosingWaiter) {
      closeOnce(this, ending)
    } else {
      this.#ending = null
      ending.fulfil()
    }
  }

  /** Resolves once nothing is in flight on it, rejects if it is closed before; null if nothing is now. */
  whenIdle(action: string): Promise<void> | null {
    assert(this.#ending === null, 'one waits for the end of what is in flight')
    if (!this.isBusy()) return null
    const { executor } = this.net
    const waiter = new Waiter<void>(executor)
    waiter.bind(executor, undefined, action, () => {
      this.#ending = null
    })
    this.#ending = waiter
    return waiter.promise
  }

  /** Its descriptor is another's from now on. */
  letGo(): void {
    assert(this.#ending === null && !this.isBusy(), 'nothing is in flight on what is let go of')
    this.#ending = DETACHED
    endWatch(this)
    this.net.home.counters[COUNTER_SOCKETS]!--
  }

  closedError(action: string): RuntimeError {
    if (this.#ending !== DETACHED) return handleClosed(action, breakReasons.get(this))
    return new RuntimeError(
      'ERR_HANDLE_CLOSED',
      `Cannot ${action} as the stream must be here: it was detached`,
    )
  }

  /** What an operation is told that waited as it was closed. */
  endedError(action: string): RuntimeError {
    return breakReasons.get(this) ?? this.closedError(action)
  }

  /** Whether an operation on it is in flight. Not private, since V8 marks what has private methods. */
  isBusy(): boolean {
    return this.otherCount > 0 || this.receiver?.isArmed === true || this.sender?.isArmed === true
  }
}

/** For good: a reader that steps on after that arms no timer, which would break off who has the descriptor's number then. */
function endWatch(socket: Socket): void {
  socket.watch?.end()
  socket.watch = null
}

function closeOnce(socket: Socket, closed: ClosingWaiter): void {
  // The close is an operation that never ends: a busy socket is not closed again.
  socket.otherCount++
  submitClose(socket.net, socket, closed)
}

/** Cancels an operation in flight, for good: it is not withdrawn. */
export function cancelOn({ ring, executor }: NetRing, operation: Operation): void {
  // Before there is room for the entry it may end, and its slot be another's.
  executor.io.cancelByName(ring, ring.nameOf(operation))
}

/** `cause` is why it was closed, if not by its owner. */
export function handleClosed(action: string, cause?: RuntimeError): RuntimeError {
  const how = cause === undefined ? 'it was closed' : 'it was broken off by its limit idleMs'
  const message = `Cannot ${action} as it must be open: ${how}`
  return new RuntimeError('ERR_HANDLE_CLOSED', message, cause === undefined ? {} : { cause })
}

/** Of sockets that were broken off; here, as it would cost each of the others a word. */
const breakReasons = new WeakMap<Socket, RuntimeError>()

const scratch = new Uint8Array(SOCKADDR_BYTES_MAX)

function isIpv4(bytes: Uint8Array): boolean {
  return bytes[0]! + bytes[1]! * 256 === AF_INET
}

function readHost(bytes: Uint8Array): number {
  return (bytes[4]! << 24) | (bytes[5]! << 16) | (bytes[6]! << 8) | bytes[7]!
}

function ipv4Address(host: number, port: number): SocketAddress {
  const parts = [host >>> 24, (host >>> 16) & 255, (host >>> 8) & 255, host & 255]
  return { host: parts.join('.'), port, family: 'ipv4' }
}
