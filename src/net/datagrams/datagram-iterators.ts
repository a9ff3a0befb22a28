import type { Address } from '../values/address.ts'
import type { Datagram, DatagramLease } from './datagram.ts'
import {
  BORROW_STEP,
  type DatagramKeeper,
  type DatagramReceiver,
  RECEIVE_STEP,
} from './datagram-receiver.ts'

/** The datagrams of a socket. By hand: an async generator would cost three promises each. */
export class DatagramIterator<A extends Address> implements AsyncIterator<Datagram<A>, undefined> {
  readonly #receiver: DatagramReceiver<A>

  constructor(receiver: DatagramReceiver<A>) {
    this.#receiver = receiver
  }

  next(): Promise<IteratorResult<Datagram<A>, undefined>> {
    return this.#receiver.read(RECEIVE_STEP, undefined, null) as Promise<
      IteratorResult<Datagram<A>, undefined>
    >
  }

  return(): Promise<IteratorResult<Datagram<A>, undefined>> {
    return Promise.resolve({ value: undefined, done: true })
  }
}

/** Leases on the datagrams of a socket, each of which ends with the next step. */
export class DatagramLeaseIterator<A extends Address>
  implements AsyncIterableIterator<DatagramLease<A>, undefined>, DatagramKeeper
{
  readonly #receiver: DatagramReceiver<A>
  #lease: DatagramLease | null = null

  constructor(receiver: DatagramReceiver<A>) {
    this.#receiver = receiver
  }

  keep(lease: DatagramLease): void {
    this.#lease = lease
  }

  next(): Promise<IteratorResult<DatagramLease<A>, undefined>> {
    this.#release()
    return this.#receiver.read(BORROW_STEP, undefined, this) as Promise<
      IteratorResult<DatagramLease<A>, undefined>
    >
  }

  return(): Promise<IteratorResult<DatagramLease<A>, undefined>> {
    this.#release()
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<DatagramLease<A>, undefined> {
    return this
  }

  #release(): void {
    this.#lease?.release()
    this.#lease = null
  }
}
