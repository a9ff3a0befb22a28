import { assert } from '../base/index.ts'
import type { Description } from './descriptors.ts'

/** Descriptors on their way, with the bytes that they were sent with: each description is held for it. */
export type Rights = readonly Description[]

/** One direction of a connection: bytes on their way, and bytes that have arrived. */
export class ByteStream {
  readonly capacityBytes: number
  /** When what was sent last arrives: nothing overtakes it. */
  lastArrivalNs = 0
  /** Whether the end was sent, and whether it has arrived. */
  isEnding = false
  hasEnded = false
  readonly #arrived: Uint8Array[] = []
  /** By the arrived bytes that they came with, until the first of these is taken. */
  readonly #rights = new Map<Uint8Array, Rights>()
  #isAbandoned = false
  #arrivedBytes = 0
  #transitBytes = 0

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes
  }

  get arrivedBytes(): number {
    return this.#arrivedBytes
  }

  /** With what is on its way. */
  get unreadBytes(): number {
    return this.#arrivedBytes + this.#transitBytes
  }

  get spaceBytes(): number {
    return Math.max(0, this.capacityBytes - this.#arrivedBytes - this.#transitBytes)
  }

  /** Sends bytes, which arrive when {@link arrive} is called with as many. */
  depart(lengthBytes: number): void {
    assert(lengthBytes <= this.spaceBytes, 'no more is sent than there is room for')
    this.#transitBytes += lengthBytes
  }

  /** Takes over what has arrived. */
  arrive(bytes: Uint8Array, rights: Rights | null = null): void {
    this.#transitBytes -= bytes.length
    this.#arrivedBytes += bytes.length
    this.#arrived.push(bytes)
    if (rights === null) return
    if (this.#isAbandoned) releaseAll(rights)
    else this.#rights.set(bytes, rights)
  }

  /**
   * Copies what has arrived into `target`, and takes it unless peeking; returns how much. It ends with what descriptors came
   * with, which are given to `onRights`, or closed.
   */
  take(
    target: Uint8Array,
    isPeeking: boolean,
    onRights: (rights: Rights) => void = releaseAll,
  ): number {
    let done = 0
    let index = 0
    let isLast = false
    while (done < target.length && index < this.#arrived.length && !isLast) {
      const chunk = this.#arrived[index]!
      const count = Math.min(chunk.length, target.length - done)
      target.set(chunk.subarray(0, count), done)
      done += count
      const rights = isPeeking ? undefined : this.#rights.get(chunk)
      if (rights !== undefined) {
        this.#rights.delete(chunk)
        onRights(rights)
        isLast = true
      }
      if (count < chunk.length && !isPeeking) this.#arrived[index] = chunk.subarray(count)
      else index++
    }
    if (!isPeeking) {
      this.#arrived.splice(0, index)
      this.#arrivedBytes -= done
    }
    return done
  }

  clear(): void {
    this.#arrived.length = 0
    this.#arrivedBytes = 0
    this.#dropRights()
  }

  /** Nobody will read it: descriptors that have come, or are on their way, are closed. */
  abandon(): void {
    this.#isAbandoned = true
    this.#dropRights()
  }

  #dropRights(): void {
    for (const rights of this.#rights.values()) releaseAll(rights)
    this.#rights.clear()
  }
}

function releaseAll(rights: Rights): void {
  for (const description of rights) description.release()
}
