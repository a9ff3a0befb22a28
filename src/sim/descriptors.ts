import { assert, Heap, type HeapEntry } from '../base/index.ts'
import { EBADF, EMFILE } from '../kernel/index.ts'

/** Far above those of the real process, so that one taken for the other is found out. */
const FIRST_FD = 10_000

/** What a descriptor refers to: a file, a socket, a ring. Lives while a descriptor or request has it. */
export abstract class Description {
  /** What it is, for people: `file /a/b`, `socket`. */
  abstract readonly label: string
  /** `fcntl(F_GETFL)` */
  statusFlags = 0
  #holdCount = 0

  /** `POLLIN | …` as of now. */
  abstract readiness(): number
  /** The last descriptor and request are gone. */
  protected abstract dispose(): void

  hold(): void {
    this.#holdCount++
  }

  release(): void {
    assert(this.#holdCount > 0, 'each hold on a description ends once')
    if (--this.#holdCount === 0) this.dispose()
  }
}

/** A place of the table that was used and is free again. */
class FreeSlot implements HeapEntry {
  heapIndex = -1
  readonly slot: number

  constructor(slot: number) {
    this.slot = slot
  }
}

/**
 * The descriptors of the simulated process.
 *
 * To look one up is O(1), to open or close one O(log n) of those that are closed at the time.
 */
export class DescriptorTable {
  readonly #slots: (Description | null)[] = []
  /** All that are null in `#slots`, the lowest first. */
  readonly #free = new Heap<FreeSlot>((one, other) => one.slot < other.slot)
  readonly #countMax: number
  #openCount = 0

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  get openCount(): number {
    return this.#openCount
  }

  /** The lowest free descriptor for it, or -EMFILE. */
  install(description: Description): number {
    if (this.#openCount >= this.#countMax) return -EMFILE
    const slot = this.#free.pop()?.slot ?? this.#slots.length
    assert((this.#slots[slot] ?? null) === null, 'a free descriptor refers to nothing')
    this.#slots[slot] = description
    this.#openCount++
    description.hold()
    return FIRST_FD + slot
  }

  get(fd: number): Description | null {
    return this.#slots[fd - FIRST_FD] ?? null
  }

  /** Takes a descriptor out of use: 0, or -EBADF. */
  close(fd: number): number {
    const description = this.get(fd)
    if (description === null) return -EBADF
    this.#slots[fd - FIRST_FD] = null
    this.#free.push(new FreeSlot(fd - FIRST_FD))
    this.#openCount--
    description.release()
    return 0
  }

  *entries(): Iterable<{ readonly fd: number; readonly description: Description }> {
    for (const [slot, description] of this.#slots.entries()) {
      if (description !== null) yield { fd: FIRST_FD + slot, description }
    }
  }
}
