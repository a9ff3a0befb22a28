import { NO_BUFFER } from '../ring/index.ts'

/** Packs a length above a buffer's number, which is below this. */
const BUFFER_FACTOR = 32_768

/**
 * The chunks of a stream that wait to be read, and the one that its reader has.
 *
 * A stream has one only while there are any, as most wait for data most of the time; the ring of
 * its sockets keeps those that are free.
 */
export class Inbox {
  // The first chunk that waits, from where it has not been read yet.
  buffer: number
  startBytes: number
  endBytes: number
  /** The buffer of the chunk that was read last, until it is given back. */
  lentBuffer: number
  // Those behind it: buffer and length in one number.
  readonly #rest: number[]

  constructor() {
    this.buffer = NO_BUFFER
    this.startBytes = 0
    this.endBytes = 0
    this.lentBuffer = NO_BUFFER
    this.#rest = []
  }

  get hasChunk(): boolean {
    return this.buffer !== NO_BUFFER
  }

  /** Whether nothing waits and nothing is lent. */
  get isFree(): boolean {
    return this.buffer === NO_BUFFER && this.lentBuffer === NO_BUFFER
  }

  /** Chunks behind the first. */
  get restCount(): number {
    return this.#rest.length
  }

  put(buffer: number, lengthBytes: number): void {
    if (this.buffer !== NO_BUFFER) {
      this.#rest.push(lengthBytes * BUFFER_FACTOR + buffer)
      return
    }
    this.buffer = buffer
    this.startBytes = 0
    this.endBytes = lengthBytes
  }

  /** Takes the first chunk off, and returns its buffer. */
  shift(): number {
    const { buffer } = this
    const next = this.#rest.shift()
    if (next === undefined) {
      this.buffer = NO_BUFFER
      return buffer
    }
    this.buffer = next % BUFFER_FACTOR
    this.startBytes = 0
    this.endBytes = Math.floor(next / BUFFER_FACTOR)
    return buffer
  }
}
