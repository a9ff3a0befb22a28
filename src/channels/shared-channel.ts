import { nextPowerOfTwo, optionNames, validateInteger, validateOptions } from '../base/index.ts'
import { type CodecName, checkCodecName } from './codec.ts'
import { createSpscRing, type RingKind, type SpscRing } from './shared/index.ts'

const CAPACITY_MAX = 2 ** 26
const VALUE_BYTES_DEFAULT = 120
const VALUE_BYTES_MAX = 2 ** 26
const FRAME_CELLS_MIN = 64
const CELLS_MAX = 2 ** 27

export interface SharedChannelOptions {
  /** How many values it has room for, 1 … 2^26; rounded up to a power of two, of cells or of bytes. */
  readonly capacity: number
  /** What crosses it, and how; `clone` if not given. */
  readonly codec?: CodecName
  /**
   * How long a value is as a rule, encoded, in bytes; 120 if not given. Longer ones take the room of several; those
   * of more than half of the ring cross in pieces. Not for `numbers`, which have 8.
   */
  readonly valueBytes?: number
}

const NAMES = optionNames<SharedChannelOptions>({ capacity: true, codec: true, valueBytes: true })

/**
 * A channel between two threads, as plain data: it can be posted (`postMessage()`, `workerData`) to whoever attaches
 * to its ends.
 */
export interface SharedChannel<T> {
  readonly codec: CodecName
  readonly ring: SpscRing
  /** How many values there is room for. */
  readonly capacity: number
  /** Never there: by it the compiler knows what crosses. */
  readonly value?: T
}

/**
 * Creates a channel from one thread to one other: first in, first out, with back-pressure.
 *
 * What it returns is plain data, to be posted to the threads of both ends, each of which attaches once
 * ({@link attachSender}, {@link attachReceiver}). Neither waits for the other: a sender may fill it before there is a
 * receiver. Both ends may be of one thread. Its memory, in shared memory, goes with the last reference.
 *
 * What is sent one by one is published in lots, at the end of the turn at the latest, and a thread is woken only where
 * it sleeps and waits for that. Tens of nanoseconds for a number, a microsecond or more for a clone; a wake-up costs
 * what the kernel takes for it.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind.
 *
 * Source: glommio::channels::shared_channel.
 *
 * @example
 * ```ts run
 * import { spawn } from 'percore'
 * import { attachReceiver, attachSender, createSharedChannel } from 'percore/channels'
 *
 * // Post it to a worker, and let that attach to one of its ends.
 * const channel = createSharedChannel({ capacity: 128, codec: 'numbers' })
 *
 * spawn(async () => {
 *   using sender = attachSender(channel)
 *   for (let i = 0; i < 5; i++) await sender.send(i)
 * })
 * for await (const value of attachReceiver(channel)) console.log(value)
 * ```
 */
export function createSharedChannel(
  options: SharedChannelOptions & { readonly codec: 'numbers' },
): SharedChannel<number>
export function createSharedChannel(
  options: SharedChannelOptions & { readonly codec: 'bytes' },
): SharedChannel<Uint8Array>
export function createSharedChannel<T>(options: SharedChannelOptions): SharedChannel<T>
export function createSharedChannel(options: SharedChannelOptions): SharedChannel<unknown> {
  const { codec, kind, cellCount, capacity } = checkShape('create a shared channel', options)
  return { codec, ring: createSpscRing({ kind, capacity: cellCount }), capacity }
}

/** How rings are to be made for values. */
export interface RingShape {
  readonly codec: CodecName
  readonly kind: RingKind
  readonly cellCount: number
  readonly capacity: number
}

/** @throws {TypeError | RangeError} for options of the wrong kind. */
export function checkShape(action: string, options: SharedChannelOptions): RingShape {
  validateOptions(action, options, NAMES)
  const { capacity, codec = 'clone', valueBytes } = options
  validateInteger(action, 'capacity', capacity, { min: 1, max: CAPACITY_MAX })
  checkCodecName(action, codec)
  if (codec === 'numbers') {
    if (valueBytes !== undefined) {
      throw new TypeError(
        `Cannot ${action} of numbers with valueBytes as each must have 8: it is given`,
      )
    }
    const cellCount = nextPowerOfTwo(capacity)
    return { codec, kind: 'numbers', cellCount, capacity: cellCount }
  }
  const bounds = { min: 0, max: VALUE_BYTES_MAX }
  const lengthBytes = valueBytes ?? VALUE_BYTES_DEFAULT
  validateInteger(action, 'valueBytes', lengthBytes, bounds)
  const valueCells = 1 + Math.ceil(lengthBytes / 8)
  if (capacity * valueCells > CELLS_MAX) {
    throw new RangeError(
      `Cannot ${action} as capacity × valueBytes must be at most 2^30: current value is ${capacity * lengthBytes}`,
    )
  }
  const cellCount = Math.max(FRAME_CELLS_MIN, nextPowerOfTwo(capacity * valueCells))
  return { codec, kind: 'frames', cellCount, capacity: Math.floor(cellCount / valueCells) }
}
