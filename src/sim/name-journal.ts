import { assert, type Prng } from '../base/index.ts'
import type { Inode, NameChange, NameEdit } from './inode.ts'

/** Changes of a directory that the disk may lag behind; older ones are then written by themselves. */
const UNWRITTEN_MAX = 256

/**
 * Which names a disk has, and which only its page cache: what a crash leaves.
 *
 * Each change is atomic, and those of a directory, or of one file's names, reach the disk in their order; of
 * two directories either may be ahead. A sync of a directory writes its changes, and what they come
 * after; nothing else has to. Linux promises no more, though most file systems do more.
 */
export class NameJournal {
  readonly #unwritten = new Set<Inode>()
  #sequence = 0

  /** Takes down what was done to names. `subjects` are what has got or lost one. */
  record(edits: readonly NameEdit[], subjects: readonly Inode[]): void {
    const directories = edits.map(({ directory }) => directory)
    const chains = new Set<NameChange[]>()
    for (const directory of directories) chains.add(directory.entryChanges)
    for (const subject of subjects) {
      chains.add(subject.nameChanges)
      // One that has lost its name was empty: what emptied it goes first.
      if (subject.linkCount === 0 && subject.kind === 'directory') chains.add(subject.entryChanges)
    }
    const change = { sequence: this.#sequence++, edits, chains: [...chains] }
    for (const chain of chains) chain.push(change)
    for (const directory of directories) {
      this.#unwritten.add(directory)
      const { entryChanges } = directory
      if (entryChanges.length <= UNWRITTEN_MAX) continue
      while (entryChanges.length > UNWRITTEN_MAX / 2) this.#write(entryChanges[0]!)
    }
  }

  /** fsync(2) of a directory. */
  sync(directory: Inode): void {
    const { entryChanges } = directory
    while (entryChanges.length > 0) this.#write(entryChanges[0]!)
    this.#unwritten.delete(directory)
  }

  syncAll(): void {
    for (const directory of this.#unwritten) this.sync(directory)
  }

  /** The names that a crash leaves, by directory; where it says nothing, what is on the disk. */
  survivors(prng: Prng): Map<Inode, Map<string, Inode>> {
    const found = new Map<Inode, Map<string, Inode>>()
    for (const change of this.#choose(prng)) {
      for (const { directory, name, inode } of change.edits) {
        const entries = found.get(directory) ?? new Map(directory.writtenEntries)
        found.set(directory, entries)
        edit(entries, name, inode)
      }
    }
    return found
  }

  /** Of each directory the first so many changes, less those which come after one that is lost. */
  #choose(prng: Prng): NameChange[] {
    const left = new Map<NameChange[], number>()
    const changes = new Set<NameChange>()
    for (const { entryChanges } of this.#unwritten) {
      if (entryChanges.length > 0) left.set(entryChanges, prng.int(0, entryChanges.length))
      for (const change of entryChanges) changes.add(change)
    }
    const inOrder = [...changes].sort((a, b) => a.sequence - b.sequence)
    return inOrder.filter(({ chains }) => {
      const isKept = chains.every((chain) => (left.get(chain) ?? 1) > 0)
      for (const chain of chains) {
        const count = left.get(chain)
        if (!isKept) left.set(chain, 0)
        else if (count !== undefined) left.set(chain, count - 1)
      }
      return isKept
    })
  }

  #write(change: NameChange): void {
    for (const chain of change.chains) while (chain[0] !== change) this.#write(chain[0]!)
    for (const { directory, name, inode } of change.edits) {
      edit(directory.writtenEntries, name, inode)
    }
    for (const chain of change.chains) {
      assert(chain[0] === change, 'a change is written behind what it comes after')
      chain.shift()
    }
    for (const { directory } of change.edits) {
      if (directory.entryChanges.length === 0) this.#unwritten.delete(directory)
    }
  }
}

function edit(entries: Map<string, Inode>, name: string, inode: Inode | null): void {
  if (inode === null) entries.delete(name)
  else entries.set(name, inode)
}
