import {
  type OptionNames,
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'
import {
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DSYNC,
  O_EXCL,
  O_NOATIME,
  O_NOFOLLOW,
  O_RDONLY,
  O_RDWR,
  O_SYNC,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
} from '../kernel/index.ts'
import { type Directory, descriptorOf } from './names/directory.ts'
import type { Descriptor } from './requests/descriptor.ts'

/** How a file is opened: for reading only, unless `write` or `append` is true. */
export interface OpenOptions extends WaitOptions {
  /** True unless `write` or `append` is. */
  readonly read?: boolean | undefined
  readonly write?: boolean | undefined
  /** Every write goes to the end of the file, wherever that is then. Buffered files only. */
  readonly append?: boolean | undefined
  /** Creates the file if it does not exist. */
  readonly create?: boolean | undefined
  /** Creates the file, and fails with `EEXIST` if it exists. */
  readonly createNew?: boolean | undefined
  /** Empties the file. */
  readonly truncate?: boolean | undefined
  /** Permissions of a file that is created, before the process's mask; 0o666 if not given. */
  readonly mode?: number | undefined
  /** Makes a file without a name in the directory `path`; it is gone once closed. */
  readonly tmpfile?: boolean | undefined
  /** Refuses a symbolic link as the last part of the path, with `ELOOP`. */
  readonly noFollow?: boolean | undefined
  /** Every write is on the disk when it resolves, as if by `datasync()` (`'data'`) or `sync()` (`'all'`). */
  readonly writeThrough?: 'data' | 'all' | undefined
  /** Reading leaves the time of the last access as it is; only for the owner of the file. */
  readonly noAccessTime?: boolean | undefined
  /** Where a relative path begins, whatever that directory is called by now. */
  readonly directory?: Directory | undefined
}

/** The names of {@link OpenOptions}, for options with more of them. */
export const OPEN_OPTIONS = {
  read: true,
  write: true,
  append: true,
  create: true,
  createNew: true,
  truncate: true,
  tmpfile: true,
  noFollow: true,
  writeThrough: true,
  noAccessTime: true,
  directory: true,
  mode: true,
  signal: true,
  timeoutMs: true,
} as const
const OPEN_NAMES = optionNames<OpenOptions>(OPEN_OPTIONS)

/** What `open` is asked for, checked. */
export interface OpenRequest {
  /** `O_…`, without O_DIRECT. */
  readonly flags: number
  readonly mode: number
  readonly isReadable: boolean
  readonly isWritable: boolean
  readonly isAppending: boolean
  readonly isNew: boolean
  readonly isTemporary: boolean
  /** The open directory that the path begins at; null if that is not given. */
  readonly base: Descriptor | null
  readonly wait: WaitOptions | undefined
}

const FLAGS = [
  'read',
  'write',
  'append',
  'create',
  'createNew',
  'truncate',
  'tmpfile',
  'noFollow',
  'noAccessTime',
] as const
const MODE_DEFAULT = 0o666
const ACTION = 'open a file'

/**
 * Checks options and turns them into `open(2)`'s flags. Pure.
 *
 * @throws {TypeError} for a wrong type or an unknown option; {@link RangeError} for a wrong combination.
 */
export function checkOpenOptions(
  options: OpenOptions,
  names: OptionNames = OPEN_NAMES,
): OpenRequest {
  validateOptions(ACTION, options, names)
  for (const name of FLAGS) {
    const value = options[name]
    if (value !== undefined && typeof value !== 'boolean') {
      throw wrongType(ACTION, name, 'a boolean', value)
    }
  }
  const { write = false, append = false, signal, timeoutMs } = options
  const read = options.read ?? !(write || append)
  const mode = options.mode ?? MODE_DEFAULT
  validateInteger(ACTION, 'mode', mode, { min: 0, max: 0o7777 })
  checkCombination(options, { read, write, append })
  const access = accessFlags(read, write || append)
  return {
    flags: access | creationFlags(options) | habitFlags(options) | O_CLOEXEC,
    mode,
    isReadable: read,
    isWritable: write || append,
    isAppending: append,
    isNew: options.createNew === true,
    isTemporary: options.tmpfile === true,
    base: options.directory === undefined ? null : descriptorOf(ACTION, options.directory),
    wait: signal === undefined && timeoutMs === undefined ? undefined : { signal, timeoutMs },
  }
}

interface Access {
  readonly read: boolean
  readonly write: boolean
  readonly append: boolean
}

function checkCombination(options: OpenOptions, { read, write, append }: Access): void {
  const { create, createNew, truncate, tmpfile } = options
  const refuse = (requirement: string): never => {
    throw new RangeError(`Cannot ${ACTION} as ${requirement}`)
  }
  if (!read && !write && !append) refuse('one of read, write and append must be true: none is')
  if (truncate && !write) refuse('truncate requires write: it is false')
  if (truncate && append) refuse('truncate and append exclude each other: both are true')
  if ((create || createNew) && !write && !append) {
    refuse('create and createNew require write or append: both are false')
  }
  if (tmpfile && !write) refuse('tmpfile requires write: it is false')
  if (tmpfile && (create || createNew || truncate || append)) {
    refuse('tmpfile excludes append, create, createNew and truncate: one of them is true')
  }
}

function accessFlags(read: boolean, write: boolean): number {
  if (!write) return O_RDONLY
  return read ? O_RDWR : O_WRONLY
}

function creationFlags(options: OpenOptions): number {
  let flags = 0
  if (options.append) flags |= O_APPEND
  if (options.create || options.createNew) flags |= O_CREAT
  if (options.createNew) flags |= O_EXCL
  if (options.truncate) flags |= O_TRUNC
  if (options.tmpfile) flags |= O_TMPFILE
  return flags
}

function habitFlags({ noFollow, writeThrough, noAccessTime }: OpenOptions): number {
  let flags = 0
  if (noFollow) flags |= O_NOFOLLOW
  if (noAccessTime) flags |= O_NOATIME
  if (writeThrough === 'data') flags |= O_DSYNC
  else if (writeThrough === 'all') flags |= O_SYNC
  else if (writeThrough !== undefined) {
    throw wrongType(ACTION, 'writeThrough', "'data' or 'all'", writeThrough)
  }
  return flags
}

/** @throws {RuntimeError} `ERR_UNSUPPORTED`: direct I/O cannot append, as ends are seldom aligned. */
export function refuseAppend(request: OpenRequest): void {
  if (!request.isAppending) return
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${ACTION} as a direct file can not append: use a BufferedFile, or write at its size`,
  )
}
