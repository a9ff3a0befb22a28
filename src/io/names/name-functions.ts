import { executor, type WaitOptions } from '../../executor/index.ts'
import type { FilePath } from '../values/path.ts'
import type { FileStatus } from '../values/status.ts'
import { type MakeDirectoryOptions, Names, type RenameOptions, type StatOptions } from './names.ts'

/** Names that begin wherever the process is. */
function names(): Names {
  return new Names(executor(), null)
}

/**
 * Renames a file or directory, replacing what has the new name unless that is a directory with something in it.
 *
 * Atomic, but it survives a loss of power only once the directories of both names were synced: see {@link Directory.sync}.
 *
 * @throws {KernelError} as `rename(2)`: `ENOENT`, `EEXIST`, `EISDIR`, `ENOTEMPTY`, `EXDEV` …
 */
export async function rename(from: FilePath, to: FilePath, options?: RenameOptions): Promise<void> {
  return names().rename(from, to, options)
}

/** Removes a name; not that of a directory. @throws {KernelError} as `unlink(2)`: `ENOENT`, `EISDIR`, `EACCES` … */
export async function remove(path: FilePath, options?: WaitOptions): Promise<void> {
  return names().remove(path, options)
}

/** Removes an empty directory. @throws {KernelError} as `rmdir(2)`: `ENOENT`, `ENOTEMPTY`, `ENOTDIR` … */
export async function removeDirectory(path: FilePath, options?: WaitOptions): Promise<void> {
  return names().removeDirectory(path, options)
}

/**
 * Removes a file, or a directory with all that is in it. Symbolic links are removed, not followed.
 *
 * Where it fails or is cancelled a part is gone. Up to 32 removals at a time, and a descriptor for each level of
 * directories.
 *
 * @throws {KernelError} `ENOENT` if there is none; else as `unlink(2)`, `rmdir(2)`, `open(2)` and `getdents64(2)`.
 */
export async function removeTree(path: FilePath, options?: WaitOptions): Promise<void> {
  return names().removeTree(path, options)
}

/** Makes a directory. @throws {KernelError} as `mkdir(2)`: `EEXIST`, `ENOENT`, `ENOSPC`, `EACCES` … */
export async function makeDirectory(path: FilePath, options?: MakeDirectoryOptions): Promise<void> {
  return names().makeDirectory(path, options)
}

/** Gives a file another name. @throws {KernelError} as `link(2)`: `ENOENT`, `EEXIST`, `EPERM`, `EXDEV` … */
export async function link(
  existing: FilePath,
  path: FilePath,
  options?: WaitOptions,
): Promise<void> {
  return names().link(existing, path, options)
}

/**
 * Makes a symbolic link. A `target` that is relative begins at the directory that the link is in.
 *
 * @throws {KernelError} as `symlink(2)`: `EEXIST`, `ENOENT` …
 */
export async function symbolicLink(
  target: string,
  path: FilePath,
  options?: WaitOptions,
): Promise<void> {
  return names().symbolicLink(target, path, options)
}

/** Where a symbolic link leads, as it says. @throws {KernelError} as `readlink(2)`: `EINVAL` for what is none. */
export async function readLink(path: FilePath, options?: WaitOptions): Promise<string> {
  return names().readLink(path, options)
}

/**
 * What the file system says about a file, by its name.
 *
 * @throws {KernelError} as `statx(2)`: `ENOENT`, `EACCES`, `ELOOP` …
 *
 * @example How large a file is
 * ```ts run
 * import { stat } from 'percore/io'
 *
 * const { kind, sizeBytes } = await stat('/etc/passwd')
 * console.log(kind, sizeBytes > 0) // file true
 * ```
 */
export async function stat(path: FilePath, options?: StatOptions): Promise<FileStatus> {
  return names().stat(path, options)
}
