import type { Lease } from '../../memory/index.ts'
import { type LeaseKeeper, READ_LEASE_STEP, READ_STEP } from './reads.ts'
import type { Receiver } from './receiver.ts'

/** The chunks of a stream. By hand: an async generator would cost three promises per chunk. */
export class ChunkIterator implements AsyncIterator<Uint8Array, undefined> {
  readonly #receiver: Receiver

  constructor(receiver: Receiver) {
    this.#receiver = receiver
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.#receiver.read(READ_STEP, undefined, null) as Promise<
      IteratorResult<Uint8Array, undefined>
    >
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    return Promise.resolve({ value: undefined, done: true })
  }
}

/** Leases on the chunks of a stream, each of which ends with the next step. */
export class LeaseIterator implements AsyncIterableIterator<Lease, undefined>, LeaseKeeper {
  readonly #receiver: Receiver
  #lease: Lease | null = null

  constructor(receiver: Receiver) {
    this.#receiver = receiver
  }

  keep(lease: Lease): void {
    this.#lease = lease
  }

  next(): Promise<IteratorResult<Lease, undefined>> {
    this.#release()
    return this.#receiver.read(READ_LEASE_STEP, undefined, this) as Promise<
      IteratorResult<Lease, undefined>
    >
  }

  return(): Promise<IteratorResult<Lease, undefined>> {
    this.#release()
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Lease, undefined> {
    return this
  }

  #release(): void {
    this.#lease?.release()
    this.#lease = null
  }
}
