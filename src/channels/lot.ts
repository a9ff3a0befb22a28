/** How many microtasks in a row may bring more before a lot goes. */
const HOPS_MAX = 8
const SETTLED: Promise<void> = Promise.resolve()

/**
 * Puts together what one thread tells another: what is done one by one is told in lots, at the end of the turn at
 * the latest.
 *
 * A lot goes when it is full, else in a microtask in which no more has come: microtasks run before the thread can
 * sleep, whoever has called the code. O(1) each, a microtask for each lot.
 */
export class Lot {
  readonly #countMax: number
  readonly #send: (isLast: boolean, count: number) => boolean
  #count = 0
  #seen = 0
  #hopsLeft = 0
  #isScheduled = false
  /** Whether some of what was sent is still to be told. */
  #isOwing = false

  /**
   * `send` is called with whether this is the last for now, and how many there are that it was not told of; where it is
   * not the last, it may leave the telling to a later call, by returning false.
   */
  constructor(countMax: number, send: (isLast: boolean, count: number) => boolean) {
    this.#countMax = countMax
    this.#send = send
  }

  /** Whether nothing waits to be told. */
  get isEmpty(): boolean {
    return this.#count === 0 && !this.#isOwing
  }

  /** So many more. */
  add(count = 1): void {
    this.#count += count
    if (this.#count >= this.#countMax) this.#go(false)
    if (!this.#isScheduled && !this.isEmpty) this.#schedule()
  }

  /** Sends what there is now, and tells of it. */
  send(): void {
    this.#go(true)
  }

  #go(isLast: boolean): void {
    const count = this.#count
    this.#count = 0
    this.#seen = 0
    this.#isOwing = !this.#send(isLast, count)
  }

  #schedule(): void {
    this.#isScheduled = true
    this.#hopsLeft = HOPS_MAX
    SETTLED.then(this.#hop)
  }

  readonly #hop = (): void => {
    if (this.#count !== this.#seen && this.#hopsLeft > 0) {
      this.#seen = this.#count
      this.#hopsLeft--
      SETTLED.then(this.#hop)
      return
    }
    this.#isScheduled = false
    if (!this.isEmpty) this.#go(true)
  }
}
