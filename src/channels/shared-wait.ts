import { type Executor, ListedWaiter, type WaitHome, type WaitOptions } from '../executor/index.ts'
import { COUNTER_CHANNEL_WAITS } from '../stats/index.ts'

/** Somebody who waits for another thread: the program lives on meanwhile. */
export abstract class SharedWaiter<R> extends ListedWaiter<R> {
  readonly #home: Executor
  #isHolding = false

  constructor(home: Executor) {
    super(home)
    this.#home = home
  }

  override bindListed(home: WaitHome, options: WaitOptions | undefined, action: string): void {
    super.bindListed(home, options, action)
    this.#home.liveness.hold()
    this.#isHolding = true
    this.#home.io.control.counters[COUNTER_CHANNEL_WAITS]!++
  }

  override run(): void {
    if (this.#isHolding) this.#home.liveness.letGo()
    this.#isHolding = false
    super.run()
  }
}
