import { isBytes, validateInteger, wrongType } from '../base/index.ts'

const UTF8 = new TextEncoder()
const DOUBLE = new DataView(new ArrayBuffer(8))
const SEED = 0x70657263

/**
 * The shard, of so many, that a key belongs to: the same in every thread, process, machine and version.
 *
 * Strings count by their UTF-8, numbers by their eight bytes (-0 as 0), big integers by their digits, bytes as they are;
 * keys of different kinds may differ in their shard. The hash is MurmurHash3 of 32 bits, spread over the shards by its high
 * bits. O(length), some tens of nanoseconds; another count of shards moves most keys. Not for secrets: who chooses
 * keys can choose them of one shard.
 *
 * @throws {TypeError | RangeError} for a key of another kind, and a count that is no whole number from 1.
 *
 * Source: glommio::channels::sharding; Appleby's MurmurHash3.
 *
 * @example
 * ```ts run
 * import { shardOf } from 'percore/channels'
 *
 * console.log(shardOf('user:1', 4), shardOf(42, 4))
 * ```
 */
export function shardOf(key: string | number | bigint | Uint8Array, shardCount: number): number {
  const action = 'choose a shard'
  validateInteger(action, 'shardCount', shardCount, { min: 1, max: 2 ** 20 })
  return Math.floor((hash(bytesOf(action, key)) / 2 ** 32) * shardCount)
}

function bytesOf(action: string, key: unknown): Uint8Array {
  if (typeof key === 'string') return UTF8.encode(key)
  if (typeof key === 'number') {
    DOUBLE.setFloat64(0, key === 0 ? 0 : key, true)
    return new Uint8Array(DOUBLE.buffer)
  }
  if (typeof key === 'bigint') return UTF8.encode(String(key))
  if (isBytes(key)) return key
  throw wrongType(action, 'the key', 'a string, a number, a bigint or a Uint8Array', key)
}

/** MurmurHash3_x86_32. */
function hash(bytes: Uint8Array): number {
  const { length } = bytes
  const wholeLength = length & ~3
  let state = SEED
  for (let index = 0; index < wholeLength; index += 4) {
    const word =
      bytes[index]! |
      (bytes[index + 1]! << 8) |
      (bytes[index + 2]! << 16) |
      (bytes[index + 3]! << 24)
    state ^= scramble(word)
    state = (Math.imul((state << 13) | (state >>> 19), 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let index = length - 1; index >= wholeLength; index--) tail = (tail << 8) | bytes[index]!
  if (wholeLength < length) state ^= scramble(tail)
  state ^= length
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35)
  return (state ^ (state >>> 16)) >>> 0
}

function scramble(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}
