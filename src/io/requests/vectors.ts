import { RuntimeError, wrongType } from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import { Lease } from '../../memory/index.ts'
import { validateOffset } from '../values/offset.ts'
import { changeAlone, type LockedFile } from './change-alone.ts'
import { VectorTransfer } from './vector-transfer.ts'

/** Fills several buffers from a position on; resolves with how many bytes are valid. */
export async function readVector(
  file: LockedFile,
  buffers: readonly Lease[],
  offsetBytes: number,
  options: WaitOptions | undefined,
): Promise<number> {
  const action = 'read a file'
  const parts = checkParts(action, file, buffers, offsetBytes)
  const refusal = file.descriptor.refusal(action)
  if (refusal !== null) return refusal
  if (parts.length === 0) return 0
  const { descriptor } = file
  const plan = { isRead: true, parts, offsetBytes }
  return new VectorTransfer(descriptor, plan).start(options)
}

/** Writes all of several buffers, one behind the other; resolves with their length. */
export async function writeVector(
  file: LockedFile,
  buffers: readonly Lease[],
  offsetBytes: number,
  options: WaitOptions | undefined,
): Promise<number> {
  const action = 'write a file'
  const parts = checkParts(action, file, buffers, offsetBytes)
  const refusal = file.descriptor.refusal(action)
  if (refusal !== null) return refusal
  if (parts.length === 0) return 0
  const { descriptor } = file
  const lengthBytes = parts.reduce((sum, part) => sum + part.lengthBytes, 0)
  const range = {
    startBytes: offsetBytes,
    endBytes: offsetBytes + lengthBytes,
    isExclusive: false,
  }
  // Theirs by the pins, while it waits for its range.
  for (const part of parts) part.pin()
  try {
    const plan = { isRead: false, parts, offsetBytes }
    const transfer = new VectorTransfer(descriptor, plan)
    return await changeAlone(file, range, action, options, (wait) => transfer.start(wait))
  } finally {
    for (const part of parts) part.unpin()
  }
}

/** @throws {TypeError | RangeError | RuntimeError} `ERR_UNALIGNED`, `ERR_BUFFER_RELEASED` */
function checkParts(
  action: string,
  { descriptor: { alignmentBytes } }: LockedFile,
  buffers: readonly Lease[],
  offsetBytes: number,
): readonly Lease[] {
  if (!Array.isArray(buffers)) throw wrongType(action, 'buffers', 'an array of leases', buffers)
  let lengthBytes = 0
  for (const buffer of buffers) {
    if (!(buffer instanceof Lease)) throw wrongType(action, 'buffers', 'leases', buffer)
    buffer.assertHeld()
    lengthBytes += buffer.lengthBytes
  }
  validateOffset(action, offsetBytes, lengthBytes)
  const mask = alignmentBytes - 1
  for (const { address, lengthBytes } of buffers) {
    if (address !== 0 && ((offsetBytes | lengthBytes | address) & mask) === 0) continue
    throw new RuntimeError(
      'ERR_UNALIGNED',
      `Cannot ${action} as position, lengths and memory must be multiples of ${alignmentBytes} bytes, in I/O memory: use allocateBuffer()`,
    )
  }
  return buffers.filter(({ lengthBytes }) => lengthBytes > 0)
}
