import { assert, type Prng } from '../base/index.ts'
import { EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, ENOTEMPTY } from '../kernel/index.ts'
import type { SimClock } from './clock.ts'
import { Inode, type InodeKind, PAGE_BYTES, type PageBudget } from './inode.ts'
import { NameJournal } from './name-journal.ts'

const ENAMETOOLONG = 36
const NAME_BYTES_MAX = 255
const LINKS_FOLLOWED_MAX = 40

/** Where a path leads: the directory, the name in it, and what has that name, if anything. */
export interface PathEnd {
  readonly directory: Inode
  readonly name: string
  readonly inode: Inode | null
}

/**
 * The files of a simulated machine, in memory: one disk, `/` and `/tmp`, no permissions.
 *
 * Paths that begin at no directory begin at `/`.
 */
export class FileSystem {
  /** @internal */
  readonly root: Inode
  #clock: SimClock
  readonly #budget: PageBudget
  readonly #names = new NameJournal()
  #inodeNumber = 1

  /** @internal */
  constructor(clock: SimClock, diskBytes: number) {
    this.#clock = clock
    this.#budget = { usedPages: 0, pagesMax: Math.floor(diskBytes / PAGE_BYTES) }
    this.root = this.create('directory', 0o755)
    this.root.parent = this.root
    this.root.linkCount = 1
    this.makeDirectory('/tmp')
    this.syncAll()
  }

  /** @internal Becomes the disk of another machine, which finds on it what is there now. */
  attach(clock: SimClock): void {
    this.#clock = clock
    this.syncAll()
  }

