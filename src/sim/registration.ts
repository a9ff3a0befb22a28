import { isPowerOfTwo } from '../base/index.ts'
import {
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOENT,
  IO_URING_OP_SUPPORTED,
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_ANY,
  IORING_ASYNC_CANCEL_FD,
  IORING_REGISTER_BUFFERS,
  IORING_REGISTER_BUFFERS2,
  IORING_REGISTER_FILES,
  IORING_REGISTER_FILES_UPDATE,
  IORING_REGISTER_FILES2,
  IORING_REGISTER_PBUF_RING,
  IORING_REGISTER_PROBE,
  IORING_REGISTER_RING_FDS,
  IORING_REGISTER_SYNC_CANCEL,
  IORING_RSRC_REGISTER_SPARSE,
  IORING_UNREGISTER_BUFFERS,
  IORING_UNREGISTER_FILES,
  IORING_UNREGISTER_PBUF_RING,
  IORING_UNREGISTER_RING_FDS,
  IOU_PBUF_RING_INC,
} from '../kernel/index.ts'
import { BufferGroup } from './buffer-group.ts'
import type { SimCore } from './core.ts'
import type { Description } from './descriptors.ts'
import type { RequestRing } from './request.ts'
import type { SimRing } from './sim-ring.ts'
import { readWide } from './vectors.ts'

const ENXIO = 6
const BUFFERS_MAX = 1 << 14
const FILES_MAX = 1 << 15
const BUFFER_RING_ENTRIES_MAX = 1 << 15
const BUFFER_RING_ALIGNMENT = 4096
const VECTOR_BYTES = 16
/** Leaves a slot as it is. */
const FILES_SKIP = -2

/** io_uring_register(2) */
export function register(
  core: SimCore,
  ring: SimRing,
  opcode: number,
  argument: ArrayBufferView | null,
  count: number,
): number {
  const fields =
    argument === null
      ? new DataView(new ArrayBuffer(0))
      : new DataView(argument.buffer, argument.byteOffset, argument.byteLength)
  switch (opcode) {
    case IORING_REGISTER_BUFFERS:
      return registerBuffers(core, ring, fields, count)
    case IORING_UNREGISTER_BUFFERS:
      if (ring.buffers === null) return -ENXIO
      ring.buffers = null
      return 0
    case IORING_REGISTER_FILES:
      return registerFiles(core, ring, readFds(fields, 0, count))
    case IORING_REGISTER_FILES2:
      return registerFiles2(core, ring, fields)
    case IORING_UNREGISTER_FILES:
      return unregisterFiles(ring)
    case IORING_REGISTER_FILES_UPDATE:
      return registerFilesUpdate(core, ring, fields, count)
    case IORING_REGISTER_PROBE:
      return probe(core, fields, count)
    case IORING_REGISTER_PBUF_RING:
      return registerBufferRing(core, ring, fields)
    case IORING_UNREGISTER_PBUF_RING:
      return ring.bufferGroups.delete(fields.getUint16(12, true)) ? 0 : -ENOENT
    case IORING_REGISTER_SYNC_CANCEL:
      return syncCancel(core, ring, fields)
    // Entering by descriptor is enough: callers take this for an answer of an older kernel.
    case IORING_REGISTER_RING_FDS:
    case IORING_UNREGISTER_RING_FDS:
    case IORING_REGISTER_BUFFERS2:
      return -EINVAL
    default:
      return -EINVAL
  }
}

/** Sets registered files from an index on: -1 empties a slot. Returns how many were set. */
export function updateFiles(
  core: SimCore,
  ring: RequestRing,
  offset: number,
  fds: Int32Array,
): number {
  const { files } = ring
  if (files === null) return -ENXIO
  if (offset + fds.length > files.length) return -EINVAL
  for (const [index, fd] of fds.entries()) {
    if (fd === FILES_SKIP) continue
    const description = fd === -1 ? null : core.descriptors.get(fd)
    if (fd !== -1 && description === null) return index > 0 ? index : -EBADF
    description?.hold()
    files[offset + index]?.release()
    files[offset + index] = description
  }
  return fds.length
}

function registerBuffers(core: SimCore, ring: SimRing, fields: DataView, count: number): number {
  if (ring.buffers !== null) return -EBUSY
  if (count === 0 || count > BUFFERS_MAX || fields.byteLength < count * VECTOR_BYTES) return -EINVAL
  const buffers = []
  for (let index = 0; index < count; index++) {
    const address = readWide(fields, index * VECTOR_BYTES)
    const lengthBytes = readWide(fields, index * VECTOR_BYTES + 8)
    if (core.memory.view(address, lengthBytes) === null) return -EFAULT
    buffers.push({ address, lengthBytes })
  }
  ring.buffers = buffers
  return 0
}

