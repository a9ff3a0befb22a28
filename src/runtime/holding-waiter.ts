import { type Executor, ListedWaiter, type WaitHome, type WaitOptions } from '../executor/index.ts'

/** Somebody who waits for what another thread answers: the program lives on meanwhile. */
export class HoldingWaiter<T> extends ListedWaiter<T> {
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
  }

  override run(): void {
    if (this.#isHolding) this.#home.liveness.letGo()
    this.#isHolding = false
    super.run()
  }
}
