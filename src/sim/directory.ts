import { assert } from '../base/index.ts'
import {
  createSlot,
  type Directory,
  type DirectorySlot,
  EOPNOTSUPP,
  type ExecutorId,
  GENERATION_MAX,
  SLEEP_PARKED,
  SLOT_COUNT,
  slotOf,
  WORD_DOORBELL,
  WORD_GENERATION,
  WORD_HOLDER,
  WORD_SLEEPING,
} from '../kernel/index.ts'

/**
 * What native/directory.c does, for the threads of a simulated process.
 *
 * They run by turns, none of which ends in the middle of a call: so there is nobody to exchange values with.
 */
export class SimDirectory implements Directory {
  readonly #slots: DirectorySlot[] = []
  readonly #wakers: ((() => void) | null)[] = []
  #usedCount = 1

  get usedCount(): number {
    return this.#usedCount
  }

  slot(index: number): DirectorySlot {
    assert(index >= 0 && index < SLOT_COUNT, 'a slot is of the directory')
    let slot = this.#slots[index]
    if (slot === undefined) {
      slot = createSlot()
      this.#slots[index] = slot
    }
    return slot
  }

  /** Takes a slot that nobody has, with a control block as it is at first; null where there is none. */
  claim(): DirectorySlot | null {
    for (let index = 1; index < SLOT_COUNT; index++) {
      const { words, memory } = this.slot(index)
      const generation = words[WORD_GENERATION]!
      if (words[WORD_HOLDER] !== 0 || generation === GENERATION_MAX) continue
      if (generation > 0) new Uint8Array(memory).set(new Uint8Array(createSlot().memory))
      words[WORD_GENERATION] = generation + 1
      words[WORD_HOLDER] = (generation + 1) * SLOT_COUNT + index
      this.#usedCount = Math.max(this.#usedCount, index + 1)
      return this.slot(index)
    }
    return null
  }

  /** From now on nobody finds the executor; its slot stays as it is. */
  end(id: ExecutorId): void {
    Atomics.store(this.slot(slotOf(id)).words, WORD_HOLDER, -id)
  }

  wake(index: number): void {
    this.#wakers[index]?.()
  }

  // Every simulated thread has an executor.
  join(): number {
    return -EOPNOTSUPP
  }

  /** By what to wake the thread whose executor has that slot; null for by nothing any more. */
  setWaker(id: ExecutorId, wake: (() => void) | null): void {
    this.#wakers[slotOf(id)] = wake
  }

  /** Rings inbox 0 of every other live executor, and wakes those that are parked. */
  tell(id: ExecutorId): void {
    for (let index = 1; index < this.#usedCount; index++) {
      const { words, inboxes } = this.slot(index)
      if (index === slotOf(id) || words[WORD_HOLDER]! <= 0) continue
      Atomics.or(inboxes, 0, 1)
      Atomics.or(words, WORD_DOORBELL, 1)
      if (words[WORD_SLEEPING] === SLEEP_PARKED) this.wake(index)
    }
  }

  /** Lets others take the slot. */
  free(id: ExecutorId): void {
    Atomics.store(this.slot(slotOf(id)).words, WORD_HOLDER, 0)
  }
}