function registerFiles(core: SimCore, ring: SimRing, fds: Int32Array): number {
  if (ring.files !== null) return -EBUSY
  if (fds.length === 0 || fds.length > FILES_MAX) return -EINVAL
  ring.files = new Array<Description | null>(fds.length).fill(null)
  const result = updateFiles(core, ring, 0, fds)
  if (result === fds.length) return 0
  unregisterFiles(ring)
  return -EBADF
}

// ABI: struct io_uring_rsrc_register: count, flags, reserved, data, tags.
function registerFiles2(core: SimCore, ring: SimRing, fields: DataView): number {
  const count = fields.getUint32(0, true)
  const isSparse = (fields.getUint32(4, true) & IORING_RSRC_REGISTER_SPARSE) !== 0
  if (isSparse) return registerFiles(core, ring, new Int32Array(count).fill(-1))
  const bytes = core.memory.view(readWide(fields, 16), count * 4)
  return bytes === null ? -EFAULT : registerFiles(core, ring, new Int32Array(bytes.slice().buffer))
}

function unregisterFiles(ring: SimRing): number {
  if (ring.files === null) return -ENXIO
  for (const file of ring.files) file?.release()
  ring.files = null
  return 0
}

// ABI: struct io_uring_rsrc_update: offset, reserved, address of the descriptors.
function registerFilesUpdate(
  core: SimCore,
  ring: SimRing,
  fields: DataView,
  count: number,
): number {
  const bytes = core.memory.view(readWide(fields, 8), count * 4)
  if (bytes === null) return -EFAULT
  const fds = new Int32Array(bytes.slice().buffer)
  return updateFiles(core, ring, fields.getUint32(0, true), fds)
}

// ABI: struct io_uring_probe: last opcode, count, then 8 bytes per opcode from 16 on.
function probe(core: SimCore, fields: DataView, count: number): number {
  const size = Math.min(count, Math.floor((fields.byteLength - 16) / 8), 256)
  let last = 0
  for (let opcode = 0; opcode < size; opcode++) {
    const isKnown = core.isKnown(opcode)
    if (isKnown) last = opcode
    fields.setUint8(16 + opcode * 8, opcode)
    fields.setUint16(18 + opcode * 8, isKnown ? IO_URING_OP_SUPPORTED : 0, true)
  }
  fields.setUint8(0, last)
  fields.setUint8(1, Math.min(size, 255))
  return 0
}

// ABI: struct io_uring_buf_reg: address, entries, group, flags.
function registerBufferRing(core: SimCore, ring: SimRing, fields: DataView): number {
  const address = readWide(fields, 0)
  const entryCount = fields.getUint32(8, true)
  const group = fields.getUint16(12, true)
  const flags = fields.getUint16(14, true)
  if ((flags & ~IOU_PBUF_RING_INC) !== 0 || address % BUFFER_RING_ALIGNMENT !== 0) return -EINVAL
  if (!isPowerOfTwo(entryCount) || entryCount > BUFFER_RING_ENTRIES_MAX) return -EINVAL
  if (core.memory.view(address, entryCount * VECTOR_BYTES) === null) return -EFAULT
  if (ring.bufferGroups.has(group)) return -EEXIST
  ring.bufferGroups.set(group, new BufferGroup(core.memory, address, entryCount, flags !== 0))
  return 0
}

// ABI: struct io_uring_sync_cancel_reg: user data, descriptor, flags, timeout.
function syncCancel(core: SimCore, ring: SimRing, fields: DataView): number {
  const flags = fields.getUint32(12, true)
  const isAll = (flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) !== 0
  const isByFile = (flags & IORING_ASYNC_CANCEL_FD) !== 0
  const file = isByFile ? core.descriptors.get(fields.getInt32(8, true)) : null
  if (isByFile && file === null) return -EBADF
  const result = core.cancelMatching(ring, isAll, (request) => {
    if (flags & IORING_ASYNC_CANCEL_ANY) return true
    if (isByFile) return request.description === file
    const low = fields.getInt32(0, true)
    return request.userDataLow === low && request.userDataHigh === fields.getInt32(4, true)
  })
  return isAll && result > 0 ? 0 : isAll ? -ENOENT : result
}

function readFds(fields: DataView, offset: number, count: number): Int32Array {
  const fds = new Int32Array(count)
  for (let index = 0; index < count; index++) fds[index] = fields.getInt32(offset + index * 4, true)
  return fds
}
