/** The block after one of so many bytes is twice as long, so that each byte is copied once. */
const BLOCK_BYTES_MIN = 256
const BLOCK_BYTES_MAX: number = 16 * 1024

const NONE = new Uint8Array(0)

/**
 * Bytes of a stream that were copied out of the receive buffers before anybody read them, in order.
 *
 * They lie in ordinary memory, small ones together in blocks that double, so that a slow reader's one-byte
 * messages cost about their bytes. O(1) per message.
 */
export class CopiedBytes {
  /** From the oldest to the newest; the ones before {@link #head} have been read. */
  readonly #blocks: Uint8Array[] = []
  #head = 0
  /** Where the first block has been read to. */
  #startBytes = 0
  /** How much of the last block is filled. */
  #filledBytes = 0
  #capacityBytes = 0

  get isEmpty(): boolean {
    return this.#head === this.#blocks.length
  }

  /** The memory that is held, filled or not. */
  get capacityBytes(): number {
    return this.#capacityBytes
  }

  /** Makes room for `lengthBytes` more, which are then appended without another block. */
  reserve(lengthBytes: number): void {
    const last = this.isEmpty ? null : this.#blocks.at(-1)!
    if (last !== null && last.length - this.#filledBytes >= lengthBytes) return
    // A block is whole once another follows it.
    if (last !== null) this.#blocks[this.#blocks.length - 1] = last.subarray(0, this.#filledBytes)
    const usual = last === null ? BLOCK_BYTES_MIN : Math.min(BLOCK_BYTES_MAX, 2 * last.length)
    const block = new Uint8Array(Math.max(usual, lengthBytes))
    this.#blocks.push(block)
    this.#capacityBytes += block.length
    this.#filledBytes = 0
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.#blocks.at(-1)!.set(bytes, this.#filledBytes)
    this.#filledBytes += bytes.length
  }

  /** The oldest bytes, which stay in. */
  peek(): Uint8Array {
    const block = this.#blocks[this.#head]!
    return block.subarray(this.#startBytes, this.#endOfFirst(block))
  }

  /** Takes so many off, of what {@link peek} shows. */
  skip(lengthBytes: number): void {
    this.#startBytes += lengthBytes
    const block = this.#blocks[this.#head]!
    if (this.#startBytes === this.#endOfFirst(block)) this.#dropFirst(block)
  }

  /** Takes the oldest bytes: the caller's for good. */
  shift(): Uint8Array {
    const block = this.#blocks[this.#head]!
    const bytes = this.peek()
    this.#dropFirst(block)
    // What is mostly empty, or was read in part, would keep more alive than it shows.
    return bytes.length * 2 < block.buffer.byteLength ? bytes.slice() : bytes
  }

  #endOfFirst(block: Uint8Array): number {
    return this.#head === this.#blocks.length - 1 ? this.#filledBytes : block.length
  }

  #dropFirst(block: Uint8Array): void {
    this.#capacityBytes -= block.buffer.byteLength
    this.#startBytes = 0
    this.#blocks[this.#head++] = NONE
    if (this.#head < this.#blocks.length) {
      if (this.#head < 32 || this.#head * 2 < this.#blocks.length) return
      this.#blocks.splice(0, this.#head)
    } else {
      this.#blocks.length = 0
      this.#filledBytes = 0
    }
    this.#head = 0
  }
}
