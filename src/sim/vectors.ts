import { EFAULT, EINVAL } from '../kernel/index.ts'
import type { AddressSpace } from './address-space.ts'

const VECTOR_BYTES = 16
const VECTORS_MAX = 1024

/** The memory that `length` vectors (`struct iovec`) at `address` name, or `-errno`. */
export function readVectors(
  memory: AddressSpace,
  { address, length }: { readonly address: number; readonly length: number },
): Uint8Array<ArrayBuffer>[] | number {
  if (length > VECTORS_MAX) return -EINVAL
  const bytes = memory.view(address, length * VECTOR_BYTES)
  if (bytes === null) return -EFAULT
  const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const found: Uint8Array<ArrayBuffer>[] = []
  for (let at = 0; at < bytes.length; at += VECTOR_BYTES) {
    const view = memory.view(readWide(fields, at), readWide(fields, at + 8))
    if (view === null) return -EFAULT
    found.push(view)
  }
  return found
}

/** An unsigned 64-bit field, exact below 2^53. */
export function readWide(fields: DataView, offset: number): number {
  return fields.getUint32(offset + 4, true) * 2 ** 32 + fields.getUint32(offset, true)
}
