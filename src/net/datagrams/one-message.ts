import type { Lease } from '../../memory/index.ts'
import type { DatagramPort } from './datagram-port.ts'
import {
  headBytesOf,
  RECEIVED_HEAD_BYTES,
  type ReceivedLayout,
  writeHead,
} from './received-message.ts'

// ABI: struct msghdr and a struct iovec behind it, in words.
const HEADER_BYTES = 72
const WORD_NAME = 0
const WORD_NAME_LENGTH = 2
const WORD_VECTORS = 4
const WORD_VECTOR_COUNT = 6
const WORD_CONTROL = 8
const WORD_CONTROL_LENGTH = 10
const WORD_FLAGS = 12
const WORD_VECTOR = 14
const WORD_RANGE = 2 ** 32

/**
 * Memory for one message at a time, for kernels before 6.0, which do not go on by themselves: laid out so that what lies there is
 * as in a receive buffer once its head is written.
 */
export class OneMessage {
  readonly #lease: Lease
  readonly #layout: ReceivedLayout
  readonly #words: Uint32Array
  readonly #roomBytes: number

  /** @throws {RuntimeError} `ERR_OUT_OF_MEMORY` */
  constructor({ net, layout, messageDataBytesMax }: DatagramPort) {
    this.#layout = layout
    this.#roomBytes = messageDataBytesMax
    this.#lease = net.executor.memory.allocateOwn(
      HEADER_BYTES + headBytesOf(layout) + messageDataBytesMax,
    )
    const { bytes } = this.#lease
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, HEADER_BYTES / 4)
  }

  /** The address of its header, for the next message. */
  prepare(): number {
    const words = this.#words
    const { nameBytes, controlBytes } = this.#layout
    const { address } = this.#lease
    const name = address + HEADER_BYTES + RECEIVED_HEAD_BYTES
    words.fill(0)
    this.#point(WORD_NAME, name)
    words[WORD_NAME_LENGTH] = nameBytes
    this.#point(WORD_VECTORS, address + WORD_VECTOR * 4)
    words[WORD_VECTOR_COUNT] = 1
    if (controlBytes > 0) this.#point(WORD_CONTROL, name + nameBytes)
    words[WORD_CONTROL_LENGTH] = controlBytes
    this.#point(WORD_VECTOR, name + nameBytes + controlBytes)
    words[WORD_VECTOR + 2] = this.#roomBytes
    return address
  }

  /** What has come, with a head before it; `dataBytes` is its whole length. */
  copy(dataBytes: number): Uint8Array {
    const words = this.#words
    const filledBytes = headBytesOf(this.#layout) + Math.min(dataBytes, this.#roomBytes)
    const message = this.#lease.bytes.slice(HEADER_BYTES, HEADER_BYTES + filledBytes)
    const [name, control] = [words[WORD_NAME_LENGTH]!, words[WORD_CONTROL_LENGTH]!]
    writeHead(message, [name, control, dataBytes, words[WORD_FLAGS]!])
    return message
  }

  release(): void {
    this.#lease.release()
  }

  #point(word: number, address: number): void {
    this.#words[word] = address
    this.#words[word + 1] = address / WORD_RANGE
  }
}
