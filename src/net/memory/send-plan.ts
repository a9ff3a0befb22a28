/** What the next send of a stream takes, and how: decisions alone. */

/** Smaller writes that have to wait are sent together. */
export const COALESCED_BYTES_MAX: number = 4 * 1024
/** How much one send takes from a queue of small writes. */
export const GATHERED_BYTES_MAX: number = 64 * 1024
/** How many writes one send takes, so that a send which is cut short again and again is cheap to repeat. */
export const GATHERED_WRITES_MAX = 1024
/** How much of one large write is copied at a time, and from where on others are not sent together with one. */
export const COPIED_BYTES_MAX: number = 256 * 1024
/** What one send is asked for at most; its count must fit the result. */
export const SENT_BYTES_MAX: number = 2 ** 30
/** How many pieces of memory one send is made of at most. */
export const PARTS_MAX = 16

/** From where a send takes its bytes. */
export type SendWay = 0 | 1 | 2 | 3
/** Copied: the first write, and small ones behind it. */
export const SEND_COPY = 0
/** Where the first write lies, and that alone. */
export const SEND_IN_PLACE = 1
/** Where writes lie, and small ones in between copied: a vector. */
export const SEND_GATHERED = 2
/** Where the first write lies, without the kernel's copy either: its memory is free with a second completion. */
export const SEND_ZERO_COPY = 3

/** What of a write is to be known for that. */
export interface Sendable {
  readonly lengthBytes: number
  readonly sentBytes: number
  /** Where it lies for the kernel, or 0 if it has to be copied. */
  readonly address: number
  /** Whether nothing else goes in one send with it, as descriptors go with its first byte. */
  readonly isAlone: boolean
  readonly following: Sendable | null
}

/** What the kernel and the connection can do. */
export interface SendLimits {
  /** From how many bytes on a write in I/O memory is sent without the kernel's copy. */
  readonly zeroCopyBytesMin: number
}

/**
 * How to send the first write of a queue, and what waits behind it. Pure; O(1) for a write alone, else O(writes that one
 * send takes).
 *
 * | the first write              | behind it            | way          |
 * |------------------------------|----------------------|--------------|
 * | to be copied                 | nothing, small ones  | `COPY`       |
 * | to be copied, ≤ 64 KiB       | a large one in place | `GATHERED`   |
 * | in place, < 4 KiB            | anything             | as if copied |
 * | in place, ≥ `zeroCopyBytesMin` | anything           | `ZERO_COPY`  |
 * | in place, < 256 KiB          | anything             | `GATHERED`   |
 * | in place                     | nothing              | `IN_PLACE`   |
 * | alone                        | anything             | `COPY` or `IN_PLACE`, as it lies |
 */
export function planSend(first: Sendable, limits: SendLimits): SendWay {
  const { following } = first
  const left = first.lengthBytes - first.sentBytes
  if (first.isAlone) return first.address === 0 ? SEND_COPY : SEND_IN_PLACE
  if (isCopiedFirst(first)) {
    if (following === null || left > GATHERED_BYTES_MAX) return SEND_COPY
    return isFollowedInPlace(first, left, limits) ? SEND_GATHERED : SEND_COPY
  }
  if (left >= limits.zeroCopyBytesMin) return SEND_ZERO_COPY
  if (following === null || left >= COPIED_BYTES_MAX) return SEND_IN_PLACE
  return isSentAlone(following, limits) ? SEND_IN_PLACE : SEND_GATHERED
}

/** Whether the first write of a queue is copied: it has to be, or it is small and others wait behind it. */
export function isCopiedFirst({ address, lengthBytes, sentBytes, following }: Sendable): boolean {
  return address === 0 || (following !== null && lengthBytes - sentBytes < COALESCED_BYTES_MAX)
}

/** How much memory to copy to a send is given that copies its first write, and small ones behind it. */
export function copiedBytesOf(first: Sendable): number {
  const left = first.lengthBytes - first.sentBytes
  if (left > GATHERED_BYTES_MAX) return Math.min(left, COPIED_BYTES_MAX)
  let wanted = left
  let count = 1
  for (let write = first.following; write !== null; write = write.following) {
    if (isSentApart(write) || wanted >= GATHERED_BYTES_MAX || count === GATHERED_WRITES_MAX) break
    wanted += write.lengthBytes
    count++
  }
  return Math.min(wanted, GATHERED_BYTES_MAX)
}

/** How much memory to copy to a send is given that is a vector. */
export function gatheredCopyBytes(first: Sendable, limits: SendLimits): number {
  let copiedBytes = isCopiedFirst(first) ? first.lengthBytes - first.sentBytes : 0
  let inPlaceBytes = first.lengthBytes - first.sentBytes - copiedBytes
  let count = 1
  for (let write = first.following; write !== null; write = write.following) {
    if (copiedBytes >= GATHERED_BYTES_MAX || inPlaceBytes >= COPIED_BYTES_MAX) break
    if (++count > GATHERED_WRITES_MAX || isSentAlone(write, limits)) break
    if (isSentInPlace(write)) inPlaceBytes += write.lengthBytes
    else copiedBytes += write.lengthBytes
  }
  return Math.min(copiedBytes, GATHERED_BYTES_MAX)
}

/** Whether a write behind others is large, and needs no copy. */
export function isSentInPlace({ address, lengthBytes }: Sendable): boolean {
  return address !== 0 && lengthBytes >= COALESCED_BYTES_MAX
}

/** Whether a write behind others is not copied together with them. */
export function isSentApart(write: Sendable): boolean {
  return write.isAlone || isSentInPlace(write)
}

/** Whether a write behind others waits until it is first: to be sent without the kernel's copy, or with descriptors. */
export function isSentAlone(write: Sendable, { zeroCopyBytesMin }: SendLimits): boolean {
  return write.isAlone || (isSentInPlace(write) && write.lengthBytes >= zeroCopyBytesMin)
}

/** Whether one in place comes behind what one send copies. */
function isFollowedInPlace(first: Sendable, left: number, limits: SendLimits): boolean {
  let copiedBytes = left
  let count = 1
  for (let write = first.following; write !== null; write = write.following) {
    if (isSentApart(write)) return !isSentAlone(write, limits)
    copiedBytes += write.lengthBytes
    if (copiedBytes > GATHERED_BYTES_MAX || ++count === GATHERED_WRITES_MAX) return false
  }
  return false
}
