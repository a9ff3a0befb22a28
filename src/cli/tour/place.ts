import { randomBytes } from 'node:crypto'
import {
  constants as access,
  accessSync,
  closeSync,
  existsSync,
  openSync,
  rmSync,
  statSync,
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { formatBytes } from '../../base/index.ts'
import { findMount, freeBytes, isInMemory, type Mount, refusalOfDirect } from '../doctor/mount.ts'

/** Where the file of the tour is put. */
export interface Place {
  readonly path: string
  readonly mount: Mount
  /** What the reader must know of it. */
  readonly notes: readonly string[]
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/** Nowhere to write: one sentence, for the user. */
export class PlaceError extends Error {}

/**
 * Chooses a folder: the one asked for, else the first of the usual ones that is on a disk and takes
 * direct I/O, else the first that can be written to.
 *
 * @throws {PlaceError} where none can be, or has room.
 */
export function choosePlace(asked: string | undefined, sizeBytes: number): Place {
  const folders =
    asked === undefined ? [join(process.cwd(), 'build'), tmpdir(), '/var/tmp'] : [resolve(asked)]
  const usable = folders.filter((folder) => isWritable(folder) && hasRoom(folder, sizeBytes))
  const isGood = (folder: string): boolean =>
    refusalOfDirect(folder) === null && !isInMemory(findMount(folder))
  const chosen = usable.find(isGood) ?? usable[0]
  if (chosen === undefined) throw new PlaceError(refuse(folders, sizeBytes))
  const mount = findMount(chosen)
  // Not the process's number alone, which two containers on one volume may share.
  const name = `percore-tour-${process.pid}-${randomBytes(4).toString('hex')}`
  return { path: join(chosen, name), mount, notes: noteOn(chosen, mount) }
}

/**
 * Creates the file, and removes it at the end, however that comes; call the result to remove it now.
 *
 * Created here rather than by the code that writes it, so that it can't appear after it was removed.
 *
 * @throws {PlaceError}
 */
export function createFile({ path }: Place): () => void {
  const remove = (): void => rmSync(path, { force: true })
  const interrupted = (signal: NodeJS.Signals): void => {
    process.exit(128 + constants.signals[signal])
  }
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    throw new PlaceError(`Cannot make the file of the tour: ${(error as Error).message}`)
  }
  process.on('exit', remove)
  for (const signal of SIGNALS) process.on(signal, interrupted)
  return () => {
    remove()
    process.off('exit', remove)
    for (const signal of SIGNALS) process.off(signal, interrupted)
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, access.W_OK | access.X_OK)
    return statSync(folder).isDirectory()
  } catch {
    return false
  }
}

function hasRoom(folder: string, sizeBytes: number): boolean {
  // What else is written to the same file system meanwhile needs room, too.
  return freeBytes(folder) > 2 * sizeBytes
}

function refuse(folders: readonly string[], sizeBytes: number): string {
  const list = folders.filter((folder) => existsSync(folder)).join(', ') || folders.join(', ')
  return `Cannot write the file of the tour as a folder must be writable and have ${formatBytes(2 * sizeBytes)} free: looked at ${list}; name another with --dir`
}

function noteOn(folder: string, mount: Mount): readonly string[] {
  if (isInMemory(mount)) {
    return [
      `${mount.folder} is ${mount.type}, which is memory: there is no disk to wait for. Name a folder on a disk with --dir.`,
    ]
  }
  const refusal = refusalOfDirect(folder)
  if (refusal === null) return []
  return [
    `${mount.folder} is ${mount.type}, which refuses O_DIRECT (${refusal}), so reads come from the page cache. Name a folder on ext4, xfs or btrfs with --dir, in a container one on a volume.`,
  ]
}
