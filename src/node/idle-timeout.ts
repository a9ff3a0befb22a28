import { nodeError, wrongArgument } from './errors.ts'

/** ABI: what Node's timers hold; longer ones fire at once. */
const TIMEOUT_MS_MAX: number = 2 ** 31 - 1

/**
 * The idle timeout of a socket. Its timer does not keep the program alive.
 *
 * Switching it off leaves the timer to lapse unheard: servers of HTTP switch it off and on with every request, and
 * would make a timer each time.
 */
export class IdleTimeout {
  readonly #onIdle: () => void
  #timer: NodeJS.Timeout | null = null
  #timerMs = 0
  #isOn = false

  constructor(onIdle: () => void) {
    this.#onIdle = onIdle
  }

  /** Begins to count, or stops with 0. */
  set(timeoutMs: number): void {
    this.#isOn = timeoutMs > 0
    if (!this.#isOn) return
    if (this.#timer !== null && this.#timerMs === timeoutMs) {
      this.#timer.refresh()
      return
    }
    this.clear()
    this.#isOn = true
    this.#timerMs = timeoutMs
    this.#timer = setTimeout(() => this.#expire(), Math.min(timeoutMs, TIMEOUT_MS_MAX)).unref()
  }

  /** Something was read or written. */
  touch(): void {
    if (this.#isOn) this.#timer!.refresh()
  }

  clear(): void {
    this.#isOn = false
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #expire(): void {
    if (this.#isOn) this.#onIdle()
  }
}

/** @throws {TypeError} `ERR_INVALID_ARG_TYPE`, {RangeError} `ERR_OUT_OF_RANGE` */
export function validateTimeout(timeoutMs: unknown): number {
  if (typeof timeoutMs !== 'number') {
    throw wrongArgument('"msecs" argument', 'of type number', timeoutMs)
  }
  if (timeoutMs >= 0 && Number.isFinite(timeoutMs)) return timeoutMs
  const message = `The value of "msecs" is out of range. It must be a non-negative finite number. Received ${timeoutMs}`
  throw nodeError(RangeError, 'ERR_OUT_OF_RANGE', message)
}
