import { AsyncResource } from 'node:async_hooks'
import { isPromiseLike, RuntimeError, validateFunction, wrongType } from '../../base/index.ts'
import { awaitConsumer, type ConsumedSide, type EndListener } from '../receiving/consumption.ts'
import type { Address } from '../values/address.ts'
import type { Datagram, DatagramLease } from './datagram.ts'

/** A taker of the datagrams of sockets of a kind. One may serve any number of them. */
export interface DatagramTaker<Socket, A extends Address = Address> extends EndListener<Socket> {
  /**
   * Takes a datagram, whose data is its own for good; the next one waits until it is done.
   *
   * It is done when this returns or, if it returns a promise, when that has settled. A failure, thrown or rejected, ends the
   * consumption.
   */
  onDatagram(datagram: Datagram<A>, socket: Socket): unknown
}

/** A borrower of the datagrams of sockets of a kind, without a copy. */
export interface DatagramBorrower<Socket, A extends Address = Address> extends EndListener<Socket> {
  /**
   * Borrows a datagram; the next one waits until it is done, and the lease is then released. A send of it keeps its memory as
   * long as that takes.
   */
  onLease(lease: DatagramLease<A>, socket: Socket): unknown
}

/** A consumer of what sockets of a kind receive: datagrams, or leases on them. */
export type DatagramConsumer<Socket, A extends Address = Address> =
  | DatagramTaker<Socket, A>
  | DatagramBorrower<Socket, A>

type AnyConsumer = DatagramTaker<unknown> & DatagramBorrower<unknown>

/** @throws {TypeError} unless `consumer` has `onEnd`, and one of `onDatagram` and `onLease`. */
export function validateDatagramConsumer(action: string, consumer: unknown): void {
  if (typeof consumer !== 'object' || consumer === null) {
    const kind = 'an object with onDatagram or onLease, and onEnd'
    throw wrongType(action, 'consumer', kind, consumer)
  }
  const { onDatagram, onLease, onEnd } = consumer as Partial<AnyConsumer>
  if (onLease === undefined) {
    validateFunction(action, 'consumer.onDatagram', onDatagram)
  } else {
    validateFunction(action, 'consumer.onLease', onLease)
    if (onDatagram !== undefined) {
      throw new TypeError(
        `Cannot ${action} as consumer must have only one of onDatagram and onLease: it has both`,
      )
    }
  }
  validateFunction(action, 'consumer.onEnd', onEnd)
}

/** Where a consumption has its datagrams from. */
export interface DatagramSource extends ConsumedSide {
  /** The next datagram, or null if there is none for now. */
  nextDatagram(): Datagram | null
  nextLease(): DatagramLease | null
}

/** So many datagrams are handed over in one turn, then others have theirs. */
const TURN_DATAGRAMS_MAX = 32
/** Nobody is to be told when one is collected. */
const RESOURCE_OPTIONS = { requireManualDestroy: true }

/** A socket and its consumer, which is called in the asynchronous context of the code that began it. */
export class DatagramConsumption extends AsyncResource {
  readonly #socket: unknown
  readonly #consumer: AnyConsumer

  constructor(socket: unknown, consumer: DatagramConsumer<never>) {
    super('PercoreDatagramConsumption', RESOURCE_OPTIONS)
    this.#socket = socket
    this.#consumer = consumer as unknown as AnyConsumer
  }

  /**
   * Calls the consumer for each datagram that there is, within bounds; true if it is done, else `source` is told later.
   *
   * @throws what the consumer throws.
   */
  deliver(source: DatagramSource): boolean {
    const deliver =
      this.#consumer.onLease === undefined ? this.#deliverDatagrams : this.#deliverLeases
    return this.runInAsyncScope(deliver, this, source)
  }

  end(error: unknown): void {
    const consumer = this.#consumer
    try {
      this.runInAsyncScope(consumer.onEnd, consumer, error, this.#socket)
    } catch (failure) {
      // As if it were asynchronous, rather than out of the turn, whose other work must go on.
      void Promise.reject(failure)
    }
  }

  #deliverDatagrams(source: DatagramSource): boolean {
    for (let count = 0; count < TURN_DATAGRAMS_MAX; count++) {
      const datagram = source.nextDatagram()
      if (datagram === null) break
      const result = this.#consumer.onDatagram(datagram, this.#socket)
      if (!isPromiseLike(result)) continue
      awaitConsumer(result, source, null)
      return false
    }
    return true
  }

  #deliverLeases(source: DatagramSource): boolean {
    for (let count = 0; count < TURN_DATAGRAMS_MAX; count++) {
      const lease = source.nextLease()
      if (lease === null) break
      let isWaiting = false
      try {
        const result = this.#consumer.onLease(lease, this.#socket)
        // Asking for its `then` may throw as well.
        isWaiting = isPromiseLike(result)
        if (isWaiting) awaitConsumer(result as PromiseLike<unknown>, source, lease)
      } finally {
        if (!isWaiting) lease.release()
      }
      if (isWaiting) return false
    }
    return true
  }
}

/** Refuses a second reader. */
export function alreadyRead(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot ${action} as a socket must have one reader at a time: it has one`,
  )
}
