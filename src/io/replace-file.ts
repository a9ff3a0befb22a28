import { basename, dirname } from 'node:path/posix'
import {
  assert,
  isBytes,
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
  wrongBytes,
} from '../base/index.ts'
import { Deadline, type Executor, type WaitOptions } from '../executor/index.ts'
import {
  AT_SYMLINK_NOFOLLOW,
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  EPERM,
  kernelError,
  O_CREAT,
  O_EXCL,
  O_WRONLY,
  STATX_BASIC_STATS,
} from '../kernel/index.ts'
import { Lease } from '../memory/index.ts'
import { BufferedFile } from './buffered-file.ts'
import { type Directory, namesFor } from './names/directory.ts'
import { openDirectory } from './names/directory-reader.ts'
import { LookUp } from './names/look-up.ts'
import { joinPath, Name } from './names/name.ts'
import { RENAME, TwoNames, Unlink } from './names/name-operations.ts'
import { readLink } from './names/read-link.ts'
import { openFile } from './opened-file.ts'
import { checkOpenOptions } from './options.ts'
import { type AsideCall, callAside } from './requests/aside.ts'
import type { Descriptor } from './requests/descriptor.ts'
import { Sync } from './requests/file-operations.ts'
import { type FilePath, toPath } from './values/path.ts'
import { decodeStatus, type FileStatus } from './values/status.ts'

/** How a file is replaced. */
export interface ReplaceFileOptions extends WaitOptions {
  /** Permissions, whatever the process's mask; those of the file that is replaced if not given, or 0o666 less the mask. */
  readonly mode?: number | undefined
  /** Where a relative path begins. */
  readonly directory?: Directory | undefined
}

const OPTION_NAMES = optionNames<ReplaceFileOptions>({
  mode: true,
  directory: true,
  signal: true,
  timeoutMs: true,
})
const ACTION = 'replace a file'
const LINKS_MAX = 40
const NAME_CHARACTERS_MAX = 60
const ATTEMPTS_MAX = 100
// ABI: S_ISUID, S_ISGID, and all that chmod(2) takes.
const SET_USER_ID = 0o4000
const SET_GROUP_ID = 0o2000
const MODE_BITS = 0o7777

/**
 * Replaces the contents of a file, or creates it, so that whoever opens it and whatever a loss of power leaves has the old contents
 * or the new ones, whole; once it has resolved, the new ones.
 *
 * It writes a file with a name of its own beside it, `.<name>.<letters>.tmp`, syncs that, renames it, and syncs the directory. Where
 * it fails or is cancelled nothing has changed, and that file is removed; once the renaming has begun nothing cancels it any more. A process
 * that is killed may leave it behind. The new file has the permissions of the old, and its owner and group as far as the process may
 * give files away: without its owner it loses the set-user-ID bit, without its group the set-group-ID bit, unless `mode` has them.
 * It is another file for those who have the old one open, or another name of it. A symbolic link is followed, not replaced.
 *
 * The data must not change meanwhile. A string is written as UTF-8.
 *
 * @throws {RuntimeError} `ERR_UNSUPPORTED` where the path is a pipe, a socket or a device; {@link KernelError} as `open(2)`, `write(2)`,
 * `fsync(2)` and `rename(2)`: `ENOENT` without its directory, `EISDIR`, `ENOSPC`, `EIO`. Where syncing the directory fails
 * the file is replaced, but a loss of power may undo that.
 *
 * @example Save a state that is never half written
 * ```ts run
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { remove, replaceFile, stat } from 'percore/io'
 *
 * const path = join(tmpdir(), `percore-state-${process.pid}.json`)
 * await replaceFile(path, JSON.stringify({ step: 1 }))
 * await replaceFile(path, JSON.stringify({ step: 20 }))
 * console.log((await stat(path)).sizeBytes) // 11
 * await remove(path)
 * ```
 */
