import { crc32 } from 'node:zlib'

/**
 * What a segment's file holds: a header, then records one behind the other, then zeros.
 *
 * | bytes | of a record | of a segment's header |
 * | ---: | --- | --- |
 * | 4 | checksum of all that follows | the same |
 * | 4 | length of what was appended | `MAGIC` |
 * | 8 | its offset in the log | offset in the log of the segment's first record |
 *
 * The offset is a part of what is summed, so that bytes that some earlier file has left on the disk are no record here.
 */
export const HEADER_BYTES = 16
const MAGIC = 0x31474f4c

/** Writes a record of the data at `at`. */
export function writeRecord(target: Buffer, at: number, offset: number, data: Uint8Array): void {
  target.writeUInt32LE(data.length, at + 4)
  target.writeDoubleLE(offset, at + 8)
  target.set(data, at + HEADER_BYTES)
  seal(target, at, HEADER_BYTES + data.length)
}

/** How long the record at `at` is, if it is one: its header comes with it. */
export function recordLength(bytes: Buffer, at: number): number {
  return at + HEADER_BYTES > bytes.length ? 0 : HEADER_BYTES + bytes.readUInt32LE(at + 4)
}

/** The data of the record at `at`, a part of the bytes, if it is whole and the one of that offset; else null. */
export function readRecord(bytes: Buffer, at: number, offset: number): Buffer | null {
  const lengthBytes = recordLength(bytes, at)
  if (lengthBytes === 0 || at + lengthBytes > bytes.length) return null
  if (!isSealed(bytes, at, lengthBytes) || bytes.readDoubleLE(at + 8) !== offset) return null
  return bytes.subarray(at + HEADER_BYTES, at + lengthBytes)
}

/** Writes the header of a segment at the beginning. */
export function writeSegmentHeader(target: Buffer, baseOffset: number): void {
  target.writeUInt32LE(MAGIC, 4)
  target.writeDoubleLE(baseOffset, 8)
  seal(target, 0, HEADER_BYTES)
}

/** Where a segment begins in the log; null where there is no whole header. */
export function readSegmentHeader(bytes: Buffer): number | null {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(4) !== MAGIC) return null
  return isSealed(bytes, 0, HEADER_BYTES) ? bytes.readDoubleLE(8) : null
}

function seal(bytes: Buffer, at: number, lengthBytes: number): void {
  bytes.writeUInt32LE(crc32(bytes.subarray(at + 4, at + lengthBytes)), at)
}

function isSealed(bytes: Buffer, at: number, lengthBytes: number): boolean {
  return bytes.readUInt32LE(at) === crc32(bytes.subarray(at + 4, at + lengthBytes))
}
