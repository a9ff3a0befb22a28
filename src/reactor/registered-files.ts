import { assert } from '../base/index.ts'
import {
  IORING_REGISTER_FILES_UPDATE,
  IORING_REGISTER_FILES2,
  IORING_RSRC_REGISTER_SPARSE,
  type Kernel,
  type LoopHost,
  letsFilesGo,
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
 * every ring. Whatever is refused works by descriptor, and is counted. A kernel that would keep a file
 * open after its removal gets none ({@link letsFilesGo}): a caller that has awaited a close relies on it. Linux 6.13.
 */
export class RegisteredFiles implements FileTable {
  readonly #kernel: Kernel
  readonly #host: LoopHost
  readonly #main: Ring
  /** The second ring, if it has a table; */
  #second: Ring | null = null
  /** and whether that equals the first one's: else new files are used by descriptor there. */
  #isInStep = true
  #fds: Int32Array | null = null
  /** What the kernel reads while an update runs; kept, so that its address is known. */
  readonly #descriptor = new Int32Array(1)
  readonly #descriptorAddress: number
  readonly #free: number[] = []
  #refusedCount = 0
  #isRefused = false

  constructor(kernel: Kernel, host: LoopHost, main: Ring) {
    this.#kernel = kernel
    this.#host = host
    this.#main = main
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
    if (!this.#update(this.#main, index, fd)) {
      this.#free.push(index)
      this.#refusedCount++
      return -1
    }
    assert(fds[index] === -1, 'a free place holds no file')
    fds[index] = fd
    if (this.#second !== null && this.#isInStep) {
      this.#isInStep = this.#update(this.#second, index, fd)
    }
    return index
  }

  remove(index: number): void {
    if (index === -1 || this.#fds === null) return
    assert(this.#fds[index]! >= 0, 'a file is taken out once')
    this.#fds[index] = -1
    // In step or not: a file that stays in a table stays open.
    if (this.#second !== null) this.#update(this.#second, index, -1)
    // A slot that could not be emptied would lend its old file to the next: it stays out of use.
    if (this.#update(this.#main, index, -1)) this.#free.push(index)
  }

  target(ring: Ring, fd: number, index: number): Target {
    const isKnown =
      index !== -1 && (ring === this.#main || (ring === this.#second && this.#isInStep))
    return isKnown ? { fd: index, registered: true } : { fd, registered: false }
  }

  /** Gives a second ring the same table. */
  attach(ring: Ring): void {
    const fds = this.#fds
    this.#second = ring
    if (fds === null) return
    if (!createTable(this.#kernel, ring, fds.length)) this.#second = null
    for (let index = 0; index < fds.length && this.#second !== null && this.#isInStep; index++) {
      const fd = fds[index]!
      if (fd !== -1) this.#isInStep = this.#update(ring, index, fd)
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
    const capacities = letsFilesGo(this.#kernel, this.#host) ? CAPACITIES : []
    const capacity = capacities.find((count) => createTable(this.#kernel, this.#main, count))
    if (capacity === undefined) {
      this.#isRefused = true
      return
    }
    this.#fds = new Int32Array(capacity).fill(-1)
    // The last is handed out first, so low slots are used before high ones.
    for (let index = capacity - 1; index >= 0; index--) this.#free.push(index)
    if (this.#second !== null && !createTable(this.#kernel, this.#second, capacity)) {
      this.#second = null
    }
  }
}

function createTable(kernel: Kernel, ring: Ring, capacity: number): boolean {
  // ABI: struct io_uring_rsrc_register: nr, flags, resv2, data, tags; its size is the count.
  const argument = Uint32Array.of(capacity, IORING_RSRC_REGISTER_SPARSE, 0, 0, 0, 0, 0, 0)
  const { fd } = ring.memory
  return kernel.register(fd, IORING_REGISTER_FILES2, argument, argument.byteLength) >= 0
}
