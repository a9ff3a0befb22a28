import {
  optionNames,
  validateBoolean,
  validateInteger,
  validateOptions,
  validateString,
} from '../../base/index.ts'
import { Deadline, type Executor, refusalOf, type WaitOptions } from '../../executor/index.ts'
import {
  AT_SYMLINK_NOFOLLOW,
  RENAME_NOREPLACE,
  STATX_BASIC_STATS,
  STATX_BTIME,
} from '../../kernel/index.ts'
import type { Descriptor } from '../requests/descriptor.ts'
import { type FilePath, toPath } from '../values/path.ts'
import { decodeStatus, type FileStatus } from '../values/status.ts'
import { LookUp } from './look-up.ts'
import { makeDirectories, makeDirectory } from './make-directories.ts'
import { Name } from './name.ts'
import { LINK, RENAME, SymbolicLink, TwoNames, Unlink } from './name-operations.ts'
import { readLink } from './read-link.ts'
import { removeTree } from './remove-tree.ts'

/** How a file is renamed. */
export interface RenameOptions extends WaitOptions {
  /** False fails with `EEXIST` where the new name is taken; true if not given. */
  readonly replace?: boolean | undefined
}

/** How a directory is made. */
export interface MakeDirectoryOptions extends WaitOptions {
  /** Makes those above it as well, and takes one that is there already for good. */
  readonly recursive?: boolean | undefined
  /** Permissions, before the process's mask; 0o777 if not given. */
  readonly mode?: number | undefined
  /** Whether the names survive a loss of power once it resolves: the directories that hold them are synced. */
  readonly durable?: boolean | undefined
}

/** How a name is asked about. */
export interface StatOptions extends WaitOptions {
  /** False asks about a symbolic link itself; true if not given. */
  readonly followLinks?: boolean | undefined
}

const RENAME_NAMES = optionNames<RenameOptions>({ replace: true, signal: true, timeoutMs: true })
const MAKE_NAMES = optionNames<MakeDirectoryOptions>({
  recursive: true,
  mode: true,
  durable: true,
  signal: true,
  timeoutMs: true,
})
const STAT_NAMES = optionNames<StatOptions>({ followLinks: true, signal: true, timeoutMs: true })
const STATUS_MASK = STATX_BASIC_STATS | STATX_BTIME
const MODE_DEFAULT = 0o777

/** What is done to names that begin at one place: an open directory, or wherever the process is. */
export class Names {
  readonly executor: Executor
  readonly #base: Descriptor | null

  constructor(executor: Executor, base: Descriptor | null) {
    this.executor = executor
    this.#base = base
  }

  async rename(
    from: FilePath,
    to: FilePath,
    options: RenameOptions = {},
    target: Names = this,
  ): Promise<void> {
    const action = 'rename a file'
    const [old, fresh] = [this.name(action, 'from', from), target.name(action, 'to', to)]
    validateOptions(action, options, RENAME_NAMES)
    const { replace = true } = options
    validateBoolean(action, 'replace', replace)
    const refusal = this.#refusal(action) ?? target.#refusal(action)
    if (refusal !== null) return refusal
    const flags = replace ? 0 : RENAME_NOREPLACE
    return new TwoNames(RENAME, this.executor, old, fresh, flags).start(waitOf(options))
  }

  async remove(path: FilePath, options?: WaitOptions): Promise<void> {
    return this.#unlink('remove a file', path, options, false)
  }

  async removeDirectory(path: FilePath, options?: WaitOptions): Promise<void> {
    return this.#unlink('remove a directory', path, options, true)
  }

