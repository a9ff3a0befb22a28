/** What `Buffer.toString()` itself calls, once it has looked its encoding up: that takes as long as a short string. */
export interface TextBuffer extends Buffer {
  utf8Slice(start: number, end: number): string
  latin1Slice(start: number, end: number): string
}

/** The same memory, with the methods of a `Buffer`. */
export function asBuffer(bytes: Uint8Array): TextBuffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) as TextBuffer
}

/** A new `Buffer` of its own, not zeroed. */
export function allocateBuffer(lengthBytes: number): TextBuffer {
  return Buffer.allocUnsafeSlow(lengthBytes) as TextBuffer
}
