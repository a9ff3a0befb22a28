import { RuntimeError } from '../base/index.ts'
import { Deadline, type Executor, executor, refusalOf } from '../executor/index.ts'
import {
  AT_SYMLINK_NOFOLLOW,
  EINVAL,
  EISDIR,
  ENXIO,
  F_GETFL,
  F_SETFL,
  kernelError,
  O_CLOEXEC,
  O_DIRECT,
  O_DIRECTORY,
  O_RDONLY,
} from '../kernel/index.ts'
import { readBlockBytes } from './devices/device-queue.ts'
import { choosePolling, type PollMode } from './devices/polling.ts'
import { LookUp } from './names/look-up.ts'
import { Name } from './names/name.ts'
import { Open, Unlink } from './names/name-operations.ts'
import { waitForWriter } from './names/pipe-end.ts'
import type { OpenRequest } from './options.ts'
import { Descriptor } from './requests/descriptor.ts'
import { Statx } from './requests/file-operations.ts'
import { withWorker } from './requests/open-workers.ts'
import {
  type DeviceNumber,
  type DirectAlignment,
  decodeAlignment,
  decodeDevice,
  decodeIdentity,
  type FileIdentity,
  isCharacterDevice,
  isDirectory,
  isMemoryDevice,
  isPipe,
  isRegular,
  isSameIdentity,
  isSeekable,
} from './values/status.ts'

/** What a file was opened for, as far as it matters later. */
export type FileAccess = Pick<OpenRequest, 'isReadable' | 'isAppending' | 'isTemporary'>

/** What opening found out. */
export interface OpenedFile {
  readonly descriptor: Descriptor
  readonly request: FileAccess
  readonly identity: FileIdentity
  /** Whether it has positions, as pipes and terminals have not, and devices may have. */
  readonly isSeekable: boolean
  /** Whether it has a size that writing extends, as devices have not. */
  readonly isRegular: boolean
  /** Undefined where it is not known; 0 where there is no direct I/O. */
  readonly alignment: DirectAlignment | undefined
  /** Whether its I/O goes past the page cache. */
  readonly isDirect: boolean
  /** Where its data is; null for what is neither a file nor a block device. */
  readonly device: DeviceNumber | null
}

export interface OpenMode {
  readonly direct: boolean
  /** Whether a file that refuses direct I/O is opened without. */
  readonly fallback: boolean
  /** Whether its device is polled; `'never'` if not given. */
  readonly poll?: PollMode
}

const ACTION = 'open a file'
/** Where neither the kernel nor the device says: every common device and file system takes it. */
const ALIGNMENT_UNKNOWN_BYTES = 4096
const NO_DIRECT: DirectAlignment = { memoryBytes: 0, offsetBytes: 0 }

/**
 * Opens a file and asks what it is; whatever fails on the way leaves nothing open, nor a file that was to
 * be new. It waits as `open(2)` does, for the other end of a pipe.
 */
export async function openFile(
  path: string,
  request: OpenRequest,
  mode: OpenMode,
): Promise<OpenedFile> {
  const refusal = refusalOf(ACTION)
  if (refusal !== null) return refusal
  const home = executor()
  const steps = new Deadline(home, ACTION, request.wait)
  const { base } = request
  const name = base === null ? Name.fromHere(home, path) : Name.within(base, path, ACTION)
  base?.assertOpen(ACTION)
  base?.enter()
  try {
    return await openNamed({ home, name, path: name.fullPath, request, mode, steps })
  } finally {
    base?.leave()
  }
}

async function openNamed(opening: Opening): Promise<OpenedFile> {
  const { descriptor, isDirect } = await openDescriptor(opening)
  try {
    const opened = await examine(opening, descriptor, isDirect)
    startPolling(opened, opening.mode.poll)
    return opened
  } catch (error) {
    if (opening.request.isNew) await undoCreation(opening, descriptor)
    await settled(descriptor.close())
    throw error
  }
}

/** What is opened, and how. */
interface Opening {
  readonly home: Executor
  readonly name: Name
  /** The same, for people. */
  readonly path: string
  readonly request: OpenRequest
  readonly mode: OpenMode
  readonly steps: Deadline
}

interface Opened {
  readonly descriptor: Descriptor
  readonly isDirect: boolean
}

