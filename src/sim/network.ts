import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EISCONN,
  ENOENT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
  EPROTOTYPE,
  O_NONBLOCK,
  SHUT_RD,
  SHUT_WR,
  SO_LINGER,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../kernel/index.ts'
import { loopback, type SimAddress } from './address.ts'
import { BoundSockets } from './bound-sockets.ts'
import { ByteStream, type Rights } from './byte-stream.ts'
import { Datagrams } from './datagrams.ts'
import type { Description } from './descriptors.ts'
import type { NetworkMachine } from './network-machine.ts'
import { SimSocket, type SocketNetwork } from './socket.ts'

const EPHEMERAL_PORT_MIN = 32_768
const EPHEMERAL_PORT_MAX = 60_999
const TYPE_MASK = 0xf

/** What a send has beside its bytes. */
export interface SendExtra {
  readonly onTaken?: (() => void) | undefined
  /** What descriptors go with its first byte. */
  readonly rights?: Rights | null | undefined
}

/** The loopback network of one simulated machine. */
export class Network implements SocketNetwork {
  readonly #machine: NetworkMachine
  readonly #bound = new BoundSockets()
  readonly #datagrams: Datagrams

  constructor(machine: NetworkMachine) {
    this.#machine = machine
    this.#datagrams = new Datagrams(machine, {
      bound: this.#bound,
      bind: (socket, address) => this.bind(socket, address),
      boundAt: (socket, address) => this.#boundAt(socket, address),
    })
  }

  /** socket(2): a socket, or `-errno`. */
  create(domain: number, type: number): SimSocket | number {
    const kind = type & TYPE_MASK
    if (domain !== AF_INET && domain !== AF_INET6 && domain !== AF_UNIX) return -EAFNOSUPPORT
    if (kind !== SOCK_STREAM && kind !== SOCK_DGRAM) return -EINVAL
    const socket = new SimSocket(this, domain, kind)
    if (type & SOCK_NONBLOCK) socket.statusFlags |= O_NONBLOCK
    return socket
  }

  /** socketpair(2): two that are connected, without names; or `-errno`. */
  createPair(domain: number, type: number): readonly [SimSocket, SimSocket] | number {
    if (domain !== AF_UNIX) return -EOPNOTSUPP
    const first = this.create(domain, type)
    if (typeof first === 'number') return first
    const second = new SimSocket(this, domain, first.type)
    second.statusFlags = first.statusFlags
    first.remote = second.local = first.local = second.remote = loopback(domain, 0)
    if (first.isStream) {
      this.#join(first, second)
    } else {
      first.peer = second
      second.peer = first
    }
    return [first, second]
  }

  bind(socket: SimSocket, address: SimAddress): number {
    if (address.family !== socket.domain) return -EAFNOSUPPORT
    if (socket.local !== null) return -EINVAL
    if (address.family === AF_UNIX) return this.#bindLocal(socket, address)
    const port = address.port === 0 ? this.#freePort(socket) : address.port
    if (port === 0) return -EADDRINUSE
    const local = { ...address, port }
    for (const other of this.#bound.at(local, socket.type)) {
      if (!sharesPort(other) || !sharesPort(socket)) return -EADDRINUSE
    }
    socket.local = local
    this.#bound.add(socket)
    return 0
  }

  listen(socket: SimSocket, backlog: number): number {
    if (!socket.isStream || socket.state === 'connected') return -EINVAL
    if (socket.local === null) {
      const result = this.bind(socket, loopback(socket.domain, 0))
      if (result < 0) return result
    }
    socket.state = 'listening'
    socket.backlog = Math.max(1, backlog)
    return 0
  }

  /** One attempt to connect: 0, `-errno`, or null while the backlog is full. */
  connect(socket: SimSocket, address: SimAddress): number | null {
    if (address.family !== socket.domain) return -EAFNOSUPPORT
    if (!socket.isStream) return this.#datagrams.connect(socket, address)
    if (socket.state === 'connected') return -EISCONN
    if (socket.state === 'listening') return -EISCONN
    const named = this.#boundAt(socket, address)
    if (typeof named === 'number') return named
    const listeners = [...named].filter(isListening)
    if (listeners.length === 0) return -ECONNREFUSED
    const listener = listeners.length === 1 ? listeners[0]! : this.#machine.prng.pick(listeners)
    if (listener.accepting.length >= listener.backlog) return null
    return this.#establish(socket, listener, address)
  }

  /** shutdown(2) */
  shutdown(socket: SimSocket, how: number): number {
    if (how > 2) return -EINVAL
    if (socket.state === 'listening') {
      if (how === SHUT_WR) return 0
      this.#abandonBacklog(socket)
      socket.state = 'closed'
      this.#machine.notify(socket)
      return 0
    }
    if (socket.isStream ? socket.state !== 'connected' : socket.remote === null) return -ENOTCONN
    if (how !== SHUT_WR) socket.isReadShut = true
    if (how !== SHUT_RD) this.#end(socket)
    this.#machine.notify(socket)
    return 0
  }

  /**
   * Sends what fits: how much, 0 if nothing does, or `-errno`. With `onTaken`, which is called as it arrives, it is
   * taken from where it lies only then.
   */
  send(socket: SimSocket, bytes: Uint8Array, { onTaken, rights = null }: SendExtra = {}): number {
    if (socket.error !== 0) return this.takeError(socket)
    const { outgoing } = socket
    if (outgoing === null || socket.isWriteShut) return -EPIPE
    // Of one machine, it is seen at once.
    if (socket.domain === AF_UNIX && socket.peer === null) return -EPIPE
    const count = Math.min(bytes.length, outgoing.spaceBytes)
    if (count === 0) return 0
    const inPlace = bytes.subarray(0, count)
    const sent = onTaken === undefined ? inPlace.slice() : inPlace
    outgoing.depart(count)
    for (const description of rights ?? []) description.hold()
    this.#later(outgoing, () => {
      outgoing.arrive(onTaken === undefined ? sent : sent.slice(), rights)
      onTaken?.()
      const { peer } = socket
      if (peer !== null) this.#machine.notify(peer)
      else if (socket.domain !== AF_UNIX) this.#refuse(socket, outgoing)
    })
    return count
  }

  /** Sends a datagram: how much, null while there is no room, or `-errno`. */
  sendDatagram(socket: SimSocket, bytes: Uint8Array, to: SimAddress | null): number | null {
    return this.#datagrams.send(socket, bytes, to)
  }

  hasRoom(socket: SimSocket): boolean {
    return this.#datagrams.hasRoom(socket)
  }

  /** Takes the oldest datagram that has come. */
  takeDatagram(socket: SimSocket): void {
    this.#datagrams.take(socket)
  }

  /** The error that a transfer reports, once. */
  takeError(socket: SimSocket): number {
    const { error } = socket
    socket.error = 0
    return -error
  }

  /** Room has become free for whoever sends to this socket. */
  drained(socket: SimSocket): void {
    if (socket.peer !== null) this.#machine.notify(socket.peer)
  }

  /** Breaks a connection; both ends see it. */
  reset(description: Description | null): void {
    if (!(description instanceof SimSocket) || description.state !== 'connected') return
    const { peer } = description
    this.#break(description)
    description.error = 0
    if (peer !== null) this.#break(peer)
  }

  /** The last descriptor of a socket is gone. */
  close(socket: SimSocket): void {
    this.#bound.remove(socket)
    this.#abandonBacklog(socket)
    this.#datagrams.close(socket)
    const { peer } = socket
    if (socket.state === 'connected' && peer !== null) {
      const isUnread = this.#hasUnread(socket)
      const isAborted = socket.optionValues.get(`${SOL_SOCKET}:${SO_LINGER}`) === 1
      if (isUnread || isAborted) this.#later(socket.outgoing!, () => this.#break(peer))
      else this.#end(socket)
      peer.peer = null
    }
    // Not before it was looked whether something is unread.
    socket.incoming?.abandon()
    socket.state = 'closed'
  }

  /** Whether something has come that nobody has read; within a machine all that was sent has. */
  #hasUnread({ domain, incoming }: SimSocket): boolean {
    if (incoming === null) return false
    return (domain === AF_UNIX ? incoming.unreadBytes : incoming.arrivedBytes) > 0
  }

  #bindLocal(socket: SimSocket, address: SimAddress): number {
    const isNamed = address.host !== '' && !address.host.startsWith('\0')
    if (isNamed) {
      const { files } = this.#machine
      const end = files.resolve(files.root, address.host, false)
      if (typeof end === 'number') return end
      if (end.inode !== null) return -EADDRINUSE
      socket.inode = files.create('socket', 0o755)
      files.link(end.directory, end.name, socket.inode)
    } else if (this.#bound.at(address, socket.type).size > 0) {
      return -EADDRINUSE
    }
    socket.local = address
    this.#bound.add(socket)
    return 0
  }

  /** Who is bound there, of the kind of `socket`, or `-errno`; a local name is that of a file. */
  #boundAt({ type }: SimSocket, address: SimAddress): Iterable<SimSocket> | number {
    const isFile = address.family === AF_UNIX && !address.host.startsWith('\0')
    if (!isFile) return this.#bound.at(address, type)
    const { files } = this.#machine
    const end = files.resolve(files.root, address.host, true)
    if (typeof end === 'number') return end
    if (end.inode === null) return -ENOENT
    const found = this.#bound.of(end.inode)
    if (found === null) return -ECONNREFUSED
    return found.type === type ? [found] : -EPROTOTYPE
  }

  #establish(client: SimSocket, listener: SimSocket, address: SimAddress): number {
    if (client.local === null) {
      const port = client.domain === AF_UNIX ? 0 : this.#freePort(client)
      if (port === 0 && client.domain !== AF_UNIX) return -EADDRNOTAVAIL
      client.local = loopback(client.domain, port)
      // Until it is closed the port is nobody else's.
      this.#bound.add(client)
    }
    const server = new SimSocket(this, client.domain, client.type)
    client.remote = address
    server.local = address
    server.remote = client.local
    this.#join(client, server)
    listener.accepting.push(server)
    this.#machine.notify(listener)
    return 0
  }

  /** Connects two sockets with each other. */
  #join(client: SimSocket, server: SimSocket): void {
    const { options } = this.#machine
    const upstream = new ByteStream(options.socketBufferBytes)
    const downstream = new ByteStream(options.socketBufferBytes)
    for (const [socket, peer] of [
      [client, server],
      [server, client],
    ] as const) {
      socket.state = 'connected'
      socket.peer = peer
      socket.outgoing = socket === client ? upstream : downstream
      socket.incoming = socket === client ? downstream : upstream
    }
  }

  #end(socket: SimSocket): void {
    const { outgoing } = socket
    socket.isWriteShut = true
    if (outgoing === null || outgoing.isEnding) return
    outgoing.isEnding = true
    const { peer } = socket
    this.#later(outgoing, () => {
      outgoing.hasEnded = true
      if (peer !== null) this.#machine.notify(peer)
    })
  }

  /** Data has come to an end that is closed. */
  #refuse(sender: SimSocket, outgoing: ByteStream): void {
    outgoing.clear()
    // The answer does not overtake what was sent before it.
    this.#later(sender.incoming!, () => {
      if (sender.state === 'connected' && sender.error === 0) this.#break(sender)
    })
  }

  /** The peer's reset has come. What arrived before it can still be read, the end of the stream included. */
  #break(socket: SimSocket): void {
    socket.error = socket.incoming?.hasEnded ? EPIPE : ECONNRESET
    socket.isReadShut = true
    socket.isWriteShut = true
    socket.peer = null
    this.#machine.notify(socket)
  }

  #abandonBacklog(listener: SimSocket): void {
    for (const socket of listener.accepting.splice(0)) {
      this.reset(socket)
      socket.incoming?.abandon()
    }
  }

  /** Does it when what was sent now arrives: after everything that was sent before. */
  #later(stream: ByteStream, action: () => void): void {
    const { clock, options } = this.#machine
    const [minNs, maxNs] = options.networkLatencyNs
    const arrivalNs = clock.nowNs + this.#machine.latencyNs(minNs, maxNs)
    // Strictly after, since the seed would order equal moments.
    stream.lastArrivalNs = Math.max(arrivalNs, stream.lastArrivalNs + 1)
    clock.schedule(stream.lastArrivalNs - clock.nowNs, action)
  }

  /**
   * A port where nobody is bound, or 0 if there is none: a random one, or the next free one behind it. A look
   * at each of the range, at most.
   */
  #freePort({ domain, type }: SimSocket): number {
    const first = this.#machine.prng.int(EPHEMERAL_PORT_MIN, EPHEMERAL_PORT_MAX)
    let port = first
    while (this.#bound.at(loopback(domain, port), type).size > 0) {
      port = port === EPHEMERAL_PORT_MAX ? EPHEMERAL_PORT_MIN : port + 1
      if (port === first) return 0
    }
    return port
  }
}

function isListening(socket: SimSocket): boolean {
  return socket.state === 'listening'
}

function sharesPort(socket: SimSocket): boolean {
  return (socket.optionValues.get(`${SOL_SOCKET}:${SO_REUSEPORT}`) ?? 0) !== 0
}
