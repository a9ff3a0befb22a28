import { RuntimeError } from '../base/index.ts'
import type { ChannelCodec } from './codec.ts'
import type { ConsumerEnd, SpscFrameConsumer, SpscNumberConsumer } from './shared/index.ts'
import { MARK_FIRST, MARK_LAST } from './value-writer.ts'

/** There is no value: a value of its own, since all others may be sent. */
export const NONE: unique symbol = Symbol('none')
export type None = typeof NONE

/** Where many values are put: an array, or of numbers a Float64Array. */
export interface ValueTarget<T> {
  [index: number]: T
  readonly length: number
}

/** Reads values out of a ring: what a receiver knows of its codec. */
export interface ValueReader<T> {
  readonly consumer: ConsumerEnd<unknown>
  /** Whether a Float64Array can take them. */
  readonly isOfNumbers: boolean
  /** Takes the oldest value, whose cells are given back later. What its codec throws, once that was taken. */
  take(): T | None
  /** Takes some, one at least if there is one, into the places from `from` up to `to`; returns how many. Throws as {@link take}. */
  takeInto(target: ValueTarget<T>, from: number, to: number): number
}

export class NumberReader implements ValueReader<number> {
  readonly consumer: SpscNumberConsumer
  readonly isOfNumbers = true

  constructor(consumer: SpscNumberConsumer) {
    this.consumer = consumer
  }

  take(): number | None {
    return this.consumer.take() ?? NONE
  }

  takeInto(target: ValueTarget<number>, from: number, to: number): number {
    return this.consumer.takeInto(target, from, to)
  }
}

export class FrameReader<T> implements ValueReader<T> {
  readonly consumer: SpscFrameConsumer
  readonly isOfNumbers = false
  readonly #codec: ChannelCodec<T>
  /** Of a value that has not come whole yet. */
  #pieces: Uint8Array[] = []

  constructor(consumer: SpscFrameConsumer, codec: ChannelCodec<T>) {
    this.consumer = consumer
    this.#codec = codec
  }

  take(): T | None {
    const { consumer } = this
    for (;;) {
      const offset = consumer.nextFrame()
      if (offset === -1) return NONE
      // A copy: the sender writes there again, and what is decoded may point into it.
      const piece = consumer.bytes.slice(offset, offset + consumer.frameLength)
      const mark = consumer.frameMark
      // A value that was not sent to its end.
      if ((mark & MARK_FIRST) !== 0 && this.#pieces.length > 0) this.#pieces = []
      if (mark === (MARK_FIRST | MARK_LAST)) return this.#codec.decode(piece)
      // Where a receiver ended in the middle of a value whoever reads what it left has no beginning of that.
      const isBegun = (mark & MARK_FIRST) !== 0 || this.#pieces.length > 0
      if (isBegun) this.#pieces.push(piece)
      if ((mark & MARK_LAST) === 0) continue
      if (!isBegun) throw halfError()
      return this.#codec.decode(this.#join())
    }
  }

  takeInto(target: ValueTarget<T>, from: number, to: number): number {
    if (from === to) return 0
    const value = this.take()
    if (value === NONE) return 0
    target[from] = value
    return 1
  }

  #join(): Uint8Array {
    const pieces = this.#pieces
    this.#pieces = []
    const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
    let offset = 0
    for (const piece of pieces) {
      whole.set(piece, offset)
      offset += piece.length
    }
    return whole
  }
}

function halfError(): RuntimeError {
  const why = 'its receiver must not have begun to take it: the beginning is gone'
  return new RuntimeError('ERR_VALUE_UNREADABLE', `Cannot take a value back as ${why}`)
}
