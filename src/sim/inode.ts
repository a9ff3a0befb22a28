import { assert, type Prng } from '../base/index.ts'
import { ENOSPC } from '../kernel/index.ts'

export const PAGE_BYTES = 4096
/** What a disk writes as a whole, or not at all. */
const SECTOR_BYTES = 512

export type InodeKind = 'file' | 'directory' | 'link' | 'socket'

/** How many pages a disk has left. */
export interface PageBudget {
  usedPages: number
  readonly pagesMax: number
}

/** A name in a directory, and what has it from now on; null for nothing. */
export interface NameEdit {
  readonly directory: Inode
  readonly name: string
  readonly inode: Inode | null
}

/** What a disk does to names as a whole, or not at all: a link, an unlink, a rename. */
export interface NameChange {
  readonly sequence: number
  readonly edits: readonly NameEdit[]
  /** What it comes after: the changes of each directory, and those of the names of each file in it. */
  readonly chains: readonly NameChange[][]
}

/** A file, directory, symbolic link or bound socket; lives while it has a name or is open. */
export class Inode {
  readonly number: number
  readonly kind: InodeKind
  mode: number
  readonly createdNs: number
  /** What a directory holds. */
  readonly entries: Map<string, Inode> = new Map()
  /** What the disk has of that, and what was done since, in order. */
  readonly writtenEntries: Map<string, Inode> = new Map()
  readonly entryChanges: NameChange[] = []
  /** What was done to its own names, and is not on the disk. */
  readonly nameChanges: NameChange[] = []
  /** The directory that holds this directory. */
  parent: Inode | null = null
  /** Where a symbolic link leads. */
  target = ''
  linkCount = 0
  /** Whether it may get a name though it has none: it never had one, being an O_TMPFILE. */
  isLinkable = false
  /** Who has it locked by flock(2): open files, of which one that is exclusive is alone. */
  readonly lockers: Map<object, 'shared' | 'exclusive'> = new Map()
  openCount = 0
  sizeBytes = 0
  modifiedNs: number
  readonly #pages = new Map<number, Uint8Array>()
  /** What the disk has where a page has changed since the last sync; null for zeros. */
  readonly #synced = new Map<number, Uint8Array | null>()
  #syncedBytes = 0
  /** Changed pages that a failed sync took for written: no later one writes them. */
  readonly #lost = new Set<number>()
  #isCleared = false
  readonly #budget: PageBudget

  constructor(number: number, kind: InodeKind, mode: number, nowNs: number, budget: PageBudget) {
    this.number = number
    this.kind = kind
    this.mode = mode
    this.createdNs = nowNs
    this.modifiedNs = nowNs
    this.#budget = budget
  }

  get pageCount(): number {
    return this.#pages.size
  }

  /** Copies what is there from `offset` on into `target`; returns how much. Holes are zeros. */
  read(offset: number, target: Uint8Array): number {
    const length = Math.max(0, Math.min(target.length, this.sizeBytes - offset))
    for (let done = 0; done < length; ) {
      const position = offset + done
      const within = position % PAGE_BYTES
      const count = Math.min(PAGE_BYTES - within, length - done)
      const page = this.#pages.get((position - within) / PAGE_BYTES)
      if (page === undefined) target.fill(0, done, done + count)
      else target.set(page.subarray(within, within + count), done)
      done += count
    }
    return length
  }

  /** Copies `source` to `offset`; returns how much, or -ENOSPC if nothing fits. */
  write(offset: number, source: Uint8Array): number {
    let done = 0
    while (done < source.length) {
      const position = offset + done
      const within = position % PAGE_BYTES
      const count = Math.min(PAGE_BYTES - within, source.length - done)
      const page = this.#page((position - within) / PAGE_BYTES)
      if (page === null) break
      this.#remember((position - within) / PAGE_BYTES)
      this.#lost.delete((position - within) / PAGE_BYTES)
      page.set(source.subarray(done, done + count), within)
      done += count
    }
    if (done > 0) this.sizeBytes = Math.max(this.sizeBytes, offset + done)
    return done === 0 && source.length > 0 ? -ENOSPC : done
  }

  /** Sets the size; what is cut off is gone, what is added is zero. */
  truncate(sizeBytes: number): void {
    if (sizeBytes < this.sizeBytes) this.punch(sizeBytes, this.sizeBytes - sizeBytes)
    this.sizeBytes = sizeBytes
  }