  async #unlink(
    action: string,
    path: FilePath,
    options: WaitOptions | undefined,
    isDirectory: boolean,
  ): Promise<void> {
    const name = this.name(action, 'path', path)
    const refusal = this.#refusal(action)
    if (refusal !== null) return refusal
    return new Unlink(this.executor, name, isDirectory).start(options)
  }

  async removeTree(path: FilePath, options?: WaitOptions): Promise<void> {
    const action = 'remove a directory'
    const name = this.name(action, 'path', path)
    const steps = new Deadline(this.executor, action, options)
    const refusal = this.#refusal(action)
    if (refusal !== null) return refusal
    return this.within(() => removeTree(this.executor, name, steps))
  }

  async link(
    existing: FilePath,
    path: FilePath,
    options?: WaitOptions,
    target: Names = this,
  ): Promise<void> {
    const action = 'link a file'
    const from = this.name(action, 'existing', existing)
    const to = target.name(action, 'path', path)
    const refusal = this.#refusal(action) ?? target.#refusal(action)
    if (refusal !== null) return refusal
    return new TwoNames(LINK, this.executor, from, to).start(options)
  }

  async symbolicLink(leadsTo: string, path: FilePath, options?: WaitOptions): Promise<void> {
    const action = 'make a symbolic link'
    validateString(action, 'target', leadsTo)
    const name = this.name(action, 'path', path)
    const refusal = this.#refusal(action)
    if (refusal !== null) return refusal
    return new SymbolicLink(this.executor, leadsTo, name).start(options)
  }

  async readLink(path: FilePath, options?: WaitOptions): Promise<string> {
    const action = 'read a symbolic link'
    const name = this.name(action, 'path', path)
    const steps = new Deadline(this.executor, action, options)
    const refusal = this.#refusal(action)
    if (refusal !== null) return refusal
    return this.within(() => readLink(this.executor, name, steps))
  }

  async stat(path: FilePath, options: StatOptions = {}): Promise<FileStatus> {
    const action = 'ask about a file'
    const name = this.name(action, 'path', path)
    validateOptions(action, options, STAT_NAMES)
    const { followLinks = true } = options
    validateBoolean(action, 'followLinks', followLinks)
    const refusal = this.#refusal(action)
    if (refusal !== null) return refusal
    return lookUp(this.executor, name, followLinks).start(waitOf(options))
  }

  async makeDirectory(path: FilePath, options: MakeDirectoryOptions = {}): Promise<void> {
    const action = 'make a directory'
    const name = this.name(action, 'path', path)
    validateOptions(action, options, MAKE_NAMES)
    const { signal, timeoutMs, ...how } = options
    const steps = new Deadline(this.executor, action, { signal, timeoutMs })
    const refusal = this.#refusal(action)
    if (refusal !== null) return refusal
    const takesExisting = how.recursive ?? false
    return this.within(() => this.make(name, { ...how, takesExisting }, steps))
  }

  /** Makes a directory; one that is there is taken, or refused. */
  make(
    name: Name,
    how: Omit<MakeDirectoryOptions, keyof WaitOptions> & { readonly takesExisting: boolean },
    steps: Deadline,
  ): Promise<void> {
    const action = 'make a directory'
    const { recursive = false, durable = false, mode = MODE_DEFAULT, takesExisting } = how
    validateBoolean(action, 'recursive', recursive)
    validateBoolean(action, 'durable', durable)
    validateInteger(action, 'mode', mode, { min: 0, max: 0o7777 })
    const request = { executor: this.executor, mode, isDurable: durable, takesExisting, steps }
    return recursive ? makeDirectories(name, request) : makeDirectory(name, request)
  }

  /** Checks a path, and says where it begins. */
  name(action: string, argument: string, path: FilePath): Name {
    const text = toPath(action, argument, path)
    if (this.#base === null) return Name.fromHere(this.executor, text)
    return Name.within(this.#base, text, action)
  }

  #refusal(action: string): Promise<never> | null {
    return this.#base === null ? refusalOf(action) : this.#base.refusal(action)
  }

  /** Runs several steps, over which the directory stays open. */
  async within<T>(body: () => Promise<T>): Promise<T> {
    this.#base?.enter()
    try {
      return await body()
    } finally {
      this.#base?.leave()
    }
  }
}

function lookUp(executor: Executor, name: Name, followLinks: boolean): LookUp<FileStatus> {
  const flags = followLinks ? 0 : AT_SYMLINK_NOFOLLOW
  const request = { action: 'ask about a file', syscall: 'statx', flags, mask: STATUS_MASK }
  return new LookUp(executor, name, { ...request, decode: decodeStatus })
}

function waitOf({ signal, timeoutMs }: WaitOptions): WaitOptions | undefined {
  return signal === undefined && timeoutMs === undefined ? undefined : { signal, timeoutMs }
}
