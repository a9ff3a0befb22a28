import { optionNames, validateInteger, validateOptions } from '../base/index.ts'
import type { CodecName } from './codec.ts'
import { createSpscRing, measureSpscRing, type SpscRing } from './shared/index.ts'
import { checkShape, type SharedChannel, type SharedChannelOptions } from './shared-channel.ts'

/** Before the rings: a count of those whose senders have attached. */
const HEADER_BYTES = 128
const MEMORY_BYTES_MAX = 2 ** 32

/** Many rings of one kind in one piece of shared memory, as plain data. */
export interface RingTable {
  readonly codec: CodecName
  readonly memory: SharedArrayBuffer
  readonly ringCount: number
  /** Cells of each ring. */
  readonly cellCount: number
  /** How many values each has room for. */
  readonly capacity: number
}

export const CHANNEL_NAMES: ReadonlySet<string> = optionNames<SharedChannelOptions>({
  capacity: true,
  codec: true,
  valueBytes: true,
})

/** @throws {TypeError | RangeError} for options of the wrong kind, and for more memory than 4 GiB. */
export function createRingTable(
  action: string,
  ringCount: number,
  options: SharedChannelOptions,
): RingTable {
  const { codec, cellCount, capacity, kind } = checkShape(action, options)
  const ringBytes = measureSpscRing(cellCount)
  const lengthBytes = HEADER_BYTES + ringCount * ringBytes
  if (lengthBytes > MEMORY_BYTES_MAX) {
    throw new RangeError(
      `Cannot ${action} as its memory must be at most 4 GiB: ${ringCount} rings of ${ringBytes} bytes are more`,
    )
  }
  const memory = new SharedArrayBuffer(lengthBytes)
  for (let index = 0; index < ringCount; index++) {
    createSpscRing({ kind, capacity: cellCount, memory, offsetBytes: offsetOf(index, cellCount) })
  }
  return { codec, memory, ringCount, cellCount, capacity }
}

/** One of them, to attach to. */
export function channelOf<T>(table: RingTable, index: number): SharedChannel<T> {
  const { codec, memory, cellCount, capacity } = table
  const ring: SpscRing = {
    kind: codec === 'numbers' ? 'numbers' : 'frames',
    memory,
    offsetBytes: offsetOf(index, cellCount),
    capacity: cellCount,
  }
  return { codec, ring, capacity }
}

/** The number of the next ring that nobody has asked for; more than there are where all are taken. */
export function takeNextIndex({ memory }: RingTable): number {
  return Atomics.add(new Int32Array(memory, 0, 1), 0, 1)
}

/** @throws {TypeError | RangeError} unless a count of threads. */
export function validateThreadCount(action: string, name: string, value: unknown): void {
  validateInteger(action, name, value, { min: 1, max: 1024 })
}

/** @throws {TypeError} for unknown options. */
export function pickChannelOptions(
  action: string,
  options: SharedChannelOptions,
  names: ReadonlySet<string>,
): SharedChannelOptions {
  validateOptions(action, options, names)
  const { capacity, codec, valueBytes } = options
  return {
    capacity,
    ...(codec === undefined ? {} : { codec }),
    ...(valueBytes === undefined ? {} : { valueBytes }),
  }
}

function offsetOf(index: number, cellCount: number): number {
  return HEADER_BYTES + index * measureSpscRing(cellCount)
}
