import { assert } from '../base/index.ts'

/** One direction of a connection: bytes on their way, and bytes that have arrived. */
export class ByteStream {
  readonly capacityBytes: number
  /** When what was sent last arrives: nothing overtakes it. */
  lastArrivalNs = 0
  /** Whether the end was sent, and whether it has arrived. */
  isEnding = false
  hasEnded = false
  readonly #arrived: Uint8Array[] = []
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
  arrive(bytes: Uint8Array): void {
    this.#transitBytes -= bytes.length
    this.#arrivedBytes += bytes.length
    this.#arrived.push(bytes)
  }

  /** Copies what has arrived into `target`, and takes it unless peeking; returns how much. */
  take(target: Uint8Array, isPeeking: boolean): number {
    let done = 0
    let index = 0
    while (done < target.length && index < this.#arrived.length) {
      const chunk = this.#arrived[index]!
      const count = Math.min(chunk.length, target.length - done)
      target.set(chunk.subarray(0, count), done)
      done += count
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
  }
}
