import { assert, unreachable } from '../base/index.ts'
import { NAME_CLOSE, NAME_DESCRIPTOR } from '../kernel/index.ts'
import type { Operation } from './operation.ts'

// What a slot is used for: low bits of its name.
/** It does not keep the program alive. */
export const SLOT_BACKGROUND = 2
/** Its results, but for errors, are descriptors. */
export const SLOT_DESCRIPTOR: number = NAME_DESCRIPTOR
/** It closes a descriptor. */
export const SLOT_CLOSE: number = NAME_CLOSE
const USE_MASK: number = SLOT_BACKGROUND | SLOT_DESCRIPTOR | SLOT_CLOSE

const GENERATION_STEP = 16
const NAME_MASK = 0x7ffffff0

/**
 * Operations by slot. A slot's name, a generation and four bits of use, tells one request from all
 * others that had the slot; together they are the `user_data` of the request.
 *
 * What changes with each request is in a typed array, not in the operations: these are of many
 * classes, and V8 looks properties up the slow way where it meets more than four. O(1); grows by
 * doubling and keeps its size.
 */
export class SlotTable {
  readonly operations: (Operation | null)[] = []
  /** By slot: the name of the request in flight, or, negative, the complement of the last one's. */
  names: Int32Array<ArrayBuffer> = new Int32Array(0)
  #free = new Int32Array(0)
  #freeCount = 0

  /** Slots in use. */
  get size(): number {
    return this.operations.length - this.#freeCount
  }

  /** Gives `operation` a slot. */
  take(operation: Operation): number {
    if (this.#freeCount === 0) this.#grow()
    const slot = this.#free[--this.#freeCount]!
    this.operations[slot] = operation
    return slot
  }

  /** Begins a request in `slot`, where none may be in flight, and returns its name. */
  begin(slot: number, use: number): number {
    const { names } = this
    const last = ~names[slot]!
    if (last < 0) unreachable('an operation is in flight once')
    const name = ((last + 16) & 0x7ffffff0) | use // GENERATION_STEP, NAME_MASK
    names[slot] = name
    return name
  }

  /** Ends the request of this name, and frees its slot. */
  end(slot: number, name: number): void {
    this.names[slot] = ~name
    this.operations[slot] = null
    this.#free[this.#freeCount++] = slot
  }

  /** Renames the request: it delivers no descriptor after all. */
  deliverNothing(slot: number): number {
    assert(!this.isIdle(slot), 'a request that is renamed is in flight')
    const name = this.names[slot]! & ~SLOT_DESCRIPTOR
    this.names[slot] = name
    return name
  }

  isIdle(slot: number): boolean {
    return this.names[slot]! < 0
  }

  /** Whether the operation's terminal completion is still to come. */
  holds(operation: Operation): boolean {
    const { slot } = operation
    return this.operations[slot] === operation && this.names[slot]! >= 0
  }

  /** Checks that each slot is either free or has one operation, in flight. O(slots): for audits. */
  audit(): void {
    const free = this.#free.subarray(0, this.#freeCount)
    assert(new Set(free).size === this.#freeCount, 'a slot is free once')
    for (const slot of free) {
      assert(this.operations[slot] === null, 'a free slot has no operation')
      assert(this.isIdle(slot), 'a free slot has no request in flight')
    }
    assert(this.names.length === this.operations.length, 'each slot has a name')
    const opensAndCloses = SLOT_DESCRIPTOR | SLOT_CLOSE
    let usedCount = 0
    for (const [slot, operation] of this.operations.entries()) {
      if (operation === null) continue
      assert(!this.isIdle(slot), 'a slot in use has a request in flight')
      assert(operation.slot === slot, 'an operation knows its slot')
      const use = this.names[slot]! & opensAndCloses
      assert(use !== opensAndCloses, 'what closes a descriptor delivers none')
      usedCount++
    }
    assert(usedCount === this.size, 'a slot that is not free has an operation')
  }

  /** How many requests in flight have that use. O(slots): for audits. */
  countUse(use: number): number {
    let count = 0
    for (const name of this.names) if (name >= 0 && (name & use) !== 0) count++
    return count
  }

  *inFlight(): Iterable<Operation> {
    for (const operation of this.operations) {
      if (operation !== null && this.holds(operation)) yield operation
    }
  }

  #grow(): void {
    const oldSize = this.operations.length
    const size = Math.max(256, oldSize * 2)
    assert(GENERATION_STEP > USE_MASK, 'a generation is beside the bits of use')
    assert((NAME_MASK & USE_MASK) === 0, 'a generation has no bits of use')
    const names = new Int32Array(size).fill(-1)
    names.set(this.names)
    this.names = names
    this.#free = new Int32Array(size)
    // The last is handed out first, so low slots are used before high ones.
    for (let slot = size - 1; slot >= oldSize; slot--) this.#free[this.#freeCount++] = slot
    for (let slot = oldSize; slot < size; slot++) this.operations.push(null)
  }
}
