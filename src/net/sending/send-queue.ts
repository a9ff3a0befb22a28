import { assert } from '../../base/index.ts'
import type { PendingWrite } from './pending-write.ts'

/** The writes of a stream that are not wholly sent, in their order. O(1) each, no allocation. */
export class SendQueue {
  first: PendingWrite | null = null
  #last: PendingWrite | null = null
  #order = 0

  push(write: PendingWrite): void {
    const last = this.#last
    write.order = ++this.#order
    write.preceding = last
    if (last === null) this.first = write
    else last.following = write
    this.#last = write
  }

  list(): PendingWrite[] {
    const writes: PendingWrite[] = []
    for (let write = this.first; write !== null; write = write.following) writes.push(write)
    return writes
  }

  remove({ preceding, following }: PendingWrite): void {
    if (preceding === null) this.first = following
    else preceding.following = following
    if (following === null) this.#last = preceding
    else following.preceding = preceding
  }

  /** Takes all off, and fails each: with the reason of its own cancellation if it has one. */
  fail(reason: Error): void {
    let write = this.first
    this.first = null
    this.#last = null
    while (write !== null) {
      const { following } = write
      write.finish(write.isCancelled ? write.cancelReason : reason)
      write = following
    }
  }

  /** Counts bytes as sent; ends each write that is sent by now, and empty ones behind it, unless a send holds it. */
  advance(lengthBytes: number): void {
    let left = lengthBytes
    for (let write = this.first; write !== null; write = this.first) {
      const missing = write.lengthBytes - write.sentBytes
      if (left < missing) {
        write.sentBytes += left
        return
      }
      left -= missing
      this.remove(write)
      write.sentBytes = write.lengthBytes
      if (write.isHeld) write.isSent = true
      else write.finish(null)
    }
    assert(left === 0, 'no more is sent than was waiting')
  }
}
