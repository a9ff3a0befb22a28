/** Names among counters: their length, then as much of their UTF-8 as there is room for. */
import { assert } from '../base/index.ts'

/** Where the name of the executor is. */
export const EXECUTOR_NAME_INDEX = 120
/** What is longer is cut. */
export const NAME_BYTES_MAX = 63

const NAME_DOUBLES = 8
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Writes a name into the eight doubles from `index` on. Not for hot paths. */
export function writeName(counters: Float64Array, index: number, name: string): void {
  const bytes = bytesAt(counters, index)
  bytes.fill(0)
  // Never cuts a character in two.
  bytes[0] = encoder.encodeInto(name, bytes.subarray(1)).written
}

/** The name that is there; one that is being written may come out as neither. */
export function readName(counters: Float64Array, index: number): string {
  const bytes = bytesAt(counters, index)
  // Decoders take no shared memory, and what is copied stays as it is.
  return decoder.decode(bytes.slice(1, 1 + Math.min(bytes[0]!, NAME_BYTES_MAX)))
}

function bytesAt(counters: Float64Array, index: number): Uint8Array {
  assert(index + NAME_DOUBLES <= counters.length, 'a name lies among the counters')
  return new Uint8Array(counters.buffer, counters.byteOffset + index * 8, NAME_DOUBLES * 8)
}