export async function replaceFile(
  path: FilePath,
  data: Uint8Array | Lease | string,
  options: ReplaceFileOptions = {},
): Promise<void> {
  toPath(ACTION, 'path', path)
  const bytes = bytesOf(data)
  validateOptions(ACTION, options, OPTION_NAMES)
  const { mode, directory, signal, timeoutMs } = options
  if (mode !== undefined) validateInteger(ACTION, 'mode', mode, { min: 0, max: 0o7777 })
  const names = namesFor(ACTION, directory)
  if (names instanceof Promise) return names
  const name = names.name(ACTION, 'path', path)
  const home = names.executor
  const steps = new Deadline(home, ACTION, { signal, timeoutMs })
  return names.within(async () => {
    const target = await resolveLinks(home, name, steps)
    await replaceTarget(home, target, bytes, mode, steps)
  })
}

/** What is to be replaced. */
interface Target {
  readonly name: Name
  /** Null if it is to be new. */
  readonly status: FileStatus | null
}

async function resolveLinks(home: Executor, name: Name, steps: Deadline): Promise<Target> {
  let next = name
  for (let count = 0; count <= LINKS_MAX; count++) {
    const status = await statusOf(home, next, steps)
    if (status?.kind !== 'symbolicLink') {
      refuseKind(next, status)
      return { name: next, status }
    }
    const leadsTo = await readLink(home, next, steps)
    // Not normalised: `..` in a linked directory is the kernel's to follow.
    const path = leadsTo.startsWith('/') ? leadsTo : joinPath(dirname(textOf(next)), leadsTo)
    next = new Name(leadsTo.startsWith('/') ? null : next.base, path)
  }
  throw kernelError(-ELOOP, { syscall: 'open', path: name.fullPath })
}

async function statusOf(home: Executor, name: Name, steps: Deadline): Promise<FileStatus | null> {
  const request = {
    action: ACTION,
    syscall: 'open',
    flags: AT_SYMLINK_NOFOLLOW,
    mask: STATX_BASIC_STATS,
    decode: decodeStatus,
  }
  try {
    return await new LookUp(home, name, request).start(steps.next())
  } catch (error) {
    if ((error as { errno?: number }).errno !== -ENOENT) throw error
    return null
  }
}

