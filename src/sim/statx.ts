import { NS_PER_S } from '../base/index.ts'
import { STATX_BASIC_STATS, STATX_BTIME, STATX_DIOALIGN } from '../kernel/index.ts'
import { type Inode, PAGE_BYTES } from './inode.ts'

const SECTOR_BYTES = 512
const FORMATS = { file: 0o100000, directory: 0o040000, link: 0o120000, socket: 0o140000 } as const

/** What of it depends on the kernel, and the disk. */
export interface StatxTraits {
  readonly directAlignmentBytes: number
  readonly hasStatxDioalign: boolean
}

// ABI: struct statx, offsets in bytes.
/** Writes what statx(2) says of a file. */
export function writeStatx(
  target: Uint8Array,
  inode: Inode,
  { directAlignmentBytes, hasStatxDioalign }: StatxTraits,
): void {
  const fields = new DataView(target.buffer, target.byteOffset, target.length)
  target.fill(0)
  const mask = STATX_BASIC_STATS | STATX_BTIME | (hasStatxDioalign ? STATX_DIOALIGN : 0)
  fields.setUint32(0, mask, true)
  fields.setUint32(4, PAGE_BYTES, true)
  fields.setUint32(16, inode.linkCount, true)
  fields.setUint16(28, FORMATS[inode.kind] | inode.mode, true)
  writeWide(fields, 32, inode.number)
  writeWide(fields, 40, inode.sizeBytes)
  writeWide(fields, 48, (inode.pageCount * PAGE_BYTES) / SECTOR_BYTES)
  const times = [inode.modifiedNs, inode.createdNs, inode.modifiedNs, inode.modifiedNs]
  for (const [index, ns] of times.entries()) {
    const seconds = Math.floor(ns / NS_PER_S)
    writeWide(fields, 64 + index * 16, seconds)
    fields.setUint32(72 + index * 16, ns - seconds * NS_PER_S, true)
  }
  fields.setUint32(136, 8, true)
  if (inode.kind !== 'file' || !hasStatxDioalign) return
  fields.setUint32(152, directAlignmentBytes, true)
  fields.setUint32(156, directAlignmentBytes, true)
}

function writeWide(fields: DataView, offset: number, value: number): void {
  fields.setUint32(offset, value, true)
  fields.setUint32(offset + 4, value / 2 ** 32, true)
}