async function examine(
  { home, path, request, mode, steps }: Opening,
  descriptor: Descriptor,
  isDirect: boolean,
): Promise<OpenedFile> {
  const decode = decoderOf(descriptor, request, isDirect)
  const opened = await new Statx(descriptor, decode).start(steps.next())
  if (opened.isDirectory) throw kernelError(-EISDIR, { syscall: 'open', path })
  if (opened.isPipe && !request.isWritable) await waitForWriter(descriptor, steps)
  if (!isDirect || opened.alignment?.offsetBytes !== 0) return opened
  // Opened, but every transfer would go through the page cache, or fail.
  if (!mode.fallback) throw directRefused(path)
  const result = setDirect(home, descriptor.fd, false)
  if (result < 0) throw kernelError(result, { syscall: 'fcntl', path })
  return { ...opened, isDirect: false }
}

/** What positions, lengths and addresses of transfers must be multiples of; 1 unless it is direct. */
export function alignmentOf(opened: OpenedFile): number {
  const { alignment, isDirect } = opened
  if (!isDirect) return 1
  if (alignment === undefined) return ALIGNMENT_UNKNOWN_BYTES
  // Buffers are aligned to their size, so what suits positions must suit addresses too.
  return Math.max(alignment.memoryBytes, alignment.offsetBytes)
}

/** The same for a file that is open already. Its ticket is spent, so it is not to be cancelled. */
export async function examineAdopted(
  descriptor: Descriptor,
  access: FileAccess,
  { isDirect, poll }: Pick<OpenedFile, 'isDirect'> & Pick<OpenMode, 'poll'>,
): Promise<OpenedFile> {
  try {
    const decode = decoderOf(descriptor, access, isDirect)
    const opened = await new Statx(descriptor, decode).startShielded()
    if (opened.isDirectory) throw kernelError(-EISDIR, { syscall: 'adopt', path: descriptor.path })
    startPolling(opened, poll)
    return opened
  } catch (error) {
    await settled(descriptor.close())
    throw error
  }
}

/** @throws {RuntimeError} `ERR_UNSUPPORTED` if it must be polled for, and can't be. */
function startPolling(
  { descriptor, device, isDirect }: OpenedFile,
  mode: PollMode = 'never',
): void {
  const { executor, fd, path } = descriptor
  descriptor.polling = choosePolling({ executor, fd, path, device, isDirect }, mode)
}

/** What statx(2) says of an open file. */
interface Examined extends OpenedFile {
  readonly isDirectory: boolean
  readonly isPipe: boolean
}

function decoderOf(
  descriptor: Descriptor,
  request: FileAccess,
  isDirect: boolean,
): (words: Uint32Array) => Examined {
  return (words) => ({
    descriptor,
    request,
    identity: decodeIdentity(words),
    isDirectory: isDirectory(words),
    isSeekable: isSeekable(words) || hasPositions(descriptor.executor, descriptor.fd, words),
    isRegular: isRegular(words),
    isPipe: isPipe(words),
    alignment: isDirect ? findAlignment(descriptor.executor, words) : NO_DIRECT,
    isDirect,
    device: decodeDevice(words),
  })
}

/** What the kernel says of the file (Linux 6.1), else what sysfs says of its device. */
function findAlignment({ kernel }: Executor, words: Uint32Array): DirectAlignment | undefined {
  const alignment = decodeAlignment(words)
  const device = decodeDevice(words)
  if (alignment !== undefined || device === null) return alignment
  const blockBytes = readBlockBytes(kernel, device)
  return blockBytes === null ? undefined : { memoryBytes: blockBytes, offsetBytes: blockBytes }
}

async function openDescriptor(opening: Opening): Promise<Opened> {
  const { path, request, mode } = opening
  if (request.isNew) return createNew(opening)
  const { flags } = request
  if (mode.direct && !mode.fallback && !request.isTemporary) await refusePipe(opening)
  if (!mode.direct) return { descriptor: await open(opening, flags), isDirect: false }
  try {
    return { descriptor: await open(opening, flags | O_DIRECT), isDirect: true }
  } catch (error) {
    if ((error as { errno?: number }).errno !== -EINVAL) throw error
    if (mode.fallback) return { descriptor: await open(opening, flags), isDirect: false }
    if (!request.isTemporary) await refuseDirectory(opening)
    throw directRefused(path, error)
  }
}

/**
 * Direct I/O is turned on once the file is there: refusing it in open(2), the kernel would leave the new
 * file without telling which that is, and its name might be another's by the time that it is removed.
 */
async function createNew(opening: Opening): Promise<Opened> {
  const { home, path, request, mode } = opening
  const descriptor = await open(opening, request.flags)
  if (!mode.direct) return { descriptor, isDirect: false }
  const result = setDirect(home, descriptor.fd, true)
  if (result >= 0 || (result === -EINVAL && mode.fallback)) {
    return { descriptor, isDirect: result >= 0 }
  }
  await undoCreation(opening, descriptor)
  await settled(descriptor.close())
  const cause = kernelError(result, { syscall: 'fcntl', path })
  throw result === -EINVAL ? directRefused(path, cause) : cause
}

