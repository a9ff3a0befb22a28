import type { Executor } from '../executor/index.ts'
import { abandonEnd, type SharedWords } from './shared/index.ts'

/** One place in something shared, by the word that says whose it is. */
export interface Place {
  readonly words: SharedWords
  readonly claim: number
}

/**
 * Threads that are to take places in something shared, whichever is free: for each that has ended without, one is abandoned.
 *
 * O(places) for each of them that ends.
 */
export class ExpectedPeers {
  readonly #home: Executor
  readonly #places: readonly Place[]
  /** How many places each of them is to take that has not ended. */
  readonly #expected = new Map<number, number>()
  readonly #unwatch: () => void

  constructor(home: Executor, places: readonly Place[], peerIds: readonly number[]) {
    this.#home = home
    this.#places = places
    for (const id of peerIds) {
      if (id !== 0) this.#expected.set(id, (this.#expected.get(id) ?? 0) + 1)
    }
    this.#unwatch = home.doorbell.onAnyEnded(() => this.#look())
    this.#look()
  }

  /** Looks no more. Again is nothing. */
  stop(): void {
    this.#unwatch()
  }

  #look(): void {
    for (const [id, count] of this.#expected) {
      if (!this.#home.doorbell.isEnded(id)) continue
      this.#expected.delete(id)
      // Once it has ended it takes none any more.
      const taken = this.#places.filter(({ words, claim }) => words.load(claim) === id)
      for (let index = taken.length; index < count; index++) this.#abandonOne()
    }
    if (this.#expected.size === 0) this.stop()
  }

  #abandonOne(): void {
    this.#places.find(({ words, claim }) => abandonEnd(words, claim))
  }
}
