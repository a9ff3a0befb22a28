import {
  optionNames,
  RuntimeError,
  validateBoolean,
  validateInteger,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import { executor, OwnedDescriptor, type WaitOptions } from '../executor/index.ts'
import {
  currentKernel,
  ENOENT,
  F_GETFL,
  kernelError,
  O_ACCMODE,
  O_APPEND,
  O_DIRECT,
  O_WRONLY,
} from '../kernel/index.ts'
import { examineAdopted, type FileAccess, type OpenedFile } from './opened-file.ts'
import { Descriptor } from './requests/descriptor.ts'

/** How a file is given to another thread. */
export interface FileTicketOptions {
  /**
   * Whether the file waits for its taker though this thread has ended; false, as it is if not given, closes it
   * then. Nobody but who has the ticket can close it otherwise, before the process ends.
   */
  readonly outlivesThread?: boolean
}

/** How a file is detached. */
export interface FileDetachOptions extends FileTicketOptions, WaitOptions {}

/**
 * An open file on its way from one thread of the process to another: plain data, to be posted. It is whoever's
 * adopts it first.
 */
export interface FileTicket {
  readonly kind: 'DirectFile' | 'BufferedFile'
  /** Stands for the descriptor, once: no other ticket of the process has the same. */
  readonly name: number
  /** As {@link BaseFile.path} was. */
  readonly path: string
  /** Whether its I/O goes past the page cache. */
  readonly isDirect: boolean
  readonly isReadable: boolean
  readonly isAppending: boolean
  /** Whether it was opened without a name. */
  readonly isTemporary: boolean
  /** Whether its device is polled for its reads and writes: by who adopts it as well, if it can. */
  readonly isPolled: boolean
}

/** In place of the path of a file that came as a descriptor. */
const PATH_UNKNOWN = '(received)'

const TICKET_NAMES = optionNames<FileTicket>({
  kind: true,
  name: true,
  path: true,
  isDirect: true,
  isReadable: true,
  isAppending: true,
  isTemporary: true,
  isPolled: true,
})
const OPTION_NAMES = optionNames<FileTicketOptions>({ outlivesThread: true })
const DETACH_NAMES = optionNames<FileDetachOptions>({
  outlivesThread: true,
  signal: true,
  timeoutMs: true,
})
const FLAGS = ['isDirect', 'isReadable', 'isAppending', 'isTemporary', 'isPolled'] as const

/** What a ticket says of the file, apart from its descriptor. */
export type FileTraits = Omit<FileTicket, 'name' | 'path'>

/** Lets a descriptor go, without closing it: the ticket that it is taken over by. @throws {KernelError} `ENOSPC` */
export function passFile(
  descriptor: Descriptor,
  fd: number,
  traits: FileTraits,
  outlives: boolean,
): FileTicket {
  const { path, executor: home } = descriptor
  const name = home.descriptors.passFd(fd, outlives)
  if (name < 0) throw kernelError(name, { syscall: 'detach', path, fd })
  return { ...traits, name, path }
}

/** A ticket for a further descriptor of the same file. */
export function duplicateFile(
  descriptor: Descriptor,
  traits: FileTraits,
  options: FileTicketOptions,
): FileTicket {
  const action = 'duplicate a file'
  validateOptions(action, options, OPTION_NAMES)
  const { outlivesThread = false } = options
  validateBoolean(action, 'outlivesThread', outlivesThread)
  descriptor.assertOpen(action)
  const { fd, path, executor: home } = descriptor
  const { descriptors } = home
  const copy = descriptors.duplicateFd(fd)
  if (copy < 0) throw kernelError(copy, { syscall: 'dup', path, fd })
  try {
    return passFile(descriptor, copy, traits, outlivesThread)
  } catch (error) {
    descriptors.closeFd(copy)
    throw error
  }
}

/** @throws {TypeError | RangeError} */
export function checkDetach(
  action: string,
  options: FileDetachOptions,
): { readonly outlives: boolean; readonly wait: WaitOptions } {
  validateOptions(action, options, DETACH_NAMES)
  const { outlivesThread: outlives = false, signal, timeoutMs } = options
  validateBoolean(action, 'outlivesThread', outlives)
  return { outlives, wait: { signal, timeoutMs } }
}

/** Takes over the descriptor of a ticket, or one that came from elsewhere. */
export async function adoptFile(
  kind: FileTicket['kind'],
  from: FileTicket | OwnedDescriptor,
): Promise<OpenedFile> {
  return from instanceof OwnedDescriptor ? adoptOwned(kind, from) : adoptTicket(kind, from)
}

async function adoptTicket(kind: FileTicket['kind'], ticket: FileTicket): Promise<OpenedFile> {
  const action = 'adopt a file'
  validateTicket(action, ticket)
  if (ticket.kind !== kind) throw wrongType(action, 'ticket.kind', `'${kind}'`, ticket.kind)
  const home = executor()
  home.assertOpen(action)
  const { name, path, isDirect, isReadable, isAppending, isTemporary, isPolled } = ticket
  // First, as it may fail, and the ticket is then still good.
  if (kind === 'DirectFile') home.io.registerMemory()
  const fd = home.descriptors.takeFd(name)
  if (fd === -ENOENT) throw ticketSpent(action)
  if (fd < 0) throw kernelError(fd, { syscall: 'adopt', path })
  const access: FileAccess = { isReadable, isAppending, isTemporary }
  return await examineAdopted(new Descriptor(home, fd, path), access, {
    isDirect,
    poll: isPolled ? 'auto' : 'never',
  })
}

/** What it was opened for is asked of the kernel; of its name nothing is known, so that it counts as one without. */
async function adoptOwned(
  kind: FileTicket['kind'],
  descriptor: OwnedDescriptor,
): Promise<OpenedFile> {
  const action = 'adopt a file'
  const home = executor()
  descriptor.assertTakeable(home, action, 'file')
  const flags = home.kernel.controlFd(descriptor.fd, F_GETFL, 0)
  if (flags < 0) throw kernelError(flags, { syscall: 'fcntl', fd: descriptor.fd })
  const isDirect = (flags & O_DIRECT) !== 0
  const isAppending = (flags & O_APPEND) !== 0
  if (isDirect !== (kind === 'DirectFile')) throw otherWay(action, isDirect)
  if (isDirect && isAppending) throw directAppend(action)
  if (isDirect) home.io.registerMemory()
  const access = { isReadable: (flags & O_ACCMODE) !== O_WRONLY, isAppending, isTemporary: true }
  const taken = new Descriptor(home, descriptor.take(), PATH_UNKNOWN)
  return await examineAdopted(taken, access, { isDirect, poll: isDirect ? 'auto' : 'never' })
}

/** Closes the file of a ticket, if nobody has adopted or discarded it; whether it was so. */
export function discardFile(ticket: FileTicket): boolean {
  validateTicket('discard a file', ticket)
  return currentKernel().dropPassedFd(ticket.name) !== -ENOENT
}

/** @throws {TypeError | RangeError} */
function validateTicket(action: string, ticket: unknown): asserts ticket is FileTicket {
  validateOptions(action, ticket, TICKET_NAMES, 'ticket')
  const { kind, name, path } = ticket as Partial<FileTicket>
  if (kind !== 'DirectFile' && kind !== 'BufferedFile') {
    throw wrongType(action, 'ticket.kind', "'DirectFile' or 'BufferedFile'", kind)
  }
  validateInteger(action, 'ticket.name', name, { min: 0, max: Number.MAX_SAFE_INTEGER })
  validateString(action, 'ticket.path', path)
  for (const flag of FLAGS) {
    validateBoolean(action, `ticket.${flag}`, (ticket as FileTicket)[flag])
  }
}

function ticketSpent(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_TICKET_SPENT',
    `Cannot ${action} as its ticket must be good: it was adopted or discarded, or the thread that made it has ended`,
  )
}

function otherWay(action: string, isDirect: boolean): RuntimeError {
  const [its, cure] = isDirect ? ['with', 'DirectFile'] : ['without', 'BufferedFile']
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${action} as its descriptor must be of the same kind of I/O: it was opened ${its} O_DIRECT; use ${cure}.adopt()`,
  )
}

function directAppend(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${action} as a direct file must have positions: it was opened with O_APPEND`,
  )
}
