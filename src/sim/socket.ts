import { POLLERR, POLLHUP, POLLIN, POLLOUT, SOCK_STREAM } from '../kernel/index.ts'
import type { SimAddress } from './address.ts'
import type { ByteStream } from './byte-stream.ts'
import { Description } from './descriptors.ts'
import type { Inode } from './inode.ts'

const POLLRDHUP = 0x2000

export type SocketState = 'new' | 'connecting' | 'listening' | 'connected' | 'closed'

/** A datagram that has arrived. */
export interface Datagram {
  readonly from: SimAddress | null
  readonly bytes: Uint8Array
}

/** The network that a socket is on. */
export interface SocketNetwork {
  /** Its last descriptor is gone. */
  close(socket: SimSocket): void
  /** Whether who it is connected to takes a datagram; else it is told once that may be. */
  hasRoom(socket: SimSocket): boolean
}

/** A socket of the simulated network. */
export class SimSocket extends Description {
  readonly domain: number
  readonly type: number
  state: SocketState = 'new'
  local: SimAddress | null = null
  remote: SimAddress | null = null
  /** The other end of a connection, until that is closed; of local datagrams also who it is connected to. */
  peer: SimSocket | null = null
  incoming: ByteStream | null = null
  outgoing: ByteStream | null = null
  /** Connections that nobody has accepted yet. */
  readonly accepting: SimSocket[] = []
  backlog = 0
  /** The name of a bound local socket. */
  inode: Inode | null = null
  readonly datagrams: Datagram[] = []
  datagramBytes = 0
  /** Datagrams that came while it had no room. */
  droppedCount = 0
  /** When the last datagram that it has sent arrives. */
  lastDatagramNs = 0
  /** Who waits until it has room for a datagram. */
  readonly blockedSenders: Set<SimSocket> = new Set<SimSocket>()
  /** The raw addresses of the groups that it has joined. */
  readonly memberships: Set<string> = new Set<string>()
  /** A positive error number that the next transfer reports. */
  error = 0
  isReadShut = false
  isWriteShut = false
  /** Values of options that were set, by `level:option`. */
  readonly optionValues: Map<string, number> = new Map()
  readonly #network: SocketNetwork

  constructor(network: SocketNetwork, domain: number, type: number) {
    super()
    this.#network = network
    this.domain = domain
    this.type = type
  }

  override get label(): string {
    return `${this.state} socket`
  }

  get isStream(): boolean {
    return this.type === SOCK_STREAM
  }

  /** Whether a receive finds something: data, the end, or an error. */
  get isReadable(): boolean {
    if (!this.isStream) return this.datagrams.length > 0 || this.isReadShut || this.error !== 0
    const { incoming } = this
    if (incoming === null) return this.error !== 0
    return incoming.arrivedBytes > 0 || incoming.hasEnded || this.isReadShut || this.error !== 0
  }

  override readiness(): number {
    const error = this.error === 0 ? 0 : POLLERR
    if (this.state === 'listening') return this.accepting.length > 0 ? POLLIN : 0
    if (!this.isStream) {
      const room = this.#network.hasRoom(this) ? POLLOUT : 0
      return error | room | (this.isReadable ? POLLIN : 0)
    }
    if (this.state === 'connecting') return 0
    if (this.incoming === null || this.outgoing === null) return error | POLLOUT | POLLHUP | POLLIN
    let events = error
    if (this.isReadable) events |= POLLIN
    if (this.outgoing.spaceBytes > 0 || this.isWriteShut || error !== 0) events |= POLLOUT
    const isReadEnded = this.incoming.hasEnded || this.isReadShut
    if (isReadEnded) events |= POLLRDHUP
    if (isReadEnded && this.isWriteShut) events |= POLLHUP
    return events
  }

  protected override dispose(): void {
    this.#network.close(this)
  }
}
