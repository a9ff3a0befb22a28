import { assert } from '../base/index.ts'
import { type LoopControl, type LoopHost, WORD_LIVE, WORD_REFERENCED } from '../kernel/index.ts'

/**
 * What keeps the program alive though nothing of it may be in flight, such as a socket that listens; timers
 * are counted with it. O(1), no allocation. Belongs to one thread.
 */
export class Liveness {
  readonly #control: LoopControl
  readonly #host: LoopHost

  constructor(control: LoopControl, host: LoopHost) {
    this.#control = control
    this.#host = host
  }

  /** Keeps the program alive until {@link letGo} has been called as often. */
  hold(): void {
    const { words } = this.#control
    words[WORD_LIVE]!++
    if (words[WORD_REFERENCED] === 0) this.#host.reference()
  }

  letGo(): void {
    const { words } = this.#control
    assert(words[WORD_LIVE]! > 0, 'only what keeps the program alive lets it go')
    words[WORD_LIVE]!--
  }
}
