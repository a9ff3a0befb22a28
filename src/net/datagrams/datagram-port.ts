import { assert, type KernelErrorContext } from '../../base/index.ts'
import { ClosingWaiter, submitClose } from '../../executor/index.ts'
import { AF_INET, AF_INET6 } from '../../kernel/index.ts'
import type { Operation } from '../../ring/index.ts'
import { COUNTER_SOCKETS } from '../../stats/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import type { ReceivePool } from '../memory/receive-pool.ts'
import { cancelOn, handleClosed } from '../sockets/socket.ts'
import { type Address, formatAddress } from '../values/address.ts'
import { decodeAddress, SOCKADDR_BYTES_MAX } from '../values/sockaddr.ts'
import { type DatagramRing, datagramRingFor } from './datagram-ring.ts'
import { headBytesOf, type ReceivedLayout } from './received-message.ts'

/** Either side of a datagram socket. */
export interface DatagramSide {
  /** Whether an operation of it is in flight. */
  readonly isBusy: boolean
  close(reason: Error): void
}

/** How a datagram socket is set up. */
export interface DatagramSettings {
  readonly net: NetRing
  readonly fd: number
  /** `AF_…` */
  readonly domain: number
  /** What a reader gets of one datagram at most. */
  readonly datagramBytesMax: number
  /** What one receive brings at most, which may be several datagrams. */
  readonly messageDataBytesMax: number
  readonly layout: ReceivedLayout
  /** How many of its sends are in flight at once: those of a kind that never waits for its receiver. */
  readonly sendsMax: number
}

/** A descriptor of datagrams, and the order in which it is closed: as a stream's, see `Socket`. */
export class DatagramPort {
  readonly fd: number
  readonly net: NetRing
  readonly ring: DatagramRing
  readonly pool: ReceivePool
  readonly layout: ReceivedLayout
  readonly datagramBytesMax: number
  readonly messageDataBytesMax: number
  readonly sendsMax: number
  readonly domain: number
  /** Who it is connected to, or null. */
  remote: Address | null = null
  readonly sides: DatagramSide[] = []
  /** Operations of neither side. */
  otherCount = 0
  receivedCount = 0
  sentCount = 0
  #closed: ClosingWaiter | null = null
  /** Comes before the descriptor goes, and takes its name along. */
  #leaveName: (() => Promise<void>) | null = null
  #isLeavingName = false

  /** Takes over `fd`, which is tracked already. */
  constructor(settings: DatagramSettings) {
    const { net, fd, layout, datagramBytesMax, messageDataBytesMax } = settings
    this.fd = fd
    this.net = net
    this.domain = settings.domain
    this.layout = layout
    this.datagramBytesMax = datagramBytesMax
    this.messageDataBytesMax = messageDataBytesMax
    this.sendsMax = settings.sendsMax
    this.ring = datagramRingFor(net)
    this.pool = this.ring.poolFor(headBytesOf(layout) + messageDataBytesMax)
    net.home.counters[COUNTER_SOCKETS]!++
  }

  get registered(): false {
    return false
  }

  get isIp(): boolean {
    return this.domain === AF_INET || this.domain === AF_INET6
  }

  get isClosing(): boolean {
    return this.#closed !== null
  }

  get isClosed(): boolean {
    return this.isClosing || this.net.executor.isClosed
  }

  /** What removes the name that it has made, before it is closed. */
  leavesName(leave: () => Promise<void>): void {
    this.#leaveName = leave
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  get localAddress(): Address {
    if (this.isClosed) throw handleClosed('read a local address')
    const raw = new Uint8Array(SOCKADDR_BYTES_MAX)
    const length = this.net.executor.kernel.socketName(this.fd, false, raw)
    assert(length >= 0, 'an open socket has a local address')
    return decodeAddress(raw, length)
  }

  describe(syscall: string): KernelErrorContext {
    const { fd, remote } = this
    return { syscall, fd, ...(remote !== null && { address: formatAddress(remote) }) }
  }

  cancelOperation(operation: Operation): void {
    cancelOn(this.net, operation)
  }

  close(): Promise<void> {
    if (this.#closed !== null) return this.#closed.promise
    const { net } = this
    // It has closed its descriptors.
    if (net.executor.isClosed) return Promise.resolve()
    this.#closed = new ClosingWaiter(net.executor)
    net.home.counters[COUNTER_SOCKETS]!--
    if (this.#leaveName !== null) {
      // While the socket is there, so that nobody else takes the name for stale.
      this.#isLeavingName = true
      this.#leaveName().then(() => {
        this.#isLeavingName = false
        this.ended()
      })
    }
    const reason = handleClosed('use a socket')
    for (const side of this.sides) side.close(reason)
    this.ended()
    return this.#closed.promise
  }

  /** An operation on it has had its terminal completion; the last one leaves it to be closed. */
  ended(): void {
    if (this.#closed === null || this.#isLeavingName || this.#isBusy()) return
    // The close is an operation that never ends: it is not closed again.
    this.otherCount++
    submitClose(this.net, this, this.#closed)
  }

  #isBusy(): boolean {
    return this.otherCount > 0 || this.sides.some(({ isBusy }) => isBusy)
  }
}
