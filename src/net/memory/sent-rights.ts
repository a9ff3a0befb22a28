import type { Executor } from '../../executor/index.ts'
import type { MessageHeader } from './message-header.ts'
import type { SendMemory } from './send-memory.ts'

/**
 * Descriptors that are to be sent with a write: further ones of what they are of, so that nothing else comes to have
 * their numbers before the kernel has looked at them.
 */
export class SentRights {
  readonly #executor: Executor
  readonly #memory: SendMemory
  readonly #header: MessageHeader
  readonly #fds: readonly number[]

  /** Takes over the descriptors, which are tracked, and the header. */
  constructor(
    executor: Executor,
    { memory, header, fds }: { memory: SendMemory; header: MessageHeader; fds: readonly number[] },
  ) {
    this.#executor = executor
    this.#memory = memory
    this.#header = header
    this.#fds = fds
  }

  /** The message that sends these bytes, and the descriptors with them. */
  wrap(address: number, lengthBytes: number): MessageHeader {
    const header = this.#header
    header.clear()
    header.add(address, lengthBytes)
    header.setRights(this.#fds)
    return header
  }

  /** They were sent, or never will be. */
  end(): void {
    for (const fd of this.#fds) this.#executor.descriptors.closeFd(fd)
    this.#memory.giveHeader(this.#header)
  }
}
