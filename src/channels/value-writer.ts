import { assert, wrongType } from '../base/index.ts'
import { type ChannelCodec, encodeValue, givesOwnBytes } from './codec.ts'
import {
  frameCellsMax,
  type ProducerEnd,
  type SpscFrameProducer,
  type SpscNumberProducer,
} from './shared/index.ts'

/** ABI: the mark of a frame. A value is one frame with both, or several: what came before the first is forgotten. */
export const MARK_FIRST = 1
export const MARK_LAST = 2

/** Writes values into a ring: what a sender knows of its codec. */
export interface ValueWriter<T, P> {
  readonly producer: ProducerEnd<unknown>
  /** Whether there is no room for a value of the usual length. */
  readonly isFull: boolean
  /** What a value is in the ring; throws what is wrong with it. */
  pack(value: T): P
  /** Stages all of it at once, or nothing: where there is no room, or can never be. */
  stage(packed: P): boolean
  /** The same for one that waits, whatever the caller does with its own. */
  keep(packed: P): P
  /** Many values in the ring. */
  packBatch(values: ArrayLike<T>): ArrayLike<P>
  /** Stages as many as there is room for, each whole, from that one on; returns the one to go on with. */
  stageBatch(packed: ArrayLike<P>, from: number): number
  /** Whether there can be room for all of it at once. */
  isWhole(packed: P): boolean
  /** Stages what there is room for from `done` on; returns how much is done then, {@link sizeOf} at the end. */
  stageFrom(packed: P, done: number): number
  /** How much there is of it. */
  sizeOf(packed: P): number
  /** How many cells to ask for, to go on from `done`. */
  cellsFor(packed: P, done: number): number
}

export class NumberWriter implements ValueWriter<number, number> {
  readonly producer: SpscNumberProducer

  constructor(producer: SpscNumberProducer) {
    this.producer = producer
  }

  get isFull(): boolean {
    return this.producer.isFull
  }

  pack(value: number): number {
    if (typeof value !== 'number') {
      throw wrongType('send to a channel of numbers', 'value', 'a number', value)
    }
    return value
  }

  keep(packed: number): number {
    return packed
  }

  stage(packed: number): boolean {
    return this.producer.stage(packed)
  }

  packBatch(values: ArrayLike<number>): ArrayLike<number> {
    if (values instanceof Float64Array) return values
    for (let index = 0; index < values.length; index++) this.pack(values[index] as number)
    return values
  }

  stageBatch(packed: ArrayLike<number>, from: number): number {
    return from + this.producer.stageBatch(packed, from, packed.length)
  }

  isWhole(): boolean {
    return true
  }

  stageFrom(packed: number, done: number): number {
    return this.producer.stage(packed) ? 1 : done
  }

  sizeOf(): number {
    return 1
  }

  cellsFor(): number {
    return 1
  }
}

/** A value that is larger than half of the ring goes in pieces. */
export class FrameWriter<T> implements ValueWriter<T, Uint8Array> {
  readonly producer: SpscFrameProducer
  readonly #codec: ChannelCodec<T>
  readonly #isOwn: boolean
  readonly #wholeMax: number
  readonly #pieceMax: number
  readonly #usualBytes: number

  /** `usualCells` is how many cells a value has as a rule, its header included. */
  constructor(producer: SpscFrameProducer, codec: ChannelCodec<T>, usualCells: number) {
    assert(usualCells >= 1, 'a frame has a header')
    this.producer = producer
    this.#codec = codec
    this.#isOwn = givesOwnBytes(codec as ChannelCodec<unknown>)
    this.#usualBytes = Math.min((Math.floor(usualCells) - 1) * 8, producer.frameBytesMax)
    this.#wholeMax = producer.frameBytesMax
    // Of a quarter of the ring, so that both ends have something to do.
    this.#pieceMax = Math.max(8, (producer.capacity / 4 - 1) * 8)
    assert(this.#pieceMax <= this.#wholeMax, 'a piece fits the ring')
  }

  get isFull(): boolean {
    return !this.producer.hasRoomFor(this.#usualBytes)
  }

  pack(value: T): Uint8Array {
    return encodeValue('send to a channel', this.#codec, value)
  }

  keep(packed: Uint8Array): Uint8Array {
    return this.#isOwn ? packed : Uint8Array.prototype.slice.call(packed)
  }

  stage(packed: Uint8Array): boolean {
    if (packed.length > this.#wholeMax) return false
    return this.producer.stage(packed, MARK_FIRST | MARK_LAST)
  }

  packBatch(values: ArrayLike<T>): ArrayLike<Uint8Array> {
    return Array.from(values, (value) => this.pack(value))
  }

  stageBatch(packed: ArrayLike<Uint8Array>, from: number): number {
    let next = from
    while (next < packed.length && this.stage(packed[next] as Uint8Array)) next++
    return next
  }

  isWhole(packed: Uint8Array): boolean {
    return packed.length <= this.#wholeMax
  }

  stageFrom(packed: Uint8Array, done: number): number {
    if (packed.length <= this.#wholeMax) return this.stage(packed) ? this.sizeOf(packed) : done
    let from = done
    while (from < packed.length) {
      const to = Math.min(from + this.#pieceMax, packed.length)
      const mark = (from === 0 ? MARK_FIRST : 0) | (to === packed.length ? MARK_LAST : 0)
      if (!this.producer.stage(packed.subarray(from, to), mark)) break
      from = to
    }
    return from
  }

  // An empty value is something that was not sent yet, too.
  sizeOf(packed: Uint8Array): number {
    return packed.length === 0 ? 1 : packed.length
  }

  cellsFor(packed: Uint8Array, done: number): number {
    const isWhole = packed.length <= this.#wholeMax
    return frameCellsMax(isWhole ? packed.length : Math.min(packed.length - done, this.#pieceMax))
  }
}
