import {
  AF_INET,
  AF_UNIX,
  EACCES,
  EAFNOSUPPORT,
  EAGAIN,
  ECONNREFUSED,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENOTCONN,
  EPERM,
  EPIPE,
  EPROTOTYPE,
  SO_BROADCAST,
  SO_RCVBUF,
  SO_REUSEPORT,
  SOCK_DGRAM,
  SOL_SOCKET,
} from '../kernel/index.ts'
import { loopback, type SimAddress } from './address.ts'
import type { BoundSockets } from './bound-sockets.ts'
import type { NetworkMachine } from './network-machine.ts'
import type { Datagram, SimSocket } from './socket.ts'

const QUEUE_BYTES = 1 << 20
/** As net.unix.max_dgram_qlen has it: a sender waits while the queue is longer. */
const UNIX_QUEUE_LENGTH = 10
/** What 65,535 bytes of a packet leave beside its headers. */
const UDP_BYTES_MAX_IPV4 = 65_507
const UDP_BYTES_MAX_IPV6 = 65_527

/** Who is where, which datagrams share with streams. */
export interface DatagramPlaces {
  readonly bound: BoundSockets
  /** bind(2) */
  bind(socket: SimSocket, address: SimAddress): number
  /** Who has a name, of the type of `socket`, or `-errno`. */
  boundAt(socket: SimSocket, address: SimAddress): Iterable<SimSocket> | number
}

/**
 * Datagrams within a simulated machine. Those of UDP come in order and once, unless a fault says otherwise, and get lost where
 * nobody has room for them; Unix ones never, as their senders wait.
 */
export class Datagrams {
  readonly #machine: NetworkMachine
  readonly #places: DatagramPlaces

  constructor(machine: NetworkMachine, places: DatagramPlaces) {
    this.#machine = machine
    this.#places = places
  }

  connect(socket: SimSocket, address: SimAddress): number {
    if (address.family === AF_UNIX) {
      const named = this.#places.boundAt(socket, address)
      if (typeof named === 'number') return named
      const [peer] = named
      if (peer === undefined) return -ECONNREFUSED
      if (peer.peer !== null && peer.peer !== socket) return -EPERM
      socket.peer = peer
    } else if (socket.local === null) {
      if (this.#places.bind(socket, loopback(socket.domain, 0)) < 0) return -EAGAIN
    }
    socket.remote = address
    return 0
  }

  /** How much was sent, be it lost later; null while there is no room; or `-errno`. */
  send(socket: SimSocket, bytes: Uint8Array, to: SimAddress | null): number | null {
    if (socket.error !== 0) {
      const { error } = socket
      socket.error = 0
      return -error
    }
    if (socket.isWriteShut) return -EPIPE
    if (to !== null && to.family !== socket.domain) return -EAFNOSUPPORT
    return socket.domain === AF_UNIX
      ? this.#sendUnix(socket, bytes, to)
      : this.#sendUdp(socket, bytes, to)
  }

  /** As poll(2) tells, which knows of a peer alone. */
  hasRoom(socket: SimSocket): boolean {
    const { peer } = socket
    if (socket.domain !== AF_UNIX || peer === null || peer.state === 'closed') return true
    return this.#takes(peer, socket)
  }

  /** Takes the oldest; who waits for room is told. */
  take(socket: SimSocket): void {
    const datagram = socket.datagrams.shift()!
    socket.datagramBytes -= datagram.bytes.length
    this.#tellSenders(socket)
  }

  /** Its queue is gone, and with it the reason to wait. */
  close(socket: SimSocket): void {
    this.#tellSenders(socket)
  }

  #tellSenders(socket: SimSocket): void {
    const waiting = [...socket.blockedSenders]
    socket.blockedSenders.clear()
    for (const sender of waiting) this.#machine.notify(sender)
  }

  #sendUnix(socket: SimSocket, bytes: Uint8Array, to: SimAddress | null): number | null {
    if (bytes.length > this.#machine.options.socketBufferBytes) return -EMSGSIZE
    let receiver = socket.peer
    if (to !== null) {
      const named = this.#places.boundAt(socket, to)
      if (typeof named === 'number') return named
      receiver = [...named][0] ?? null
      if (receiver === null) return -ECONNREFUSED
    } else if (receiver === null) {
      return -ENOTCONN
    }
    if (receiver!.type !== socket.type) return -EPROTOTYPE
    if (receiver!.state === 'closed') {
      if (to === null) socket.peer = null
      return -ECONNREFUSED
    }
    if (receiver!.peer !== null && receiver!.peer !== socket) return -EPERM
    if (receiver!.isReadShut) return -EPIPE
    if (!this.#takes(receiver!, socket)) return null
    this.#put(receiver!, { from: nameOf(socket), bytes: bytes.slice() })
    return bytes.length
  }

  #takes(receiver: SimSocket, sender: SimSocket): boolean {
    if (receiver.datagrams.length <= UNIX_QUEUE_LENGTH) return true
    receiver.blockedSenders.add(sender)
    return false
  }

