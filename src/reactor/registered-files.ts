import { assert } from '../base/index.ts'
import {
  type Capabilities,
  IORING_REGISTER_FILES_UPDATE,
  IORING_REGISTER_FILES2,
  IORING_RSRC_REGISTER_SPARSE,
  type Kernel,
} from '../kernel/index.ts'
import type { Ring, Target } from '../ring/index.ts'

/** Sizes to try: the table may hold no more than the limit of open files. */
const CAPACITIES = [1024, 256, 64]

/** What became of the files that were offered to {@link RegisteredFiles.add}. */
export interface RegisteredFilesStats {
  /** Slots of the table; 0 before the first file, or where the kernel has no such table. */
  readonly capacity: number
  readonly usedCount: number
  /** Files that are used by descriptor, as the table was full or refused. */
  readonly refusedCount: number
}

/** What decides whether there is a table. */
export type FileTableTraits = Pick<Capabilities, 'letsFilesGo'>

/** The open files that the rings of a thread know by index. */
export interface FileTable {
  /** Registers `fd`, and returns its index, or -1 if it must be used by descriptor. */
  add(fd: number): number
  /** Takes a file out, of which nothing may be in flight. Does nothing for -1. */
  remove(index: number): void
  /** How `ring` names the file with this descriptor and index. */
  target(ring: Ring, fd: number, index: number): Target
  stats(): RegisteredFilesStats
}

/**
 * The descriptors that the rings of a thread know by index.
 *
 * An operation on a registered file spares the kernel the look-up and reference counting of its
 * descriptor. Registering costs a system call, hence it is for files that stay open. A file has the same index in
 * every ring, each of which has a table of its own. Whatever is refused works by descriptor, and is counted. A kernel that would keep a file
 * open after its removal gets none ({@link Capabilities.letsFilesGo}): a caller that has awaited a close relies on it. Linux 6.13.
 */
export class RegisteredFiles implements FileTable {
  readonly #kernel: Kernel
  readonly #rings: Iterable<Ring>
  /** By the index of their ring; none before the first file, or where the kernel refuses them. */
  readonly #tables: (RingTable | undefined)[] = []
  /** What all tables hold, by place. */
  #fds: Int32Array | null = null
  /** What the kernel reads while an update runs; kept, so that its address is known. */
  readonly #descriptor = new Int32Array(1)
  readonly #descriptorAddress: number
  readonly #free: number[] = []
  #refusedCount = 0
  #isRefused = false

  /** `rings`: the first decides how many files there may be. */
  constructor(kernel: Kernel, rings: Iterable<Ring>, { letsFilesGo }: FileTableTraits) {
    this.#isRefused = !letsFilesGo
    this.#kernel = kernel
    this.#rings = rings
    this.#descriptorAddress = kernel.addressOf(this.#descriptor)
  }

  add(fd: number): number {
    assert(fd >= 0, 'a file that is registered is open')
    if (this.#fds === null && !this.#isRefused) this.#createTable()
    const fds = this.#fds
    const index = fds === null ? undefined : this.#free.pop()
    if (fds === null || index === undefined) {
      this.#refusedCount++
      return -1
    }
    assert(fds[index] === -1, 'a free place holds no file')
    for (const table of this.#tables) {
      if (table === undefined || !table.isInStep) continue
      if (this.#update(table.ring, index, fd)) continue
      if (table.ring.index === 0) {
        this.#free.push(index)
        this.#refusedCount++
        return -1
      }
      table.isInStep = false
    }
    fds[index] = fd
    return index
  }

  remove(index: number): void {
    if (index === -1 || this.#fds === null) return
    assert(this.#fds[index]! >= 0, 'a file is taken out once')
    this.#fds[index] = -1
    let isEmpty = true
    // In step or not: a file that stays in a table stays open.
    for (const table of this.#tables) {
      if (table !== undefined && !this.#update(table.ring, index, -1)) isEmpty = false
    }
    // A slot that could not be emptied would lend its old file to the next: it stays out of use.
    if (isEmpty) this.#free.push(index)
  }

  target(ring: Ring, fd: number, index: number): Target {
    const table = this.#tables[ring.index]
    const isKnown = index !== -1 && table?.isInStep === true
    assert(!isKnown || table?.ring === ring, 'a ring has a table of its own')
    return isKnown ? { fd: index, registered: true } : { fd, registered: false }
  }

  /** Gives a further ring the same table; while there is none yet it gets one with the others. */
  attach(ring: Ring): void {
    const fds = this.#fds
    assert(this.#tables[ring.index] === undefined, 'a ring is given a table once')
    if (fds === null || !createTable(this.#kernel, ring, fds.length)) return
    const table = { ring, isInStep: true }
    this.#tables[ring.index] = table
    for (let index = 0; index < fds.length && table.isInStep; index++) {
      if (fds[index] !== -1) table.isInStep = this.#update(ring, index, fds[index]!)
    }
  }

  stats(): RegisteredFilesStats {
    const capacity = this.#fds?.length ?? 0
    const usedCount = this.#fds?.reduce((count, fd) => (fd === -1 ? count : count + 1), 0) ?? 0
    return { capacity, usedCount, refusedCount: this.#refusedCount }
  }

  /** Checks that each place is free or has a file. O(places): for audits. */
  audit(): void {
    const fds = this.#fds
    if (fds === null) {
      assert(this.#free.length === 0, 'there is no place without a table')
      return
    }
    assert(!this.#isRefused, 'a table that was refused is not there')
    assert(this.#tables[0]?.isInStep === true, 'the table of the first ring has every file')
    assert(new Set(this.#free).size === this.#free.length, 'a place is free once')
    for (const index of this.#free) assert(fds[index] === -1, 'a free place holds no file')
    const files = fds.filter((fd) => fd !== -1)
    assert(new Set(files).size === files.length, 'a file has one place')
    assert(files.length + this.#free.length <= fds.length, 'a place is free or has a file')
  }

  #update(ring: Ring, index: number, fd: number): boolean {
    assert(index >= 0 && index < this.#fds!.length, 'a place is one of the table')
    this.#descriptor[0] = fd
    const address = this.#descriptorAddress
    // ABI: struct io_uring_files_update: offset, resv, fds.
    const argument = Uint32Array.of(index, 0, address, address / 2 ** 32)
    return this.#kernel.register(ring.memory.fd, IORING_REGISTER_FILES_UPDATE, argument, 1) === 1
  }

  #createTable(): void {
    const [first, ...further] = this.#rings
    assert(first?.index === 0, 'a thread with files has a ring')
    const capacity = CAPACITIES.find((count) => createTable(this.#kernel, first, count))
    if (capacity === undefined) {
      this.#isRefused = true
      return
    }
    this.#fds = new Int32Array(capacity).fill(-1)
    // The last is handed out first, so low slots are used before high ones.
    for (let index = capacity - 1; index >= 0; index--) this.#free.push(index)
    this.#tables[0] = { ring: first, isInStep: true }
    for (const ring of further) this.attach(ring)
  }
}

/** The table of one ring. */
interface RingTable {
  readonly ring: Ring
  /** Whether it has every file; else new ones are used by descriptor there. */
  isInStep: boolean
}

function createTable(kernel: Kernel, ring: Ring, capacity: number): boolean {
  // ABI: struct io_uring_rsrc_register: nr, flags, resv2, data, tags; its size is the count.
  const argument = Uint32Array.of(capacity, IORING_RSRC_REGISTER_SPARSE, 0, 0, 0, 0, 0, 0)
  const { fd } = ring.memory
  return kernel.register(fd, IORING_REGISTER_FILES2, argument, argument.byteLength) >= 0
}
