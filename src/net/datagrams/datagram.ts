import { showAs } from '../../base/index.ts'
import { Lease, type LeaseOwner } from '../../memory/index.ts'
import type { Address } from '../values/address.ts'

/** Where a datagram came from, and whether all of it is there. */
export interface DatagramOrigin<A extends Address = Address> {
  /** Who has sent it; the same object, frozen, for datagrams of one sender that are near. */
  readonly from: A
  /** Whether its end is missing, as the receiver had no room for more than `datagramBytesMax`. */
  readonly isTruncated: boolean
  /** How long it was as it was sent. */
  readonly fullBytes: number
}

/** A datagram that has come: its data is the caller's for good. */
export interface Datagram<A extends Address = Address> extends DatagramOrigin<A> {
  readonly data: Uint8Array
}

/**
 * A datagram that is borrowed, in the memory that the kernel wrote to; see {@link Lease}.
 *
 * @example Answer without a copy
 * ```ts run
 * import { type DatagramLease, type SocketAddress, UdpSocket } from 'percore/net'
 *
 * await using server = await UdpSocket.bind({ port: 0 })
 * await using client = await UdpSocket.connect(server.localAddress)
 * await client.send(new Uint8Array([1, 2, 3]))
 * using question: DatagramLease<SocketAddress> = await server.receiveLease()
 * await server.send(question, { to: question.from })
 * console.log((await client.receive()).data.length) // 3
 * ```
 */
export class DatagramLease<A extends Address = Address> extends Lease implements DatagramOrigin<A> {
  static {
    showAs(
      DatagramLease,
      (lease) =>
        `DatagramLease ${lease.lengthBytes} bytes, ${lease.isReleased ? 'released' : 'held'}`,
    )
  }

  readonly from: A
  readonly isTruncated: boolean
  readonly fullBytes: number

  /** @internal */
  constructor(owner: LeaseOwner, token: number, part: DatagramPart, origin: DatagramOrigin<A>) {
    super(owner, token, part.startBytes, part.endBytes - part.startBytes)
    this.from = origin.from
    this.isTruncated = origin.isTruncated
    this.fullBytes = origin.fullBytes
  }
}

/** Which bytes of a message are those of a datagram. */
export interface DatagramPart {
  readonly startBytes: number
  readonly endBytes: number
}
