import { assert, isPowerOfTwo, validateInteger } from '../../base/index.ts'
import { AtomicWords, claimEnd, type SharedWords } from './shared-words.ts'

/*
 * ABI: the header of a ring, in words. What one side writes often has a pair of cache lines of its own
 * (processors fetch two at once); the first pair is written when something begins or ends.
 */
const WORD_STAMP = 0
const WORD_CAPACITY = 1
/** Whose an end is, by the number of its executor; 0 for nobody's yet. */
export const WORD_PRODUCER_CLAIM = 2
export const WORD_CONSUMER_CLAIM = 3
/** Set by the producer when nothing will follow. */
export const WORD_PRODUCER_CLOSED = 4
/** Set by the consumer when it will take nothing more. */
export const WORD_CONSUMER_CLOSED = 5
/** Set by a producer that waits for room, cleared by the consumer that tells it. */
export const WORD_ROOM_WANTED = 6
/** Set by a consumer that waits for something to come, cleared by the producer that tells it. */
export const WORD_ITEM_WANTED = 7
/** The executor of each end, by its number, once the end was attached to; and its inbox there, which is stored first. */
export const WORD_PRODUCER_EXECUTOR = 8
export const WORD_PRODUCER_INBOX = 9
export const WORD_CONSUMER_EXECUTOR = 10
export const WORD_CONSUMER_INBOX = 11
/** The cell that the producer publishes next; counts on for ever, modulo 2^32. */
export const WORD_TAIL = 32
/** The cell that the consumer frees next; the same. */
export const WORD_HEAD = 64
/** How many words a header has. */
export const HEADER_WORDS = 96

const HEADER_BYTES = HEADER_WORDS * 4
/** A number, or the unit that frames are made of. */
export const CELL_BYTES = 8
/** Half of what the difference of two indexes can tell. */
const CAPACITY_MAX = 2 ** 30

/** What the cells of a ring hold: one number each, or frames of bytes that span several. */
export type RingKind = 'numbers' | 'frames'

const STAMPS: Readonly<Record<RingKind, number>> = { numbers: 0x70635231, frames: 0x70635232 }

/**
 * A queue from one thread to one other, in shared memory: first in, first out, bounded.
 *
 * This is its description, which any thread may be sent; `SpscNumberProducer.attach()` and its like make an
 * end of it, once each. The ends never block and wake nobody: the executor's doorbell does that.
 *
 * Source: Lamport, "Specifying Concurrent Program Modules" (1983); the private copies of the other side's
 * index are those of MCRingBuffer (Lee, Bu, Chandranmenon, 2010).
 */
export interface SpscRing {
  readonly kind: RingKind
  readonly memory: SharedArrayBuffer
  /** Where its header begins: a multiple of 128. */
  readonly offsetBytes: number
  /** How many cells of 8 bytes it has: a power of two. */
  readonly capacity: number
}

export interface SpscRingOptions {
  readonly kind: RingKind
  /** How many cells of 8 bytes: a power of two up to 2^30; frames need four at least. */
  readonly capacity: number
  /** Where it is to lie, if not in memory of its own: zeros, {@link measureSpscRing} bytes of them. */
  readonly memory?: SharedArrayBuffer
  /** Where in `memory`: a multiple of 128. */
  readonly offsetBytes?: number
}

/** A ring as an end sees it: the model checker has memory of its own. */
export interface OpenRing<Cells> {
  readonly words: SharedWords
  readonly cells: Cells
  readonly capacity: number
}

/** How many bytes a ring of that many cells takes: a multiple of 128. */
export function measureSpscRing(capacity: number): number {
  return HEADER_BYTES + Math.ceil((capacity * CELL_BYTES) / 128) * 128
}

/**
 * Lays out an empty ring; the description of it may be sent to other threads then, and not before.
 *
 * @throws {RangeError} for a capacity that is no power of two or out of bounds.
 */
export function createSpscRing(options: SpscRingOptions): SpscRing {
  const { kind, capacity, offsetBytes = 0 } = options
  const action = 'create a ring'
  validateInteger(action, 'capacity', capacity, {
    min: kind === 'frames' ? 4 : 1,
    max: CAPACITY_MAX,
  })
  if (!isPowerOfTwo(capacity)) {
    throw new RangeError(
      `Cannot ${action} as capacity must be a power of two: current value is ${capacity}`,
    )
  }
  const memory = options.memory ?? new SharedArrayBuffer(measureSpscRing(capacity))
  assert(offsetBytes % 128 === 0, 'a ring begins at a pair of cache lines')
  const words = new Int32Array(memory, offsetBytes, HEADER_WORDS)
  assert(words[WORD_STAMP] === 0, 'the memory of a new ring is zeros')
  words[WORD_CAPACITY] = capacity
  words[WORD_STAMP] = STAMPS[kind]
  return { kind, memory, offsetBytes, capacity }
}

/** The header of a ring that was sent here. */
export function openHeader(ring: SpscRing, kind: RingKind): SharedWords {
  const words = new Int32Array(ring.memory, ring.offsetBytes, HEADER_WORDS)
  assert(words[WORD_STAMP] === STAMPS[kind], 'a ring is attached to as what it was made')
  assert(words[WORD_CAPACITY] === ring.capacity, 'a description tells the capacity of its ring')
  return new AtomicWords(words)
}

/** @throws {RuntimeError} as {@link claimEnd}. */
export function claimProducer({ words }: OpenRing<unknown>, owner: number | undefined): void {
  claimEnd({ words, index: WORD_PRODUCER_CLAIM, subject: 'a ring', end: 'producer', owner })
}

/** @throws {RuntimeError} as {@link claimEnd}. */
export function claimConsumer({ words }: OpenRing<unknown>, owner: number | undefined): void {
  claimEnd({ words, index: WORD_CONSUMER_CLAIM, subject: 'a ring', end: 'consumer', owner })
}

/** Whether somebody has, or had, that end of a ring. */
export function isEndClaimed(ring: SpscRing, end: 'producer' | 'consumer'): boolean {
  const words = new Int32Array(ring.memory, ring.offsetBytes, HEADER_WORDS)
  const index = end === 'producer' ? WORD_PRODUCER_CLAIM : WORD_CONSUMER_CLAIM
  return Atomics.load(words, index) !== 0
}

/** The byte at which the cells of a ring begin. */
export function cellsOffset(ring: SpscRing): number {
  return ring.offsetBytes + HEADER_BYTES
}
