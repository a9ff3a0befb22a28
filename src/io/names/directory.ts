import {
  optionNames,
  showAs,
  validateBoolean,
  validateOptions,
  wrongType,
} from '../../base/index.ts'
import {
  Deadline,
  executor,
  refusalOf,
  validateWaitOptions,
  type WaitOptions,
} from '../../executor/index.ts'
import type { Descriptor } from '../requests/descriptor.ts'
import { Statx, Sync } from '../requests/file-operations.ts'
import { type FilePath, toPath } from '../values/path.ts'
import { decodeStatus, type FileStatus } from '../values/status.ts'
import { DirectoryEntries } from './directory-entries.ts'
import { openDirectory } from './directory-reader.ts'
import { type MakeDirectoryOptions, Names, type RenameOptions, type StatOptions } from './names.ts'

/** How a directory is opened. */
export interface DirectoryOpenOptions extends WaitOptions {
  /** Where a relative path begins. */
  readonly directory?: Directory | undefined
}

/** How a directory is made and opened. */
export interface DirectoryCreateOptions extends MakeDirectoryOptions, DirectoryOpenOptions {
  /** Fails with `EEXIST` if there is one already, which else is opened. */
  readonly createNew?: boolean | undefined
}

/** Where else the second name of two begins. */
export interface ToDirectoryOptions {
  /** Where the second name begins; this directory if not given. */
  readonly to?: Directory | undefined
}

const OPEN_NAMES = optionNames<DirectoryOpenOptions>({
  directory: true,
  signal: true,
  timeoutMs: true,
})
const CREATE_NAMES = optionNames<DirectoryCreateOptions>({
  directory: true,
  createNew: true,
  recursive: true,
  durable: true,
  mode: true,
  signal: true,
  timeoutMs: true,
})

/**
 * An open directory: names in it, whatever it is called by now.
 *
 * Names are relative paths, and begin at the directory that was opened, also after it was renamed. Files in it are opened
 * by the option `directory` of `DirectFile.open()` and `BufferedFile.open()`. A relative path with `..`, or through a symbolic
 * link, may lead out of it: it is no cage for names that strangers have chosen.
 *
 * Every operation goes through the ring, but for listing and reading links, for which rings have no opcode: these are done by
 * other threads. What changes names tells the truth when it is cancelled: too late it resolves. Names survive
 * a loss of power only once {@link sync} has resolved.
 *
 * Belongs to the executor that opened it. Linux 5.19.
 *
 * Source: glommio's `Directory`.
 *
 * @example Make a directory, fill it and list it
 * ```ts run
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { BufferedFile, Directory, removeTree } from 'percore/io'
 *
 * const path = join(tmpdir(), `percore-directory-${process.pid}`)
 * await using directory = await Directory.create(join(path, 'a'), { recursive: true })
 * await using file = await BufferedFile.create('one', { directory })
 * await directory.makeDirectory('two')
 * await directory.rename('one', 'three')
 * await directory.sync()
 * for await (const { name, kind } of directory.list()) console.log(name, kind) // three file, two directory
 * await removeTree(path)
 * ```
 */
export class Directory implements AsyncDisposable {
  static {
    showAs(Directory, (directory) => {
      return `Directory '${directory.path}' ${directory.isClosed ? 'closed' : 'open'}`
    })
  }

  readonly #descriptor: Descriptor
  readonly #names: Names

