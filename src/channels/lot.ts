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
  readonly #send: () => void
  #count = 0
  #seen = 0
  #hopsLeft = 0
  #isScheduled = false

  constructor(countMax: number, send: () => void) {
    this.#countMax = countMax
    this.#send = send
  }

  /** One more. */
  add(): void {
    if (++this.#count >= this.#countMax) this.send()
    else if (!this.#isScheduled) this.#schedule()
  }

  /** Sends what there is now. */
  send(): void {
    this.#count = 0
    this.#seen = 0
    this.#send()
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
    if (this.#count > 0) this.send()
  }
}
