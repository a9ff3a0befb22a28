import { alignDown, alignUp, assert } from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import type { Lease } from '../../memory/index.ts'

/** The file that is read; what it gives does not change. */
export interface SharedReadsFile {
  readonly alignmentBytes: number
  read(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<Lease>
}

/** Reads in flight are found by the stretch of the file that they begin in. */
const STRETCH_BYTES: number = 128 * 1024

/** A read in flight, and how many wait for it. */
class SharedRead {
  readonly startBytes: number
  readonly endBytes: number
  readonly whole: Promise<Lease>
  waiterCount = 0

  constructor(startBytes: number, endBytes: number, whole: Promise<Lease>) {
    this.startBytes = startBytes
    this.endBytes = endBytes
    this.whole = whole
  }

  covers(startBytes: number, endBytes: number): boolean {
    return this.startBytes <= startBytes && this.endBytes >= endBytes
  }
}

/**
 * Reads of a file in which what several want at the same time is read once: each gets a slice of what one read brings.
 *
 * A read joins one in flight whose blocks hold all of its own, if that began at the same place or is the longest in flight
 * of its stretch. O(1). One with options of its own joins nobody, as its cancelling must not be the others', but others join it.
 */
export class SharedReads {
  readonly #file: SharedReadsFile
  readonly #byStart = new Map<number, SharedRead>()
  readonly #longest = new Map<number, SharedRead>()
  /** How many reads another one has answered. */
  joinedCount = 0

  constructor(file: SharedReadsFile) {
    this.#file = file
  }

  /** What there is of a stretch. */
  read(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<Lease> {
    const { alignmentBytes } = this.#file
    const startBytes = alignDown(offsetBytes, alignmentBytes)
    const endBytes = alignUp(offsetBytes + lengthBytes, alignmentBytes)
    const found = options === undefined ? this.#find(startBytes, endBytes) : null
    if (found !== null) return this.#join(found, offsetBytes, lengthBytes)
    return this.#begin({ startBytes, endBytes }, offsetBytes, lengthBytes, options)
  }

  #find(startBytes: number, endBytes: number): SharedRead | null {
    const same = this.#byStart.get(startBytes)
    if (same?.covers(startBytes, endBytes)) return same
    const longest = this.#longest.get(stretchOf(startBytes))
    return longest?.covers(startBytes, endBytes) ? longest : null
  }

  async #join(read: SharedRead, offsetBytes: number, lengthBytes: number): Promise<Lease> {
    try {
      return await this.#takePart(read, offsetBytes, lengthBytes)
    } catch {
      // It may have failed for a reason of its own: it was cancelled, say. Whoever joined asks for itself.
      return await this.read(offsetBytes, lengthBytes, {})
    }
  }

  #begin(
    { startBytes, endBytes }: { readonly startBytes: number; readonly endBytes: number },
    offsetBytes: number,
    lengthBytes: number,
    options: WaitOptions | undefined,
  ): Promise<Lease> {
    const whole = this.#file.read(startBytes, endBytes - startBytes, options)
    const read = new SharedRead(startBytes, endBytes, whole)
    this.#byStart.set(startBytes, read)
    const stretch = stretchOf(startBytes)
    const longest = this.#longest.get(stretch)
    if (longest === undefined || endBytes - startBytes > longest.endBytes - longest.startBytes) {
      this.#longest.set(stretch, read)
    }
    const forget = (): void => {
      if (this.#byStart.get(startBytes) === read) this.#byStart.delete(startBytes)
      if (this.#longest.get(stretch) === read) this.#longest.delete(stretch)
    }
    // First of all that wait for it, so that nobody joins a read that is over.
    whole.then(forget, forget)
    return this.#takePart(read, offsetBytes, lengthBytes, false)
  }

  #takePart(
    read: SharedRead,
    offsetBytes: number,
    lengthBytes: number,
    isJoining = true,
  ): Promise<Lease> {
    read.waiterCount++
    if (isJoining) this.joinedCount++
    return read.whole.then((whole) => {
      read.waiterCount--
      // What was read may end before the part does, or even before it begins.
      const fromBytes = Math.min(offsetBytes - read.startBytes, whole.lengthBytes)
      const thereBytes = Math.min(lengthBytes, whole.lengthBytes - fromBytes)
      const part = whole.slice(fromBytes, thereBytes)
      assert(read.waiterCount >= 0, 'each who waits takes its part once')
      if (read.waiterCount === 0) whole.release()
      return part
    })
  }
}

function stretchOf(startBytes: number): number {
  return Math.floor(startBytes / STRETCH_BYTES)
}