  /** @internal */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor
    this.#names = new Names(descriptor.executor, descriptor)
  }

  /**
   * Opens a directory.
   *
   * @throws {KernelError} as `open(2)`: `ENOENT`, `ENOTDIR`, `EACCES`, `EMFILE` …
   */
  static async open(path: FilePath, options: DirectoryOpenOptions = {}): Promise<Directory> {
    const action = 'open a directory'
    toPath(action, 'path', path)
    validateOptions(action, options, OPEN_NAMES)
    const { directory, signal, timeoutMs } = options
    const names = namesFor(action, directory)
    if (names instanceof Promise) return names
    const name = names.name(action, 'path', path)
    return new Directory(await openDirectory(names.executor, name, true, { signal, timeoutMs }))
  }

  /**
   * Makes a directory, unless it is there, and opens it.
   *
   * @throws {KernelError} `EEXIST` with the option `createNew`; `ENOTDIR` or `EEXIST` if something else has the name;
   * else as `mkdir(2)` and `open(2)`.
   */
  static async create(path: FilePath, options: DirectoryCreateOptions = {}): Promise<Directory> {
    const action = 'make a directory'
    toPath(action, 'path', path)
    validateOptions(action, options, CREATE_NAMES)
    const { directory, createNew = false, signal, timeoutMs, ...how } = options
    validateBoolean(action, 'createNew', createNew)
    const names = namesFor(action, directory)
    if (names instanceof Promise) return names
    const name = names.name(action, 'path', path)
    const home = names.executor
    const steps = new Deadline(home, action, { signal, timeoutMs })
    return names.within(async () => {
      await names.make(name, { ...how, takesExisting: !createNew }, steps)
      return new Directory(await openDirectory(home, name, true, steps.next()))
    })
  }

  /** The absolute path it was opened by. */
  get path(): string {
    return this.#descriptor.path
  }

  /** The descriptor's number, or -1 once closed. */
  get fd(): number {
    return this.#descriptor.fd
  }

  /** Whether {@link close} has been called. */
  get isClosed(): boolean {
    return this.#descriptor.isClosed
  }

  /**
   * The names in it, in no order, but for `.` and `..`. Some hundreds are in memory at a time. What is created or removed
   * meanwhile may be among them or not; all else is, once.
   *
   * It begins with the first `next()`, and has a descriptor of its own until it is over, or the loop over it is left. The
   * options bound each wait for more names.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} as `getdents64(2)`.
   */
  list(options?: WaitOptions): DirectoryEntries {
    const action = 'list a directory'
    if (options !== undefined) validateWaitOptions(action, options)
    this.#descriptor.assertOpen(action)
    return new DirectoryEntries(this.#descriptor, options)
  }

  /**
   * Makes the names in it survive a loss of power: what was created, renamed or removed before. The contents of files are
   * theirs to sync.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} `EIO`, `ENOSPC`, `EDQUOT`.
   */
  async sync(options?: WaitOptions): Promise<void> {
    const action = 'sync a directory'
    const refusal = this.#descriptor.refusal(action)
    if (refusal !== null) return refusal
    return new Sync(this.#descriptor, false).start(options, action)
  }

  /** What the file system says about it, or about a name in it. @throws {KernelError} as `statx(2)`. */
  async stat(name?: FilePath, options?: StatOptions): Promise<FileStatus> {
    if (name !== undefined) return this.#names.stat(name, options)
    const refusal = this.#descriptor.refusal('ask about a directory')
    if (refusal !== null) return refusal
    return new Statx(this.#descriptor, decodeStatus).start(options, 'ask about a directory')
  }

  /** Makes a directory in it. @throws {KernelError} as `mkdir(2)`: `EEXIST`, `ENOENT`, `ENOSPC` … */
  makeDirectory(name: FilePath, options?: MakeDirectoryOptions): Promise<void> {
    return this.#names.makeDirectory(name, options)
  }

  /**
   * Renames a file or directory in it, replacing what has the new name unless that is a directory with
   * something in it.
   *
   * @throws {KernelError} as `rename(2)`: `ENOENT`, `EEXIST`, `EISDIR`, `ENOTEMPTY`, `EXDEV` …
   */
  async rename(
    from: FilePath,
    to: FilePath,
    options: RenameOptions & ToDirectoryOptions = {},
  ): Promise<void> {
    const { target, rest } = this.#targetOf('rename a file', options)
    return this.#names.rename(from, to, rest, target)
  }

  /** Removes a name in it; not that of a directory. @throws {KernelError} as `unlink(2)`: `ENOENT`, `EISDIR` … */
  remove(name: FilePath, options?: WaitOptions): Promise<void> {
    return this.#names.remove(name, options)
  }

  /** Removes an empty directory in it. @throws {KernelError} as `rmdir(2)`: `ENOENT`, `ENOTEMPTY`, `ENOTDIR` … */
  removeDirectory(name: FilePath, options?: WaitOptions): Promise<void> {
    return this.#names.removeDirectory(name, options)
  }

  /** As {@link removeTree}, of a name in it. */
  removeTree(name: FilePath, options?: WaitOptions): Promise<void> {
    return this.#names.removeTree(name, options)
  }

  /** Gives a file in it another name. @throws {KernelError} as `link(2)`: `ENOENT`, `EEXIST`, `EPERM`, `EXDEV` … */
  async link(
    existing: FilePath,
    name: FilePath,
    options: WaitOptions & ToDirectoryOptions = {},
  ): Promise<void> {
    const { target, rest } = this.#targetOf('link a file', options)
    return this.#names.link(existing, name, rest, target)
  }

  /**
   * Makes a symbolic link in it. A `target` that is relative begins at the directory that the link is in.
   *
   * @throws {KernelError} as `symlink(2)`: `EEXIST`, `ENOENT` …
   */
  symbolicLink(target: string, name: FilePath, options?: WaitOptions): Promise<void> {
    return this.#names.symbolicLink(target, name, options)
  }

  /** Where a symbolic link in it leads. @throws {KernelError} as `readlink(2)`: `EINVAL` for what is none. */
  readLink(name: FilePath, options?: WaitOptions): Promise<string> {
    return this.#names.readLink(name, options)
  }

  /** Closes it once the operations under way have ended; new ones are refused at once. Again is nothing. */
  close(): Promise<void> {
    return this.#descriptor.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#descriptor.close()
  }

  /** @internal */
  static descriptorOf(directory: Directory): Descriptor {
    return directory.#descriptor
  }

  #targetOf<T extends ToDirectoryOptions>(
    action: string,
    options: T,
  ): { readonly target: Names; readonly rest: Omit<T, 'to'> } {
    validateObject(action, options)
    const { to, ...rest } = options
    if (to === undefined) return { target: this.#names, rest }
    descriptorOf(action, to, 'to')
    return { target: to.#names, rest }
  }
}

/** The names that a path of `action` begins among, in a directory or where the process is; else what refuses it. */
export function namesFor(action: string, directory: Directory | undefined): Names | Promise<never> {
  const base = directory === undefined ? null : descriptorOf(action, directory)
  const refusal = base === null ? refusalOf(action) : base.refusal(action)
  return refusal ?? new Names(executor(), base)
}

/** @throws {TypeError} unless it is a directory. */
export function descriptorOf(action: string, value: unknown, name = 'directory'): Descriptor {
  if (!(value instanceof Directory)) throw wrongType(action, name, 'a Directory', value)
  return Directory.descriptorOf(value)
}

function validateObject(action: string, options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw wrongType(action, 'options', 'an object', options)
  }
}
