import { assert } from '../base/index.ts'
import type { WaitHome, WaitOptions } from './cancellation.ts'
import type { Executor } from './executor.ts'
import { ListedWaiter } from './wait-list.ts'

/** Somebody who waits for what another thread does: the program lives on meanwhile. */
export class HoldingWaiter<T> extends ListedWaiter<T> {
  protected readonly executor: Executor
  #isHolding = false

  constructor(executor: Executor) {
    super(executor)
    this.executor = executor
  }

  override bindListed(home: WaitHome, options: WaitOptions | undefined, action: string): void {
    assert(!this.#isHolding, 'who waits keeps the program alive once')
    super.bindListed(home, options, action)
    this.executor.liveness.hold()
    this.#isHolding = true
  }

  override run(): void {
    if (this.#isHolding) this.executor.liveness.letGo()
    this.#isHolding = false
    super.run()
  }
}