async function open(opening: Opening, flags: number): Promise<Descriptor> {
  try {
    return await openOnce(opening, flags, false)
  } catch (error) {
    if ((error as { errno?: number }).errno !== -ENXIO) throw error
    // The ring does not wait for the reader of a pipe, as open(2) does, unless it is told to.
    if (!(await hasPipe(opening))) throw error
    if ((flags & O_DIRECT) !== 0)
      throw kernelError(-EINVAL, { syscall: 'open', path: opening.path })
    return openOnce(opening, flags, true)
  }
}

async function openOnce(opening: Opening, flags: number, mayWait: boolean): Promise<Descriptor> {
  const { home, name, path, request, steps } = opening
  const { mode, isNew } = request
  const operation = new Open(home, name, { flags, mode, mayWait, keepsLate: isNew })
  try {
    const fd = await withWorker(home, mayWait, () => operation.start(steps.next()))
    return new Descriptor(home, fd, path)
  } catch (error) {
    if (operation.lateFd >= 0) {
      const descriptor = new Descriptor(home, operation.lateFd, path)
      await undoCreation(opening, descriptor)
      await settled(descriptor.close())
    }
    throw error
  }
}

/**
 * Asked before, since a pipe that is opened in another thread of the kernel's would wait for its other end before
 * it is refused. O_NONBLOCK would not wait, but regular files would keep it, which their reads go by.
 */
async function refusePipe(opening: Opening): Promise<void> {
  const asked = hasPipe(opening).catch((error: { errno?: number }) => {
    // Opening says so better, or creates it.
    if (error.errno === undefined) throw error
    return false
  })
  if (!(await asked)) return
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot open '${opening.path}' for direct I/O as it must not be a pipe: use a BufferedFile`,
  )
}

async function hasPipe({ home, name, steps }: Opening): Promise<boolean> {
  const request = { action: ACTION, syscall: 'open', flags: 0, decode: isPipe }
  return new LookUp(home, name, request).start(steps.next())
}

/** Removes the file that opening has just created, unless its name is another file's by now. */
async function undoCreation({ home, name }: Opening, descriptor: Descriptor): Promise<void> {
  const request = {
    action: ACTION,
    syscall: 'open',
    flags: AT_SYMLINK_NOFOLLOW,
    decode: decodeIdentity,
  }
  const undo = async (): Promise<void> => {
    const created = await new Statx(descriptor, decodeIdentity).startShielded()
    const named = await new LookUp(home, name, request).startShielded()
    if (isSameIdentity(created, named)) await new Unlink(home, name).startShielded()
  }
  await settled(undo())
}

/** Waits for what puts things right again: the reason for that is the error to report. */
async function settled(promise: Promise<unknown>): Promise<void> {
  await promise.then(undefined, () => {})
}

/** Directories refuse O_DIRECT too, but that is not what is wrong with them. */
async function refuseDirectory({ home, name, path, steps }: Opening): Promise<void> {
  const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
  const request = { flags, mode: 0, mayWait: false, keepsLate: false }
  const asked = new Open(home, name, request).start(steps.next())
  const fd = await asked.catch((error: { errno?: number }) => {
    if (error.errno === undefined) throw error
    return -1
  })
  if (fd < 0) return
  await settled(new Descriptor(home, fd, path).close())
  throw kernelError(-EISDIR, { syscall: 'open', path })
}

/**
 * Whether a character device has positions. One whose cursor moves has; the memory devices that stay where
 * they are, such as /dev/zero, have as much of everything at each. Whatever else does not refuse to seek,
 * as most drivers of streams of events don't, is read as it comes.
 */
function hasPositions({ kernel }: Executor, fd: number, words: Uint32Array): boolean {
  if (!isCharacterDevice(words)) return false
  const position = kernel.seekFd(fd, 1)
  if (position > 0) kernel.seekFd(fd, 0)
  return position === 1 || (position === 0 && isMemoryDevice(words))
}

/** fcntl(2): 0 or `-errno`, EINVAL where the file system has no direct I/O. */
function setDirect(home: Executor, fd: number, isDirect: boolean): number {
  const { kernel } = home
  const flags = kernel.controlFd(fd, F_GETFL, 0)
  if (flags < 0) return flags
  return kernel.controlFd(fd, F_SETFL, isDirect ? flags | O_DIRECT : flags & ~O_DIRECT)
}

function directRefused(path: string, cause?: unknown): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot open '${path}' for direct I/O as its file system must support O_DIRECT: it does not; use a BufferedFile, or the option fallback: 'buffered'`,
    cause === undefined ? {} : { cause },
  )
}
