import { NO_QUEUE, NS_PER_MS } from '../base/index.ts'
import type { Kernel } from '../kernel/index.ts'
import { Timer, type Timers } from './timers.ts'

const RETRY_NS: number = 100 * NS_PER_MS

/** Tries again what the system refused for now; called as timers are looked at, so it runs no user code. */
export class RetryTimer extends Timer {
  readonly #onExpiry: () => void

  constructor(onExpiry: () => void, options?: { keepsAlive?: boolean }) {
    super(NO_QUEUE, options)
    this.#onExpiry = onExpiry
  }

  schedule({ timers, kernel }: { readonly timers: Timers; readonly kernel: Kernel }): void {
    if (!this.isArmed) timers.arm(this, kernel.nowNs() + RETRY_NS)
  }

  override expire(): void {
    this.#onExpiry()
  }

  override run(): void {}
}
