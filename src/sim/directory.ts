import { assert } from '../base/index.ts'
import {
  createSlot,
  type Directory,
  type DirectorySlot,
  type ExecutorId,
  GENERATION_MAX,
  SLEEP_PARKED,
  SLOT_COUNT,
  slotOf,
  WORD_DOORBELL,
  WORD_GENERATION,
  WORD_HOLDER,
  WORD_RING_FD,
  WORD_RING_TOKEN,
  WORD_SLEEPING,
} from '../kernel/index.ts'

/**
 * What native/directory.c does, for the threads of a simulated process.
 *
 * They run by turns, none of which ends in the middle of a call: so there is nobody to exchange values with.
 */
export class SimDirectory implements Directory {
  readonly #slots: DirectorySlot[] = []
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

  /** Rings inbox 0 of every other live executor, and has those that are parked woken by their ring's descriptor. */
  tell(id: ExecutorId, wake: (ringFd: number, token: number) => void): void {
    for (let index = 1; index < this.#usedCount; index++) {
      const { words, inboxes } = this.slot(index)
      if (index === slotOf(id) || words[WORD_HOLDER]! <= 0) continue
      Atomics.or(inboxes, 0, 1)
      Atomics.or(words, WORD_DOORBELL, 1)
      if (words[WORD_SLEEPING] === SLEEP_PARKED) wake(words[WORD_RING_FD]!, words[WORD_RING_TOKEN]!)
    }
  }

  /** Lets others take the slot. */
  free(id: ExecutorId): void {
    Atomics.store(this.slot(slotOf(id)).words, WORD_HOLDER, 0)
  }
}
