/** What the kernel writes before the data of a message. */
import { MSG_TRUNC, SOL_UDP, UDP_GRO } from '../../kernel/index.ts'

// ABI: struct io_uring_recvmsg_out, words: length of the name, of control data, of the data, flags.
export const RECEIVED_HEAD_BYTES = 16
const WORD_NAME = 0
const WORD_CONTROL = 4
const WORD_DATA = 8
const WORD_FLAGS = 12
// ABI: struct cmsghdr: length (8), level, type, then the value: an int.
const CONTROL_LEVEL = 8
const CONTROL_TYPE = 12
const CONTROL_VALUE = 16
const CONTROL_INT_BYTES = 20

/** How much room is kept in each buffer, before the data. */
export interface ReceivedLayout {
  readonly nameBytes: number
  /** Of {@link CONTROL_BYTES}, or 0 where none is asked for. */
  readonly controlBytes: number
}

/** Room for control data of one int. */
export const CONTROL_BYTES = 24

/** Where the data begins. */
export function headBytesOf({ nameBytes, controlBytes }: ReceivedLayout): number {
  return RECEIVED_HEAD_BYTES + nameBytes + controlBytes
}

/** How long the name of the sender is, cut to the room there is. */
export function nameBytesOf(message: Uint8Array, { nameBytes }: ReceivedLayout): number {
  return Math.min(wordAt(message, WORD_NAME), nameBytes)
}

export function dataBytesOf(message: Uint8Array): number {
  return wordAt(message, WORD_DATA)
}

export function isTruncated(message: Uint8Array): boolean {
  return (wordAt(message, WORD_FLAGS) & MSG_TRUNC) !== 0
}

/** How long the datagrams are that were brought together, or 0 if it is one. */
export function segmentBytesOf(message: Uint8Array, layout: ReceivedLayout): number {
  if (layout.controlBytes === 0 || wordAt(message, WORD_CONTROL) < CONTROL_INT_BYTES) return 0
  const base = RECEIVED_HEAD_BYTES + layout.nameBytes
  if (wordAt(message, base + CONTROL_LEVEL) !== SOL_UDP) return 0
  if (wordAt(message, base + CONTROL_TYPE) !== UDP_GRO) return 0
  return wordAt(message, base + CONTROL_VALUE)
}

/** Writes a head as the kernel would, of a message that was received otherwise. */
export function writeHead(
  message: Uint8Array,
  words: readonly [number, number, number, number],
): void {
  const fields = new DataView(message.buffer, message.byteOffset, RECEIVED_HEAD_BYTES)
  for (const [index, word] of words.entries()) fields.setUint32(index * 4, word, true)
}

/** Byte by byte: a view of words would have to be made for each buffer. */
function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! + bytes[at + 1]! * 256 + bytes[at + 2]! * 65_536 + bytes[at + 3]! * 16_777_216
}
