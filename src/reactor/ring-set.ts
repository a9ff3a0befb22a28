import { assert } from '../base/index.ts'
import {
  type Kernel,
  type LoopControl,
  type LoopHost,
  RING_COUNT_MAX,
  type RingRole,
} from '../kernel/index.ts'
import { type Operation, Ring } from '../ring/index.ts'

/** What the rings of a {@link RingSet} are made with. */
export interface RingSetOptions {
  readonly kernel: Kernel
  readonly control: LoopControl
  readonly host: LoopHost
  /** Submission entries of each ring: a power of two. */
  readonly entryCount: number
}

/**
 * The rings of one thread, at most one for each role; the one to park in from the start, others once they are needed.
 *
 * Whatever concerns all rings goes over the set, so that a ring more is a role more and nothing else. Where there is one ring
 * alone that costs no more than naming it.
 */
export class RingSet implements Iterable<Ring> {
  /** The ring that the thread parks in: for everything that may wait for the end of a turn. */
  readonly main: Ring
  readonly #options: RingSetOptions
  /** By their index. */
  readonly #rings: Ring[] = []
  readonly #byRole: Record<RingRole, Ring | null> = { park: null, notify: null, busyPoll: null }

  /** @throws {RuntimeError} `ERR_URING_UNAVAILABLE`, `ERR_MEMLOCK_LIMIT` */
  constructor(options: RingSetOptions) {
    this.#options = options
    this.main = this.add('park')
  }

  get size(): number {
    return this.#rings.length
  }

  [Symbol.iterator](): IterableIterator<Ring> {
    return this.#rings[Symbol.iterator]()
  }

  /** The ring with that role, or null while nobody has needed it. */
  find(role: RingRole): Ring | null {
    return this.#byRole[role]
  }

  /**
   * Makes the ring of a role that has none yet.
   *
   * @throws {RuntimeError} `ERR_URING_UNAVAILABLE`, `ERR_MEMLOCK_LIMIT`
   */
  add(role: RingRole): Ring {
    assert(this.#byRole[role] === null, 'a role has one ring')
    assert(this.#rings.length < RING_COUNT_MAX, 'a thread has a ring for each role at most')
    assert((role === 'park') === (this.#rings.length === 0), 'the ring to park in is the first')
    const ring = new Ring({ ...this.#options, index: this.#rings.length, role })
    this.#rings.push(ring)
    this.#byRole[role] = ring
    return ring
  }

  /** Hands completions of all rings to their operations, and returns how many there were. */
  reap(): number {
    const rings = this.#rings
    let count = 0
    // By index: an iterator costs more than a ring that has nothing.
    for (let index = 0; index < rings.length; index++) count += rings[index]!.reap()
    return count
  }

  /** The ring that the terminal completion of `operation` is still to come on, or null. */
  ringOf(operation: Operation): Ring | null {
    const rings = this.#rings
    for (let index = 0; index < rings.length; index++) {
      if (rings[index]!.holds(operation)) return rings[index]!
    }
    return null
  }

  /** What is in flight on all rings now. O(slots). */
  inFlight(): Operation[] {
    return this.#rings.flatMap((ring) => [...ring.inFlight()])
  }

  /** Operations between submission and terminal completion. O(slots). */
  get inFlightCount(): number {
    return this.#rings.reduce((count, ring) => count + ring.inFlightCount, 0)
  }

  /** Brings the counters up to date, for who reads them within a turn. */
  syncCounters(): void {
    for (const ring of this.#rings) ring.syncCounters()
  }

  /** Takes no more: the loop closes their descriptors. */
  close(): void {
    for (const ring of this.#rings) ring.close()
    assert(this.main.isClosed, 'the ring to park in takes no more, as all others')
  }

  /** Checks every ring, and that each is where its index and role say. O(slots): for audits. */
  audit(): void {
    assert(this.#rings[0] === this.main, 'the ring to park in is the first')
    for (const [index, ring] of this.#rings.entries()) {
      assert(ring.index === index, 'a ring has its place by its index')
      assert(this.#byRole[ring.role] === ring, 'a ring has its place by its role')
      ring.audit()
    }
  }
}
