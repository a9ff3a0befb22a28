import type { Cancellable } from './cancellable.ts'

/**
 * The waits and operations that an aborted signal cancels: one listener on the signal for all of them.
 *
 * A listener each would cost a microsecond each, and make Node warn of a leak from the eleventh on.
 */
export class AbortHub {
  readonly #signal: AbortSignal
  readonly #targets = new Set<Cancellable>()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  add(target: Cancellable): void {
    if (this.#targets.size === 0) this.#signal.addEventListener('abort', this.#onAbort)
    this.#targets.add(target)
  }

  remove(target: Cancellable): void {
    if (!this.#targets.delete(target)) return
    if (this.#targets.size === 0) this.#signal.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    for (const target of [...this.#targets]) target.cancel(this.#signal.reason)
  }
}

const hubs = new WeakMap<AbortSignal, AbortHub>()

/** The hub of `signal`; it goes with the signal. */
export function abortHub(signal: AbortSignal): AbortHub {
  let hub = hubs.get(signal)
  if (hub === undefined) {
    hub = new AbortHub(signal)
    hubs.set(signal, hub)
  }
  return hub
}
