/** Up to so many bytes zeroed memory is made faster than memory that is not. */
const ZEROED_BYTES_MAX = 512

/**
 * A new array for its caller to fill, with an `ArrayBuffer` of its own.
 *
 * Not zeroed where it is long: that would cost as much as filling it.
 */
export function allocateBytes(lengthBytes: number): Uint8Array<ArrayBuffer> {
  if (lengthBytes <= ZEROED_BYTES_MAX) return new Uint8Array(lengthBytes)
  return new Uint8Array(Buffer.allocUnsafeSlow(lengthBytes).buffer)
}

/** A copy with an `ArrayBuffer` of its own: it can be kept, transferred, and sent to another thread. */
export function copyBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = allocateBytes(bytes.length)
  copy.set(bytes)
  return copy
}
