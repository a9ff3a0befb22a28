import {
  EBADF,
  EFAULT,
  EINVAL,
  EISDIR,
  ENOBUFS,
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUF_MORE,
  IORING_CQE_F_BUFFER,
  IORING_OP_FADVISE,
  IORING_OP_FALLOCATE,
  IORING_OP_FSYNC,
  IORING_OP_FTRUNCATE,
  IORING_OP_MADVISE,
  IORING_OP_READ,
  IORING_OP_READ_FIXED,
  IORING_OP_READV,
  IORING_OP_SPLICE,
  IORING_OP_SYNC_FILE_RANGE,
  IORING_OP_WRITE,
  IORING_OP_WRITE_FIXED,
  IORING_OP_WRITEV,
  IOSQE_BUFFER_SELECT,
  O_APPEND,
  O_DIRECT,
  O_DSYNC,
  O_RDWR,
  O_WRONLY,
} from '../kernel/index.ts'
import type { OperationEntry, SimCore, SimOperation } from './core.ts'
import type { SimErrorName } from './faults.ts'
import { type Inode, PAGE_BYTES } from './inode.ts'
import { OpenFile } from './open-file.ts'
import type { SimRequest } from './request.ts'
import { readVectors } from './vectors.ts'

const ACCESS_MODE = 3

/** RWF_DSYNC and RWF_SYNC */
const RWF_SYNC = 6
const READ_ERRORS: readonly SimErrorName[] = ['EIO', 'EAGAIN', 'EINTR', 'ENOMEM']
const WRITE_ERRORS: readonly SimErrorName[] = ['EIO', 'ENOSPC', 'EAGAIN', 'EINTR', 'ENOMEM']

/** Opcodes on the contents of files. */
export const FILE_OPERATIONS: readonly OperationEntry[] = [
  [IORING_OP_READ, transfer('READ', READ_ERRORS, read, memoryOf)],
  [IORING_OP_READV, transfer('READV', READ_ERRORS, read, findVectors)],
  [IORING_OP_READ_FIXED, transfer('READ_FIXED', READ_ERRORS, read, registeredOf)],
  [IORING_OP_WRITE, transfer('WRITE', WRITE_ERRORS, write, memoryOf)],
  [IORING_OP_WRITEV, transfer('WRITEV', WRITE_ERRORS, write, findVectors)],
  [IORING_OP_WRITE_FIXED, transfer('WRITE_FIXED', WRITE_ERRORS, write, registeredOf)],
  [
    IORING_OP_FSYNC,
    {
      name: 'FSYNC',
      kind: 'disk',
      needsFile: true,
      errors: ['EIO'],
      attempt: sync,
      failed: failSync,
    },
  ],
  [IORING_OP_SYNC_FILE_RANGE, onFile('SYNC_FILE_RANGE', ['EIO'], () => 0)],
  [IORING_OP_FALLOCATE, onFile('FALLOCATE', ['ENOSPC'], fallocate)],
  [IORING_OP_FTRUNCATE, onFile('FTRUNCATE', ['EIO'], truncate)],
  // One end must be a pipe, and there are none.
  [IORING_OP_SPLICE, onFile('SPLICE', [], () => -EINVAL)],
  [IORING_OP_FADVISE, onFile('FADVISE', [], () => 0)],
  [IORING_OP_MADVISE, { ...onFile('MADVISE', [], () => 0), needsFile: false, attempt: () => 0 }],
]

type Memory = readonly Uint8Array<ArrayBuffer>[]
type FindMemory = (core: SimCore, request: SimRequest) => Memory | number
type Transfer = (core: SimCore, request: SimRequest, file: OpenFile, memory: Memory) => number

function findVectors({ memory }: SimCore, request: SimRequest): Memory | number {
  return readVectors(memory, request)
}

function transfer(
  name: string,
  errors: readonly SimErrorName[],
  move: Transfer,
  findMemory: FindMemory,
): SimOperation {
  const breaksLink = (request: SimRequest, result: number): boolean => {
    return request.length > 0 && !name.endsWith('V') && result < request.length
  }
  const attempt = (core: SimCore, request: SimRequest): number => {
    const file = request.description
    if (!(file instanceof OpenFile)) return -EINVAL
    if (file.inode.kind === 'directory') return -EISDIR
    if (request.flags & IOSQE_BUFFER_SELECT) return readSelected(core, request, file)
    const memory = findMemory(core, request)
    if (typeof memory === 'number') return memory
    return isAligned(core, request, file, memory) ? move(core, request, file, memory) : -EINVAL
  }
  return { name, kind: 'disk', needsFile: true, isPollable: true, errors, attempt, breaksLink }
}

function onFile(
  name: string,
  errors: readonly SimErrorName[],
  body: (request: SimRequest, file: OpenFile) => number,
): SimOperation {
  const attempt = (_core: SimCore, request: SimRequest): number => {
    const file = request.description
    return file instanceof OpenFile ? body(request, file) : -EINVAL
  }
  return { name, kind: 'disk', needsFile: true, errors, attempt }
}

function memoryOf(core: SimCore, request: SimRequest): Memory | number {
  const view = core.memory.view(request.address, request.length)
  return view === null ? -EFAULT : [view]
}

function registeredOf(core: SimCore, request: SimRequest): Memory | number {
  const buffer = request.ring.buffers?.[request.bufferIndex]
  if (buffer === undefined) return -EFAULT
  const end = request.address + request.length
  if (request.address < buffer.address) return -EFAULT
  if (end > buffer.address + buffer.lengthBytes) return -EFAULT
  return memoryOf(core, request)
}

