import { NO_QUEUE, NS_PER_MS, type RuntimeError } from '../base/index.ts'
import { Timer, type TimerPort } from './timers.ts'

const RETRY_NS: number = 100 * NS_PER_MS

/** How to try again. */
interface RetryOptions {
  readonly keepsAlive?: boolean
  /** Called instead where the executor closes first. */
  readonly onClose?: (reason: RuntimeError) => void
}

/** Tries again what the system refused for now; called as timers are looked at, so it runs no user code. */
export class RetryTimer extends Timer {
  readonly #onExpiry: () => void
  readonly #onClose: ((reason: RuntimeError) => void) | undefined

  constructor(onExpiry: () => void, options?: RetryOptions) {
    super(NO_QUEUE, options)
    this.#onExpiry = onExpiry
    this.#onClose = options?.onClose
  }

  /** Tries again in a while, unless that is under way. */
  schedule(timers: TimerPort, delayNs: number = RETRY_NS): void {
    if (!this.isArmed) timers.arm(this, timers.nowNs() + delayNs)
  }

  override expire(): void {
    this.#onExpiry()
  }

  override executorCloses(reason: RuntimeError): void {
    this.#onClose?.(reason)
  }

  override run(): void {}
}
