import { assert } from '../../base/index.ts'
import type { SendOperation } from './send-operation.ts'

/** Sends that have their result while their memory is the kernel's, as the peer has not acknowledged it. */
export class UnfreedSends {
  readonly #sends = new Set<SendOperation>()

  add(send: SendOperation): void {
    assert(
      send.write !== null && send.bounce === null,
      'only what lies in place is sent without a copy',
    )
    this.#sends.add(send)
  }

  /** Its memory is free. */
  end(send: SendOperation): void {
    const wasUnfreed = this.#sends.delete(send)
    assert(wasUnfreed, 'memory is freed once, after the result')
    send.end()
  }

  /** Ends the writes that wait for nothing else; their memory stays the kernel's. O(sends). */
  fail(reason: unknown): void {
    for (const { write } of this.#sends) if (write?.isSent === true) write.finish(reason)
  }
}