  /**
   * @internal The disk as it is found after a crash at this moment; this one is not changed.
   *
   * Contents that were not synced may be there, or not, or torn between sectors, by the generator's
   * choice. Names are lost likewise, the last first, unless their directory was synced since: a new file may have
   * no name, a renamed one its old, a removed one still be there.
   */
  crash(prng: Prng): FileSystem {
    const found = new FileSystem(this.#clock, this.#budget.pagesMax * PAGE_BYTES)
    found.root.entries.clear()
    found.root.writtenEntries.clear()
    const names = this.#names.survivors(prng)
    const copies = new Map<Inode, Inode>([[this.root, found.root]])
    for (const [inode, copy] of copies) {
      const entries = names.get(inode) ?? inode.writtenEntries
      if (inode.kind === 'directory') found.#copyEntries(entries, copy, copies)
      else if (inode.kind === 'file') inode.crashInto(copy, prng)
      else copy.sizeBytes = inode.sizeBytes
    }
    found.syncAll()
    return found
  }

  /** Writes all to the disk, as sync(2) does: what was arranged survives a crash from now on. */
  syncAll(): void {
    this.#names.syncAll()
    const seen = new Set<Inode>([this.root])
    for (const inode of seen) {
      if (inode.kind === 'file') inode.sync()
      for (const entry of inode.entries.values()) seen.add(entry)
    }
  }

  /** Lets the names in a directory survive a crash from now on, as fsync(2) of it does. */
  syncDirectory(path: string): void {
    const end = this.resolve(this.root, path, true)
    assert(typeof end !== 'number', 'a directory that is synced exists')
    assert(end.inode?.kind === 'directory', 'what is synced is a directory')
    this.sync(end.inode)
  }

  /** @internal fsync(2) */
  sync(inode: Inode): void {
    if (inode.kind === 'directory') this.#names.sync(inode)
    else inode.sync()
  }

  get usedBytes(): number {
    return this.#budget.usedPages * PAGE_BYTES
  }

  /** Creates a directory and those above it. For arranging a simulation. */
  makeDirectory(path: string): void {
    let directory = this.root
    for (const name of path.split('/').filter(Boolean)) {
      let entry = directory.entries.get(name)
      if (entry === undefined) {
        entry = this.create('directory', 0o755)
        this.link(directory, name, entry)
      }
      directory = entry
    }
  }

  /** Creates a file with the given contents, in a directory that exists. For arranging a simulation. */
  writeFile(path: string, bytes: Uint8Array): void {
    const end = this.resolve(this.root, path, true)
    assert(typeof end !== 'number', 'a file is written into a directory that exists')
    const inode = end.inode ?? this.create('file', 0o644)
    if (end.inode === null) this.link(end.directory, end.name, inode)
    inode.truncate(0)
    inode.write(0, bytes)
  }

  /** The contents of a file, or null if there is none. For checking a simulation. */
  readFile(path: string): Uint8Array | null {
    const end = this.resolve(this.root, path, true)
    if (typeof end === 'number' || end.inode === null) return null
    const bytes = new Uint8Array(end.inode.sizeBytes)
    end.inode.read(0, bytes)
    return bytes
  }

  /** The names in a directory, or null if there is none. */
  list(path: string): string[] | null {
    const end = this.resolve(this.root, path, true)
    if (typeof end === 'number' || end.inode?.kind !== 'directory') return null
    return [...end.inode.entries.keys()].sort()
  }

  /** @internal */
  create(kind: InodeKind, mode: number): Inode {
    return new Inode(this.#inodeNumber++, kind, mode, this.#clock.nowNs, this.#budget)
  }

  /** @internal Walks a path; the last name need not exist. Returns `-errno` if the way does not. */
  resolve(start: Inode, path: string, followLast: boolean, followed = 0): PathEnd | number {
    if (path === '') return -ENOENT
    if (followed > LINKS_FOLLOWED_MAX) return -ELOOP
    const names = path.split('/').filter((name) => name !== '' && name !== '.')
    let directory = path.startsWith('/') ? this.root : start
    const last = names.pop()
    if (last === undefined) return { directory, name: '.', inode: directory }
    for (const name of names) {
      const next = this.#step(directory, name, followed)
      if (typeof next === 'number') return next
      if (next.kind !== 'directory') return -ENOTDIR
      directory = next
    }
    if (directory.kind !== 'directory') return -ENOTDIR
    if (Buffer.byteLength(last) > NAME_BYTES_MAX) return -ENAMETOOLONG
    if (last === '..') return { directory, name: '..', inode: directory.parent }
    const inode = directory.entries.get(last) ?? null
    if (inode?.kind === 'link' && (followLast || path.endsWith('/'))) {
      return this.resolve(directory, inode.target, followLast, followed + 1)
    }
    if (path.endsWith('/') && inode !== null && inode.kind !== 'directory') return -ENOTDIR
    return { directory, name: last, inode }
  }

  /** @internal */
  link(directory: Inode, name: string, inode: Inode): void {
    this.#addName(directory, name, inode)
    this.#names.record([{ directory, name, inode }], [inode])
  }

  /** @internal */
  unlink(directory: Inode, name: string): void {
    const inode = this.#removeName(directory, name)
    this.#names.record([{ directory, name, inode: null }], [inode])
    this.reclaim(inode)
  }

  /** @internal Frees what neither a name nor a descriptor leads to. */
  reclaim(inode: Inode): void {
    if (inode.linkCount === 0 && inode.openCount === 0) inode.clear()
  }

  /** @internal unlink(2) and rmdir(2) */
  remove(end: PathEnd, isDirectoryWanted: boolean): number {
    if (end.inode === null) return -ENOENT
    if (isDirectoryWanted) {
      if (end.inode.kind !== 'directory') return -ENOTDIR
      if (end.name === '.' || end.name === '..') return -EINVAL
      if (end.inode.entries.size > 0) return -ENOTEMPTY
    } else if (end.inode.kind === 'directory') {
      return -EISDIR
    }
    this.unlink(end.directory, end.name)
    return 0
  }

  /** @internal rename(2); `isReplacing` is false for RENAME_NOREPLACE. */
  rename(from: PathEnd, to: PathEnd, isReplacing: boolean): number {
    const { inode } = from
    if (inode === null) return -ENOENT
    if (to.inode !== null && !isReplacing) return -EEXIST
    if (to.inode === inode) return 0
    if (inode.kind === 'directory') {
      for (let above = to.directory; above !== this.root; above = above.parent!) {
        if (above === inode) return -EINVAL
      }
      if (to.inode !== null && to.inode.kind !== 'directory') return -ENOTDIR
      if (to.inode !== null && to.inode.entries.size > 0) return -ENOTEMPTY
    } else if (to.inode?.kind === 'directory') {
      return -EISDIR
    }
    this.#move(from, to, inode)
    return 0
  }

  #move(from: PathEnd, to: PathEnd, inode: Inode): void {
    const subjects = [inode]
    if (to.inode !== null) subjects.push(this.#removeName(to.directory, to.name))
    this.#removeName(from.directory, from.name)
    this.#addName(to.directory, to.name, inode)
    const isWithin = from.directory === to.directory && from.name === to.name
    assert(!isWithin, 'a file that is renamed gets another name')
    const gone = { directory: from.directory, name: from.name, inode: null }
    this.#names.record([{ directory: to.directory, name: to.name, inode }, gone], subjects)
    // Not before: the file that is renamed has no name for a moment, and is not to be freed.
    if (to.inode !== null) this.reclaim(to.inode)
  }

  #addName(directory: Inode, name: string, inode: Inode): void {
    assert(!directory.entries.has(name), 'a name is given once')
    directory.entries.set(name, inode)
    directory.modifiedNs = this.#clock.nowNs
    inode.linkCount++
    if (inode.kind === 'directory') inode.parent = directory
  }

  #removeName(directory: Inode, name: string): Inode {
    const inode = directory.entries.get(name)
    assert(inode !== undefined, 'a name that is removed exists')
    directory.entries.delete(name)
    directory.modifiedNs = this.#clock.nowNs
    inode.linkCount--
    return inode
  }

  #copyEntries(entries: ReadonlyMap<string, Inode>, to: Inode, copies: Map<Inode, Inode>): void {
    for (const [name, inode] of entries) {
      const copy = copies.get(inode) ?? this.create(inode.kind, inode.mode)
      copy.target = inode.target
      copies.set(inode, copy)
      this.link(to, name, copy)
    }
  }

  #step(directory: Inode, name: string, followed: number): Inode | number {
    if (directory.kind !== 'directory') return -ENOTDIR
    if (name === '..') return directory.parent!
    const next = directory.entries.get(name)
    if (next === undefined) return -ENOENT
    if (next.kind !== 'link') return next
    const end = this.resolve(directory, next.target, true, followed + 1)
    if (typeof end === 'number') return end
    return end.inode ?? -ENOENT
  }
}
