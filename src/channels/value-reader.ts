import type { ChannelCodec } from './codec.ts'
import type { ConsumerEnd, SpscFrameConsumer, SpscNumberConsumer } from './shared/index.ts'
import { MARK_FIRST, MARK_LAST } from './value-writer.ts'

/** There is no value: a value of its own, since all others may be sent. */
export const NONE: unique symbol = Symbol('none')
export type None = typeof NONE

/** Reads values out of a ring: what a receiver knows of its codec. */
export interface ValueReader<T> {
  readonly consumer: ConsumerEnd<unknown>
  /** Takes the oldest value, whose cells are given back later. What its codec throws, once that was taken. */
  take(): T | None
}

export class NumberReader implements ValueReader<number> {
  readonly consumer: SpscNumberConsumer

  constructor(consumer: SpscNumberConsumer) {
    this.consumer = consumer
  }

  take(): number | None {
    return this.consumer.take() ?? NONE
  }
}

export class FrameReader<T> implements ValueReader<T> {
  readonly consumer: SpscFrameConsumer
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
      if (mark === (MARK_FIRST | MARK_LAST)) {
        this.#pieces = []
        return this.#codec.decode(piece)
      }
      if ((mark & MARK_FIRST) !== 0) this.#pieces = []
      this.#pieces.push(piece)
      if ((mark & MARK_LAST) !== 0) return this.#codec.decode(this.#join())
    }
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
