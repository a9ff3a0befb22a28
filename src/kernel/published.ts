/** The directory of another process, read from the file that it is published in. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { assert, RuntimeError } from '../base/index.ts'
import { loadAddon } from './addon.ts'
import {
  createSlot,
  DIRECTORY_MAGIC,
  DIRECTORY_VERSION,
  type Directory,
  type DirectorySlot,
  HEADER_HIDDEN_COUNT,
  HEADER_MAGIC,
  HEADER_PID,
  HEADER_PID_NAMESPACE,
  HEADER_START_TICKS,
  HEADER_USED_COUNT,
  HEADER_VERSION,
  SLOT_BYTES,
  SLOT_COUNT,
} from './directory.ts'

/** Where processes publish their directories. */
export const PUBLISHED_FOLDER = '/dev/shm'

// ABI: names are those of native/publish.c.
const NAME = /^percore-\d+-\d+-\d+$/
const FILE_BYTES = SLOT_COUNT * SLOT_BYTES
/** Field 22 of `/proc/<pid>/stat`, counted from the third on. */
const START_FIELD = 22 - 3

/** The paths of all directories that are published in a folder, whoever's they are, also of processes that were killed. */
export function listPublished(folder: string = PUBLISHED_FOLDER): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => NAME.test(name))
      .map((name) => join(folder, name))
  } catch {
    // There is no such folder, so nobody has published anything.
    return []
  }
}

/** Removes what processes of this user have left there as they were killed; where that can't be done it stays. */
export function clearPublished(folder: string = PUBLISHED_FOLDER): void {
  try {
    loadAddon().directoryClear(folder)
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error
  }
}

/**
 * The directory of another process, as of the last {@link refresh}.
 *
 * It is read rather than mapped: reading takes no room where the process has none, and a file that is cut off ends
 * nobody.
 */
export class PublishedDirectory implements Pick<Directory, 'usedCount' | 'slot'> {
  readonly path: string
  /** In its own namespace of numbers. */
  readonly pid: number
  /** Whose it is: a user's number. */
  readonly uid: number
  /** Whether its number is of another namespace than ours, as in a container. */
  readonly isForeign: boolean
  readonly #startTicks: number
  readonly #fd: number
  readonly #slots: DirectorySlot[] = []

  /**
   * @throws {Error} as `open(2)` fails: `ENOENT` where it has ended, `EACCES` where it is another user's.
   * @throws {RuntimeError} `ERR_UNSUPPORTED` where it is of another version of percore, or no directory at all.
   */
  constructor(path: string) {
    this.path = path
    // Whoever may write to the folder may put anything there, a pipe that nobody writes to as well.
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
    this.#fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    try {
      const stats = fstatSync(this.#fd)
      this.uid = stats.uid
      const isOne = stats.isFile() && stats.size === FILE_BYTES
      if (isOne) this.#read(0)
      const { words, doubles } = this.slot(0)
      if (!isOne || words[HEADER_MAGIC] !== DIRECTORY_MAGIC) {
        throw unsupported(path, 'it must be the directory of a process: it is not')
      }
      const version = words[HEADER_VERSION]
      if (version !== DIRECTORY_VERSION) {
        const wanted = `its layout must be ${DIRECTORY_VERSION}: it is ${version}; use the percore that the process has`
        throw unsupported(path, wanted)
      }
      this.pid = words[HEADER_PID]!
      this.#startTicks = doubles[HEADER_START_TICKS]!
      this.isForeign = doubles[HEADER_PID_NAMESPACE] !== ownNamespace()
    } catch (error) {
      closeSync(this.#fd)
      throw error
    }
  }

  get usedCount(): number {
    // It is another process's: a wrong number must not take us beyond the file.
    return Math.max(1, Math.min(SLOT_COUNT, this.slot(0).words[HEADER_USED_COUNT]!))
  }

  /** How many slots are in memory that only the process itself sees. */
  get hiddenCount(): number {
    return this.slot(0).words[HEADER_HIDDEN_COUNT]!
  }

  /** Whether the process has ended, as far as can be told: that of one in another namespace by its file alone. */
  get hasEnded(): boolean {
    if (fstatSync(this.#fd).nlink === 0) return true
    return !this.isForeign && readStartTicks(this.pid) !== this.#startTicks
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

  /** Reads all that is in use anew. */
  refresh(): void {
    this.#read(0)
    const { usedCount } = this
    for (let index = 1; index < usedCount; index++) this.#read(index)
  }

  /** Reads one slot anew. */
  refreshSlot(index: number): void {
    this.#read(index)
  }

  close(): void {
    closeSync(this.#fd)
  }

  #read(index: number): void {
    const bytes = new Uint8Array(this.slot(index).memory)
    readSync(this.#fd, bytes, 0, SLOT_BYTES, index * SLOT_BYTES)
  }
}

/** When a process began, in the ticks of `/proc`; null if there is none. */
function readStartTicks(pid: number): number | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Its name is in parentheses, and may have anything in it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    // A zombie has ended, though nobody has taken note yet.
    return fields[0] === 'Z' ? null : Number(fields[START_FIELD])
  } catch {
    return null
  }
}

function ownNamespace(): number {
  try {
    return statSync('/proc/self/ns/pid').ino
  } catch {
    return 0
  }
}

function unsupported(path: string, why: string): RuntimeError {
  return new RuntimeError('ERR_UNSUPPORTED', `Cannot read ${path} as ${why}`)
}
