/** What a send takes from its queue, by way of what {@link planSend} has decided. */
import type { MessageHeader } from '../memory/message-header.ts'
import type { SendBuffer } from '../memory/send-memory.ts'
import {
  COPIED_BYTES_MAX,
  GATHERED_WRITES_MAX,
  isCopiedFirst,
  isSentAlone,
  isSentApart,
  isSentInPlace,
  SENT_BYTES_MAX,
  type SendLimits,
} from '../memory/send-plan.ts'
import type { PendingWrite } from './pending-write.ts'
import { KIND_RIGHTS, KIND_ZERO_COPY, type SendOperation } from './send-operation.ts'

/** Takes as much of the first write as one send may have, where it lies. */
export function stageInPlace(send: SendOperation, first: PendingWrite): SendOperation {
  const left = first.lengthBytes - first.sentBytes
  send.lastOrder = first.order
  send.address = first.address + first.sentBytes
  send.lengthBytes = left < SENT_BYTES_MAX ? left : SENT_BYTES_MAX
  if (send.kind === KIND_ZERO_COPY) first.holdBy(send)
  return withRights(send, first)
}

/** Copies the first write, and small ones behind it, as many as fit. */
export function stageCopies(
  send: SendOperation,
  first: PendingWrite,
  bounce: SendBuffer,
): SendOperation {
  const { bytes, address } = bounce.lease
  // Less than a writer may count on to be copied at once, as memory is short.
  if (bytes.length < first.lengthBytes - first.sentBytes) first.keepLentBytes()
  let used = 0
  let count = 0
  for (let write: PendingWrite | null = first; write !== null; write = write.following) {
    if (used === bytes.length || count === GATHERED_WRITES_MAX) break
    // One whose memory is gone is told so when it is first.
    if (write !== first && (isSentApart(write) || write.isLost || first.isAlone)) break
    used += copyTo(bytes, used, write)
    count++
    send.lastOrder = write.order
  }
  send.bounce = bounce
  send.address = address
  send.lengthBytes = used
  return withRights(send, first)
}

/** Has the descriptors of a write go with its first byte. */
function withRights(send: SendOperation, { rights, sentBytes }: PendingWrite): SendOperation {
  if (rights === null || sentBytes > 0) return send
  send.kind = KIND_RIGHTS
  send.vector = rights.wrap(send.address, send.lengthBytes)
  return send
}

/** Takes writes where they lie, and copies small ones in between: a run of these is one part of the vector. */
export function stageGathered(
  send: SendOperation,
  first: PendingWrite,
  header: MessageHeader,
  bounce: SendBuffer | null,
  limits: SendLimits,
): SendOperation {
  const room = bounce === null ? NO_BYTES : bounce.lease.bytes
  const roomAddress = bounce === null ? 0 : bounce.lease.address
  header.clear()
  let used = 0
  let runStart = 0
  let inPlaceBytes = 0
  let count = 0
  for (let write: PendingWrite | null = first; write !== null; write = write.following) {
    // A run that is open needs a part as well.
    if (header.freeCount <= (used > runStart ? 1 : 0)) break
    if (count === GATHERED_WRITES_MAX || inPlaceBytes >= COPIED_BYTES_MAX) break
    if (write !== first && (write.isLost || isSentAlone(write, limits))) break
    const left = write.lengthBytes - write.sentBytes
    let takenBytes = left
    if (write === first ? !isCopiedFirst(write) : isSentInPlace(write)) {
      if (used > runStart) header.add(roomAddress + runStart, used - runStart)
      runStart = used
      header.add(write.address + write.sentBytes, left)
      inPlaceBytes += left
    } else {
      if (left > 0 && used === room.length) break
      if (room.length - used < left) write.keepLentBytes()
      takenBytes = copyTo(room, used, write)
      used += takenBytes
    }
    count++
    send.lastOrder = write.order
    // Nothing may go before the rest of one that does not fit.
    if (takenBytes < left) break
  }
  if (used > runStart) header.add(roomAddress + runStart, used - runStart)
  send.vector = header
  send.bounce = bounce
  send.lengthBytes = used + inPlaceBytes
  return send
}

/** Copies what is left of a write, or as much as fits, and returns how much that was. */
function copyTo(room: Uint8Array, used: number, write: PendingWrite): number {
  const start = write.sentBytes
  const end = Math.min(write.lengthBytes, start + room.length - used)
  room.set(write.bytes(start, end), used)
  return end - start
}

const NO_BYTES = new Uint8Array(0)