function refuseKind({ fullPath }: Name, status: FileStatus | null): void {
  if (status === null || status.kind === 'file') return
  if (status.kind === 'directory') throw kernelError(-EISDIR, { syscall: 'open', path: fullPath })
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${ACTION} as it must be a regular file: '${fullPath}' is of the kind ${status.kind}`,
  )
}

async function replaceTarget(
  home: Executor,
  target: Target,
  data: Uint8Array | Lease,
  mode: number | undefined,
  steps: Deadline,
): Promise<void> {
  const text = textOf(target.name)
  const above = new Name(target.name.base, dirname(text))
  const directory = await openDirectory(home, above, true, steps.next())
  try {
    const replacement = new Replacement(home, directory, basename(text), steps)
    await replacement.run(data, target.status, mode)
  } finally {
    await directory.close()
  }
}

/** One file in the making, in the directory of that which it replaces. */
class Replacement {
  readonly #home: Executor
  readonly #directory: Descriptor
  readonly #name: string
  readonly #steps: Deadline

  constructor(home: Executor, directory: Descriptor, name: string, steps: Deadline) {
    this.#home = home
    this.#directory = directory
    this.#name = name
    this.#steps = steps
  }

  async run(
    data: Uint8Array | Lease,
    old: FileStatus | null,
    mode: number | undefined,
  ): Promise<void> {
    const { file, name } = await this.#create(old === null && mode === undefined ? 0o666 : 0o600)
    const temporary = Name.listed(this.#directory, name)
    try {
      try {
        await this.#fill(file, data, old, mode)
      } finally {
        // What the kernel could not write it may tell only now.
        await file.close()
      }
      const final = Name.listed(this.#directory, this.#name)
      await new TwoNames(RENAME, this.#home, temporary, final).startShielded()
    } catch (error) {
      await this.#discard(temporary)
      throw error
    }
    await new Sync(this.#directory, false).startShielded()
  }

  async #discard(temporary: Name): Promise<void> {
    try {
      await new Unlink(this.#home, temporary).startShielded()
    } catch {
      // Why the file was not replaced is the error to report.
    }
  }

  async #create(mode: number): Promise<{ readonly file: BufferedFile; readonly name: string }> {
    for (let attempt = 1; ; attempt++) {
      const letters = Math.floor(this.#home.kernel.random() * 2 ** 48).toString(36)
      const name = `.${this.#name.slice(0, NAME_CHARACTERS_MAX)}.${letters}.tmp`
      const flags = O_WRONLY | O_CREAT | O_EXCL
      const plain = checkOpenOptions({ write: true, createNew: true, mode })
      assert((plain.flags & flags) === flags, 'a file that replaces another is a new one')
      const request = { ...plain, base: this.#directory, wait: this.#steps.next() }
      try {
        const opened = await openFile(name, request, { direct: false, fallback: false })
        return { file: new BufferedFile(opened), name }
      } catch (error) {
        const isTaken = (error as { errno?: number }).errno === -EEXIST
        if (!isTaken || attempt === ATTEMPTS_MAX) throw error
      }
    }
  }

  async #fill(
    file: BufferedFile,
    data: Uint8Array | Lease,
    old: FileStatus | null,
    mode: number | undefined,
  ): Promise<void> {
    const steps = this.#steps
    const kept = old === null ? null : old.mode & (await this.#giveAway(file, old))
    const permissions = mode ?? kept
    await file.write(data, 0, steps.next())
    // Not before: writing takes the set-ID bits away.
    if (permissions !== null) await this.#changeMode(file, permissions)
    await file.sync(steps.next())
  }

  /** As far as the process may; resolves with the bits of the mode that mean with the new owners what they did. */
  async #giveAway(file: BufferedFile, { userId, groupId }: FileStatus): Promise<number> {
    const own = await file.stat(this.#steps.next())
    const isOwner = own.userId === userId
    if (isOwner && own.groupId === groupId) return MODE_BITS
    if (await this.#changeOwner(file, userId, groupId)) return MODE_BITS
    // A process may give its own file to any group that it is in itself.
    const isGroup = own.groupId === groupId || (await this.#changeOwner(file, -1, groupId))
    return MODE_BITS & ~(isOwner ? 0 : SET_USER_ID) & ~(isGroup ? 0 : SET_GROUP_ID)
  }

  /** Whether it may; -1 leaves the owner as it is. */
  async #changeOwner(file: BufferedFile, userId: number, groupId: number): Promise<boolean> {
    const { aside } = this.#home.kernel
    const call: AsideCall = {
      action: ACTION,
      syscall: 'fchown',
      begin: (fd, done) => aside.changeOwner(fd, userId, groupId, done),
    }
    try {
      await callAside(file.descriptor, call, this.#steps.next())
      return true
    } catch (error) {
      // EINVAL: whoever it is has no number in this user namespace.
      const { errno } = error as { errno?: number }
      if (errno !== -EPERM && errno !== -EINVAL) throw error
      return false
    }
  }

  async #changeMode(file: BufferedFile, mode: number): Promise<void> {
    const { aside } = this.#home.kernel
    const call: AsideCall = {
      action: ACTION,
      syscall: 'fchmod',
      begin: (fd, done) => aside.changeMode(fd, mode, done),
    }
    await callAside(file.descriptor, call, this.#steps.next())
  }
}

function bytesOf(data: Uint8Array | Lease | string): Uint8Array | Lease {
  if (typeof data === 'string') return Buffer.from(data)
  if (isBytes(data) || data instanceof Lease) return data
  throw wrongBytes(ACTION, 'data', data, 'a Uint8Array, a Lease or a string')
}

function textOf(name: Name): string {
  assert(typeof name.path === 'string', 'a path of the user is a string')
  return name.path
}
