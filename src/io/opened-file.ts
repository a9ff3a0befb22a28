import { RuntimeError } from '../base/index.ts'
import { type Executor, executor } from '../executor/index.ts'
import {
  EINVAL,
  EISDIR,
  F_GETFL,
  F_SETFL,
  kernelError,
  O_CLOEXEC,
  O_DIRECT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
} from '../kernel/index.ts'
import { Deadline } from './deadline.ts'
import { Descriptor } from './descriptor.ts'
import { Statx } from './file-operations.ts'
import { Open, Unlink } from './name-operations.ts'
import type { OpenRequest } from './options.ts'
import {
  type DirectAlignment,
  decodeAlignment,
  decodeIdentity,
  type FileIdentity,
  isDirectory,
  isRegular,
  isSeekable,
} from './status.ts'

/** What opening found out. */
export interface OpenedFile {
  readonly descriptor: Descriptor
  readonly request: OpenRequest
  readonly identity: FileIdentity
  /** Whether it has positions, as pipes and terminals have not. */
  readonly isSeekable: boolean
  /** Whether it has a size that writing extends, as devices have not. */
  readonly isRegular: boolean
  /** Undefined where it is not known; 0 where there is no direct I/O. */
  readonly alignment: DirectAlignment | undefined
  /** Whether its I/O goes past the page cache. */
  readonly isDirect: boolean
}

export interface OpenMode {
  readonly direct: boolean
  /** Whether a file that refuses direct I/O is opened without. */
  readonly fallback: boolean
}

const NO_DIRECT: DirectAlignment = { memoryBytes: 0, offsetBytes: 0 }

/** Opens a file and asks what it is; whatever fails on the way leaves nothing open. */
export async function openFile(
  path: string,
  request: OpenRequest,
  mode: OpenMode,
): Promise<OpenedFile> {
  const home = executor()
  home.assertOpen('open a file')
  const steps = new Deadline(home, 'open a file', request.wait)
  const { fd, isDirect } = await openFd(home, path, request, mode, steps)
  const descriptor = new Descriptor(home, fd, path)
  try {
    const opened = await new Statx(descriptor, (words) => ({
      descriptor,
      request,
      identity: decodeIdentity(words),
      isDirectory: isDirectory(words),
      isSeekable: isSeekable(words),
      isRegular: isRegular(words),
      alignment: isDirect ? decodeAlignment(words) : NO_DIRECT,
      isDirect,
    })).start(steps.next())
    if (opened.isDirectory) throw kernelError(-EISDIR, { syscall: 'open', path })
    if (!isDirect || opened.alignment?.offsetBytes !== 0) return opened
    // Opened, but every transfer would go through the page cache, or fail.
    if (!mode.fallback) throw directRefused(path)
    clearDirect(home, fd)
    return { ...opened, isDirect: false }
  } catch (error) {
    await settled(descriptor.close())
    if (request.isNew) await removeNew(home, path)
    throw error
  }
}

async function openFd(
  home: Executor,
  path: string,
  request: OpenRequest,
  mode: OpenMode,
  steps: Deadline,
): Promise<{ fd: number; isDirect: boolean }> {
  const { flags } = request
  if (!mode.direct)
    return { fd: await new Open(home, path, request).start(steps.next()), isDirect: false }
  try {
    const direct = { flags: flags | O_DIRECT, mode: request.mode }
    return { fd: await new Open(home, path, direct).start(steps.next()), isDirect: true }
  } catch (error) {
    if ((error as { errno?: number }).errno !== -EINVAL) throw error
    if (!mode.fallback) {
      // The kernel creates the file before it refuses to open it so.
      if (request.isNew) await removeNew(home, path)
      else if (!request.isTemporary) await refuseDirectory(home, path, steps)
      throw directRefused(path, error)
    }
    const buffered = { flags: flags & ~O_EXCL, mode: request.mode }
    return { fd: await new Open(home, path, buffered).start(steps.next()), isDirect: false }
  }
}

/** Removes the file that opening has just created. */
async function removeNew(home: Executor, path: string): Promise<void> {
  const unlink = async (): Promise<void> => new Unlink(home, path).startShielded()
  await settled(unlink())
}

/** Waits for what puts things right again: the reason for that is the error to report. */
async function settled(promise: Promise<unknown>): Promise<void> {
  await promise.then(undefined, () => {})
}

/** Directories refuse O_DIRECT too, but that is not what is wrong with them. */
async function refuseDirectory(home: Executor, path: string, steps: Deadline): Promise<void> {
  const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
  const asked = new Open(home, path, { flags, mode: 0 }).start(steps.next())
  const fd = await asked.catch((error: { errno?: number }) => {
    if (error.errno === undefined) throw error
    return -1
  })
  if (fd < 0) return
  await settled(new Descriptor(home, fd, path).close())
  throw kernelError(-EISDIR, { syscall: 'open', path })
}

function clearDirect(home: Executor, fd: number): void {
  const { kernel } = home.reactor
  const flags = kernel.controlFd(fd, F_GETFL, 0)
  const result = flags < 0 ? flags : kernel.controlFd(fd, F_SETFL, flags & ~O_DIRECT)
  if (result < 0) throw kernelError(result, { syscall: 'fcntl', fd })
}

function directRefused(path: string, cause?: unknown): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot open '${path}' for direct I/O as its file system must support O_DIRECT: it does not; use a BufferedFile, or the option fallback: 'buffered'`,
    cause === undefined ? {} : { cause },
  )
}