  /** Takes up the space of a range now: 0, or -ENOSPC. */
  reserve(offset: number, lengthBytes: number): number {
    const last = Math.ceil((offset + lengthBytes) / PAGE_BYTES)
    for (let index = Math.floor(offset / PAGE_BYTES); index < last; index++) {
      if (this.#page(index) === null) return -ENOSPC
    }
    return 0
  }

  /** Turns a range into zeros, and gives whole pages back. */
  punch(offset: number, lengthBytes: number): void {
    const end = offset + lengthBytes
    for (const [index, page] of this.#pages) {
      const from = Math.max(offset - index * PAGE_BYTES, 0)
      const to = Math.min(end - index * PAGE_BYTES, PAGE_BYTES)
      if (from >= to) continue
      this.#remember(index)
      this.#lost.delete(index)
      if (to - from < PAGE_BYTES && !(from === 0 && end >= this.sizeBytes)) page.fill(0, from, to)
      else this.#free(index)
    }
  }

  /**
   * Moves what is from `offset` on, by whole pages: forth, which leaves a hole, or back, over what is there.
   */
  shift(offset: number, byBytes: number): void {
    const [first, by] = [offset / PAGE_BYTES, byBytes / PAGE_BYTES]
    const moved = [...this.#pages].filter(([index]) => index >= first)
    for (const [index] of moved) this.#remember(index)
    for (const [index] of moved) this.#pages.delete(index)
    for (const [index, page] of moved) {
      this.#lost.delete(index)
      if (index + by < first) {
        this.#budget.usedPages--
        continue
      }
      this.#remember(index + by)
      this.#lost.delete(index + by)
      this.#pages.set(index + by, page)
    }
    this.sizeBytes += byBytes
  }

  /** All that was written survives a crash from now on, but for what a failed sync has lost. */
  sync(): void {
    for (const index of this.#synced.keys()) if (!this.#lost.has(index)) this.#synced.delete(index)
    this.#syncedBytes = this.sizeBytes
  }

  /** The same for a range: the pages of it, and the size up to its end. */
  syncRange(offset: number, lengthBytes: number): void {
    const end = offset + lengthBytes
    for (let index = Math.floor(offset / PAGE_BYTES); index * PAGE_BYTES < end; index++) {
      if (!this.#lost.has(index)) this.#synced.delete(index)
    }
    this.#syncedBytes = Math.max(this.#syncedBytes, Math.min(end, this.sizeBytes))
  }

  /** A sync that fails: some of what was to be written is then as good as written to the kernel. */
  failSync(prng: Prng): void {
    for (const index of this.#synced.keys()) if (prng.chance(0.5)) this.#lost.add(index)
  }

  /**
   * Copies into `found` what a crash would leave: of each page that was written since the last sync
   * the old, the new or a mixture of their sectors; the old size or the new.
   */
  crashInto(found: Inode, prng: Prng): void {
    for (const [index, page] of this.#pages) {
      const synced = this.#synced.get(index)
      found.#restore(index, synced === undefined ? page : tear(synced, page, prng))
    }
    for (const [index, synced] of this.#synced) {
      if (!this.#pages.has(index)) found.#restore(index, tear(synced, null, prng))
    }
    const isOldSize = this.#syncedBytes !== this.sizeBytes && prng.chance(0.5)
    found.sizeBytes = Math.max(this.#syncedBytes, this.sizeBytes)
    found.truncate(isOldSize ? this.#syncedBytes : this.sizeBytes)
    found.modifiedNs = this.modifiedNs
    found.sync()
  }

  /** Gives all space back. What was in it is kept, since a crash may bring the name back. */
  clear(): void {
    assert(!this.#isCleared, 'a file is gone once')
    this.#isCleared = true
    this.#budget.usedPages -= this.#pages.size
  }

  #restore(index: number, page: Uint8Array | null): void {
    if (page === null) return
    this.#budget.usedPages++
    this.#pages.set(index, page.slice())
  }

  #remember(index: number): void {
    if (this.#synced.has(index)) return
    this.#synced.set(index, this.#pages.get(index)?.slice() ?? null)
  }

  #page(index: number): Uint8Array | null {
    const existing = this.#pages.get(index)
    if (existing !== undefined) return existing
    if (this.#budget.usedPages >= this.#budget.pagesMax) return null
    const page = new Uint8Array(PAGE_BYTES)
    this.#budget.usedPages++
    this.#pages.set(index, page)
    return page
  }

  #free(index: number): void {
    if (this.#pages.delete(index)) this.#budget.usedPages--
  }
}

/** What is found of a page after a crash: old, new, or sectors of both. */
function tear(old: Uint8Array | null, page: Uint8Array | null, prng: Prng): Uint8Array | null {
  const choice = prng.int(0, 2)
  if (choice === 0) return old
  if (choice === 1) return page
  const torn = old?.slice() ?? new Uint8Array(PAGE_BYTES)
  for (let at = 0; at < PAGE_BYTES; at += SECTOR_BYTES) {
    if (!prng.chance(0.5)) continue
    if (page === null) torn.fill(0, at, at + SECTOR_BYTES)
    else torn.set(page.subarray(at, at + SECTOR_BYTES), at)
  }
  return torn
}