function isAligned(core: SimCore, request: SimRequest, file: OpenFile, memory: Memory): boolean {
  if (!(file.statusFlags & O_DIRECT)) return true
  const unit = core.options.directAlignmentBytes
  if (request.offset >= 0 && request.offset % unit !== 0) return false
  return memory.every((view) => view.byteOffset % unit === 0 && view.length % unit === 0)
}

function read(core: SimCore, request: SimRequest, file: OpenFile, memory: Memory): number {
  if ((file.statusFlags & ACCESS_MODE) === O_WRONLY) return -EBADF
  const start = request.offset < 0 ? file.position : request.offset
  const wanted = memory.reduce((sum, view) => sum + view.length, 0)
  const length = shortened(core, file, wanted, core.faults.shortRead)
  let done = 0
  for (const view of memory) {
    const count = Math.min(view.length, length - done)
    const moved = file.inode.read(start + done, view.subarray(0, count))
    done += moved
    if (moved < view.length) break
  }
  if (request.offset < 0) file.position = start + done
  return done
}

function write(core: SimCore, request: SimRequest, file: OpenFile, memory: Memory): number {
  const access = file.statusFlags & ACCESS_MODE
  if (access !== O_WRONLY && access !== O_RDWR) return -EBADF
  const { inode } = file
  const isAppending = (file.statusFlags & O_APPEND) !== 0
  let start = request.offset < 0 ? file.position : request.offset
  if (isAppending) start = inode.sizeBytes
  const wanted = memory.reduce((sum, view) => sum + view.length, 0)
  const length = shortened(core, file, wanted, core.faults.shortWrite)
  let done = 0
  for (const view of memory) {
    const count = Math.min(view.length, length - done)
    const moved = inode.write(start + done, view.subarray(0, count))
    if (moved < 0) return done > 0 ? done : moved
    done += moved
    if (moved < view.length) break
  }
  inode.modifiedNs = core.clock.nowNs
  if (file.statusFlags & O_DSYNC || request.opFlags & RWF_SYNC) inode.syncRange(start, done)
  if (request.offset < 0) file.position = start + done
  return done
}

/** A direct transfer ends at the end of a block. */
function shortened(core: SimCore, file: OpenFile, wanted: number, probability: number): number {
  const unit = file.statusFlags & O_DIRECT ? core.options.directAlignmentBytes : 1
  return core.shorten(wanted, probability, unit)
}

function readSelected(core: SimCore, request: SimRequest, file: OpenFile): number {
  const group = request.ring.bufferGroups.get(request.bufferIndex)
  const buffer = group?.peek() ?? null
  if (group === undefined || buffer === null) return -ENOBUFS
  const length = Math.min(request.length || buffer.lengthBytes, buffer.lengthBytes)
  const view = core.memory.view(buffer.address, length)
  if (view === null) return -EFAULT
  const result = read(core, request, file, [view])
  if (result <= 0) return result
  const goesOn = group.take(result) ? IORING_CQE_F_BUF_MORE : 0
  const flags = IORING_CQE_F_BUFFER | (buffer.id << IORING_CQE_BUFFER_SHIFT) | goesOn
  core.complete(request, result, flags)
  return result
}

function sync(core: SimCore, request: SimRequest): number {
  const file = request.description
  if (!(file instanceof OpenFile)) return -EINVAL
  core.files.sync(file.inode)
  return 0
}

/** Linux takes the pages of a sync that failed for clean: they are in the cache, and not on the disk. */
function failSync(core: SimCore, request: SimRequest): void {
  const file = request.description
  if (file instanceof OpenFile) file.inode.failSync(core.prng)
}

function fallocate(request: SimRequest, file: OpenFile): number {
  const { inode } = file
  if ((file.statusFlags & ACCESS_MODE) === 0) return -EBADF
  // ABI: the length of the range is where other operations have an address, the mode the length.
  const lengthBytes = request.address
  const mode = request.length
  if (request.offset < 0 || lengthBytes <= 0) return -EINVAL
  const range = { offset: request.offset, lengthBytes }
  if (mode & FALLOC_FL_COLLAPSE_RANGE) return collapse(inode, range)
  if (mode & FALLOC_FL_INSERT_RANGE) return insert(inode, range)
  if (mode & FALLOC_FL_PUNCH_HOLE) {
    if (!(mode & FALLOC_FL_KEEP_SIZE)) return -EINVAL
    inode.punch(request.offset, Math.min(lengthBytes, inode.sizeBytes - request.offset))
    return 0
  }
  if (mode & FALLOC_FL_ZERO_RANGE) inode.punch(request.offset, lengthBytes)
  const result = inode.reserve(request.offset, lengthBytes)
  if (result < 0) return result
  const end = request.offset + lengthBytes
  if (!(mode & FALLOC_FL_KEEP_SIZE) && end > inode.sizeBytes) inode.sizeBytes = end
  return 0
}

interface FileRange {
  readonly offset: number
  readonly lengthBytes: number
}

function collapse(inode: Inode, { offset, lengthBytes }: FileRange): number {
  if ((offset | lengthBytes) % PAGE_BYTES !== 0) return -EINVAL
  if (offset + lengthBytes >= inode.sizeBytes) return -EINVAL
  inode.shift(offset, -lengthBytes)
  return 0
}

function insert(inode: Inode, { offset, lengthBytes }: FileRange): number {
  if ((offset | lengthBytes) % PAGE_BYTES !== 0 || offset >= inode.sizeBytes) return -EINVAL
  inode.shift(offset, lengthBytes)
  return 0
}

function truncate(request: SimRequest, file: OpenFile): number {
  if (file.inode.kind !== 'file' || request.offset < 0) return -EINVAL
  if ((file.statusFlags & ACCESS_MODE) === 0) return -EINVAL
  file.inode.truncate(request.offset)
  return 0
}