  #sendUdp(socket: SimSocket, bytes: Uint8Array, to: SimAddress | null): number {
    const address = to ?? socket.remote
    if (address === null) return -EDESTADDRREQ
    if (address.port === 0) return -EINVAL
    const bytesMax = socket.domain === AF_INET ? UDP_BYTES_MAX_IPV4 : UDP_BYTES_MAX_IPV6
    if (bytes.length > bytesMax) return -EMSGSIZE
    if (isBroadcast(address) && optionOf(socket, SO_BROADCAST) === 0) return -EACCES
    if (socket.local === null) {
      if (this.#places.bind(socket, loopback(socket.domain, 0)) < 0) return -EAGAIN
    }
    const { faults } = this.#machine
    const datagram = { from: nameOf(socket), bytes: bytes.slice() }
    if (!this.#machine.chance(faults.datagramLoss)) this.#sendLater(socket, datagram, address)
    if (this.#machine.chance(faults.datagramDuplicate)) this.#sendLater(socket, datagram, address)
    return bytes.length
  }

  /** It comes after those that were sent before, unless it is overtaken. */
  #sendLater(socket: SimSocket, datagram: Datagram, address: SimAddress): void {
    const { clock, faults, options } = this.#machine
    const [minNs, maxNs] = options.networkLatencyNs
    let arrivalNs = clock.nowNs + this.#machine.latencyNs(minNs, maxNs)
    if (this.#machine.chance(faults.datagramReorder)) {
      arrivalNs += this.#machine.latencyNs(minNs, maxNs)
    } else {
      // Strictly after, since the seed would order equal moments.
      arrivalNs = Math.max(arrivalNs, socket.lastDatagramNs + 1)
      socket.lastDatagramNs = arrivalNs
    }
    clock.schedule(arrivalNs - clock.nowNs, () => this.#arrive(socket, datagram, address))
  }

  #arrive(sender: SimSocket, datagram: Datagram, address: SimAddress): void {
    const there = [...this.#places.bound.at(address, SOCK_DGRAM)]
    const willing = there.filter((socket) => hears(socket, datagram.from))
    if (isMulticast(address)) {
      const members = willing.filter((socket) => socket.memberships.has(address.host))
      for (const socket of members) this.#putIfFits(socket, datagram)
    } else if (isBroadcast(address)) {
      for (const socket of willing) this.#putIfFits(socket, datagram)
    } else if (willing.length === 0) {
      this.#refuse(sender, address)
    } else {
      this.#putIfFits(pick(willing, datagram), datagram)
    }
  }

  /** ICMP says so to who is connected; others are told nothing. */
  #refuse(sender: SimSocket, address: SimAddress): void {
    const { remote, state } = sender
    if (state === 'closed' || remote === null || remote.port !== address.port) return
    sender.error = ECONNREFUSED
    this.#machine.notify(sender)
  }

  #putIfFits(receiver: SimSocket, datagram: Datagram): void {
    const limit = optionOf(receiver, SO_RCVBUF) || QUEUE_BYTES
    if (receiver.datagramBytes + datagram.bytes.length > limit) receiver.droppedCount++
    else this.#put(receiver, datagram)
  }

  #put(receiver: SimSocket, datagram: Datagram): void {
    receiver.datagrams.push(datagram)
    receiver.datagramBytes += datagram.bytes.length
    this.#machine.notify(receiver)
  }
}

/** Whether it is connected to that sender, or to nobody. */
function hears({ remote }: SimSocket, from: SimAddress | null): boolean {
  return remote === null || remote.port === from?.port
}

/** Who is connected to the sender goes first; of those that share the port one gets all from a sender. */
function pick(sockets: readonly SimSocket[], { from }: Datagram): SimSocket {
  const connected = sockets.find(({ remote }) => remote !== null)
  if (connected !== undefined) return connected
  const sharing = sockets.filter((socket) => optionOf(socket, SO_REUSEPORT) !== 0)
  if (sharing.length < 2) return sockets.at(-1)!
  return sharing[(from?.port ?? 0) % sharing.length]!
}

function optionOf(socket: SimSocket, option: number): number {
  return socket.optionValues.get(`${SOL_SOCKET}:${option}`) ?? 0
}

/** 224.0.0.0/4, ff00::/8 */
export function isMulticast({ family, host }: SimAddress): boolean {
  const first = host.charCodeAt(0)
  return family === AF_INET ? first >> 4 === 0xe : family !== AF_UNIX && first === 0xff
}

function isBroadcast({ family, host }: SimAddress): boolean {
  return family === AF_INET && (host === '\xff\xff\xff\xff' || host === '\x7f\xff\xff\xff')
}

function nameOf({ local }: SimSocket): SimAddress | null {
  if (local === null) return null
  if (local.family !== AF_UNIX) return loopback(local.family, local.port)
  return local.host === '' ? null : local
}
