import { alignUp, assert, RuntimeError } from '../../base/index.ts'
import { EBADF } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import type { Descriptor } from '../requests/descriptor.ts'
import { Statx } from '../requests/file-operations.ts'
import { partOf, Transfer } from '../requests/transfer.ts'
import { READ_INTO, WRITE_FROM } from '../requests/transfer-plan.ts'
import { truncate } from '../requests/truncate.ts'
import { decodeSize } from '../values/status.ts'
import type { StreamTarget } from './stream-target.ts'

/**
 * Writes the last blocks of a direct stream, which end in the middle of one, from an aligned position on.
 *
 * Where the file goes on behind, the rest of the block is read and kept. Where it does not, the block is padded
 * with zeros and the file cut to its exact length after that: a crash in between leaves zeros behind the data, and
 * never takes any of it. A write that fails takes back what it has added. Nothing cancels it.
 *
 * @throws {RuntimeError} `ERR_UNALIGNED` where that needs reading, and the file is not open for it;
 * `ERR_OUT_OF_MEMORY`; {@link KernelError} as `write(2)`.
 */
export async function writeTail(
  target: StreamTarget,
  data: Uint8Array,
  offsetBytes: number,
): Promise<void> {
  const { descriptor, ranges } = target
  const endBytes = offsetBytes + data.length
  const wholeBytes = alignUp(endBytes, descriptor.alignmentBytes) - offsetBytes
  assert(data.length > 0 && wholeBytes > data.length, 'a tail ends in the middle of a block')
  const range = { startBytes: offsetBytes, endBytes: Infinity, isExclusive: true }
  descriptor.enter()
  try {
    const hold = await ranges.acquireShielded(range)
    try {
      using buffer = descriptor.executor.memory.allocateOwn(wholeBytes)
      await fillAndWrite(target, { data, offsetBytes, buffer })
    } finally {
      ranges.release(hold)
    }
  } finally {
    descriptor.leave()
  }
}

interface Tail {
  readonly data: Uint8Array
  readonly offsetBytes: number
  /** Whole blocks. */
  readonly buffer: Lease
}

async function fillAndWrite(target: StreamTarget, tail: Tail): Promise<void> {
  const { descriptor, isRegular } = target
  const { data, offsetBytes, buffer } = tail
  const endBytes = offsetBytes + data.length
  const reachedBytes = offsetBytes + buffer.lengthBytes
  // What is no regular file, such as a device, has no size to go by, and is not cut.
  const sizeBytes = isRegular ? await sizeOf(descriptor) : Infinity
  const lastFromBytes = buffer.lengthBytes - descriptor.alignmentBytes
  if (sizeBytes > endBytes) await fill(descriptor, buffer, lastFromBytes, offsetBytes)
  else buffer.bytes.fill(0, data.length)
  buffer.bytes.set(data)
  try {
    await new Transfer(WRITE_FROM, descriptor, buffer, buffer, offsetBytes).startShielded()
  } catch (error) {
    await cutIf(
      descriptor,
      (nowBytes) => nowBytes > sizeBytes && nowBytes <= reachedBytes,
      sizeBytes,
    )
    throw error
  }
  const exactBytes = Math.max(sizeBytes, endBytes)
  // Unless somebody has gone on behind it, or has cut it already.
  if (exactBytes < reachedBytes) {
    await cutIf(descriptor, (nowBytes) => nowBytes === reachedBytes, exactBytes)
  }
}

/** Reads what the last block holds; what lies behind the end of the file is zeros. */
async function fill(
  descriptor: Descriptor,
  buffer: Lease,
  fromBytes: number,
  offsetBytes: number,
): Promise<void> {
  const { alignmentBytes } = descriptor
  const memory = partOf(buffer, fromBytes, alignmentBytes)
  const read = new Transfer(READ_INTO, descriptor, buffer, memory, offsetBytes + fromBytes)
  const validBytes = await read.startShielded().catch((error: { errno?: number }) => {
    throw error.errno === -EBADF ? notReadable(descriptor.path, alignmentBytes, error) : error
  })
  buffer.bytes.fill(0, fromBytes + validBytes, fromBytes + alignmentBytes)
}

/**
 * Reads the block in the middle of which a stream begins, from an aligned position on.
 *
 * @throws {RuntimeError} `ERR_UNALIGNED` where the file is not open for reading; {@link KernelError} as `read(2)`.
 */
export async function readHead(
  target: StreamTarget,
  buffer: Lease,
  offsetBytes: number,
): Promise<void> {
  const { descriptor } = target
  descriptor.enter()
  try {
    await fill(descriptor, buffer, 0, offsetBytes)
  } finally {
    descriptor.leave()
  }
}

async function cutIf(
  descriptor: Descriptor,
  isDue: (sizeBytes: number) => boolean,
  sizeBytes: number,
): Promise<void> {
  if (isDue(await sizeOf(descriptor))) {
    await truncate(descriptor, sizeBytes, (operation) => operation.startShielded())
  }
}

function sizeOf(descriptor: Descriptor): Promise<number> {
  return new Statx(descriptor, decodeSize).startShielded()
}

function notReadable(path: string, alignmentBytes: number, cause: unknown): RuntimeError {
  return new RuntimeError(
    'ERR_UNALIGNED',
    `Cannot write a part of a block of '${path}' as the file must be open for reading too, or the stream begin and end at multiples of ${alignmentBytes} bytes`,
    { cause },
  )
}
