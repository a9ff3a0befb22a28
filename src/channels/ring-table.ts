import {
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import type { CodecName } from './codec.ts'
import type { Place } from './expected-peers.ts'
import {
  createSpscRing,
  isEndClaimed,
  measureSpscRing,
  openHeader,
  type SpscRing,
  WORD_CONSUMER_CLAIM,
  WORD_PRODUCER_CLAIM,
} from './shared/index.ts'
import { checkShape, type SharedChannel, type SharedChannelOptions } from './shared-channel.ts'

const MEMORY_BYTES_MAX = 2 ** 32

/** What a table of rings is for, and what that is called. */
export type TableKind = 'mpsc' | 'broadcast' | 'mesh'

const NAMES_OF: Readonly<Record<TableKind, string>> = {
  mpsc: 'an MpscChannel',
  broadcast: 'a BroadcastChannel',
  mesh: 'a SharedMesh',
}

/** What is found at a place that nobody can take any more. */
const TAKEN: ReadonlySet<string> = new Set(['ERR_STILL_HELD', 'ERR_CHANNEL_CLOSED'])

/** Many rings of one kind in one piece of shared memory, as plain data. */
export interface RingTable {
  readonly kind: TableKind
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
  kind: TableKind,
  ringCount: number,
  options: SharedChannelOptions,
): RingTable {
  const { codec, cellCount, capacity, kind: ringKind } = checkShape(action, options)
  const ringBytes = measureSpscRing(cellCount)
  const lengthBytes = ringCount * ringBytes
  if (lengthBytes > MEMORY_BYTES_MAX) {
    throw new RangeError(
      `Cannot ${action} as its memory must be at most 4 GiB: ${ringCount} rings of ${ringBytes} bytes are more`,
    )
  }
  const memory = new SharedArrayBuffer(lengthBytes)
  for (let index = 0; index < ringCount; index++) {
    const offsetBytes = offsetOf(index, cellCount)
    createSpscRing({ kind: ringKind, capacity: cellCount, memory, offsetBytes })
  }
  return { kind, codec, memory, ringCount, cellCount, capacity }
}

/** A table of as many rings as the option of that name says. @throws as {@link createRingTable}. */
export function createCountedTable<Name extends string>(
  action: string,
  kind: TableKind,
  name: Name,
  options: SharedChannelOptions & Readonly<Record<Name, number>>,
): RingTable {
  const picked = pickChannelOptions(action, options, new Set([...CHANNEL_NAMES, name]))
  validateThreadCount(action, name, options[name])
  return createRingTable(action, kind, options[name], picked)
}

/** @throws {TypeError} for what is no such table. */
export function assertTable(
  action: string,
  kind: TableKind,
  table: unknown,
): asserts table is RingTable {
  const found = table as Partial<RingTable> | null | undefined
  if (found?.memory instanceof SharedArrayBuffer && found.kind === kind) return
  throw wrongType(action, kind === 'mesh' ? 'mesh' : 'channel', NAMES_OF[kind], table)
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

/**
 * Attaches to that end of the first ring where nobody has: O(rings).
 *
 * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` where all are taken, or abandoned; else what `attach` throws, the ring being others' then.
 */
export function takePlace<T, End>(
  action: string,
  table: RingTable,
  end: 'producer' | 'consumer',
  attach: (channel: SharedChannel<T>) => End,
): End {
  for (let index = 0; index < table.ringCount; index++) {
    const channel = channelOf<T>(table, index)
    if (isEndClaimed(channel.ring, end)) continue
    try {
      return attach(channel)
    } catch (error) {
      // Another thread was there first, or the place was abandoned for one that has ended: the next one may be free.
      if (!(error instanceof RuntimeError) || !TAKEN.has(error.code)) throw error
    }
  }
  throw new RuntimeError(
    'ERR_LIMIT_EXCEEDED',
    `Cannot ${action} as the channel must have at most ${table.ringCount}: it has had as many`,
  )
}

/** Every place of a table, by the words that say whose that end of it is. */
export function placesOf(table: RingTable, end: 'producer' | 'consumer'): Place[] {
  return Array.from({ length: table.ringCount }, (_, index) => {
    const { ring } = channelOf<unknown>(table, index)
    const claim = end === 'producer' ? WORD_PRODUCER_CLAIM : WORD_CONSUMER_CLAIM
    return { words: openHeader(ring, ring.kind), claim }
  })
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
  return index * measureSpscRing(cellCount)
}
