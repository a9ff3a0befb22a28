import { assert } from '../base/index.ts'
import {
  type LoopControl,
  type LoopHost,
  WORD_BACKGROUND,
  WORD_LIVE,
  WORD_REFERENCED,
} from '../kernel/index.ts'

/** What keeps a program alive though nothing of it may be in flight, such as a socket that listens. */
export interface LivenessPort {
  /** Keeps the program alive until {@link letGo} has been called as often. */
  hold(): void
  letGo(): void
  /** Has one operation in flight on the ring of that index keep the program alive no longer, until {@link heed}. */
  passOver(ringIndex: number): void
  /** The same operation does again, or has ended. */
  heed(ringIndex: number): void
}

/** Counts what keeps the program alive, together with the timers. O(1), no allocation. Belongs to one thread. */
export class Liveness implements LivenessPort {
  readonly #control: LoopControl
  readonly #host: LoopHost

  constructor(control: LoopControl, host: LoopHost) {
    this.#control = control
    this.#host = host
  }

  hold(): void {
    const { words } = this.#control
    assert(words[WORD_LIVE]! >= 0, 'what keeps the program alive is counted')
    words[WORD_LIVE]!++
    if (words[WORD_REFERENCED] === 0) this.#host.reference()
  }

  letGo(): void {
    const { words } = this.#control
    assert(words[WORD_LIVE]! > 0, 'only what keeps the program alive lets it go')
    words[WORD_LIVE]!--
  }

  passOver(ringIndex: number): void {
    this.#control.words[WORD_BACKGROUND + ringIndex]!++
  }

  heed(ringIndex: number): void {
    const { words } = this.#control
    assert(words[WORD_BACKGROUND + ringIndex]! > 0, 'only what was passed over is heeded again')
    words[WORD_BACKGROUND + ringIndex]!--
    if (words[WORD_REFERENCED] === 0) this.#host.reference()
  }
}
