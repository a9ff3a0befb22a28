import { POLLIN, POLLOUT } from '../kernel/index.ts'
import { Description } from './descriptors.ts'
import type { FileSystem } from './file-system.ts'
import type { Inode } from './inode.ts'

/** An open file or directory: what a descriptor of it refers to. */
export class OpenFile extends Description {
  override readonly label: string
  readonly inode: Inode
  /** Where reads and writes without an offset of their own go; in a directory, how many names were listed. */
  position = 0
  /** The names that are listed, as they were when that began. */
  names: readonly string[] = []
  readonly #files: FileSystem

  constructor(files: FileSystem, inode: Inode, flags: number, path: string) {
    super()
    this.#files = files
    this.inode = inode
    this.statusFlags = flags
    this.label = `${inode.kind} '${path}'`
    inode.openCount++
  }

  override readiness(): number {
    return POLLIN | POLLOUT
  }

  protected override dispose(): void {
    this.inode.openCount--
    this.inode.lockers.delete(this)
    this.#files.reclaim(this.inode)
  }
}
