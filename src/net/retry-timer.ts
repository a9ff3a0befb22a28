import { NO_QUEUE, NS_PER_MS } from '../base/index.ts'
import type { Executor } from '../executor/index.ts'
import { Timer } from '../reactor/index.ts'

const RETRY_NS: number = 100 * NS_PER_MS

/** Tries again what the system refused for now; called as timers are looked at, so it runs no user code. */
export class RetryTimer extends Timer {
  readonly #onExpiry: () => void

  constructor(onExpiry: () => void) {
    super(NO_QUEUE)
    this.#onExpiry = onExpiry
  }

  schedule(executor: Executor): void {
    if (!this.isArmed) executor.reactor.timers.arm(this, executor.nowNs() + RETRY_NS)
  }

  override expire(): void {
    this.#onExpiry()
  }

  override run(): void {}
}
