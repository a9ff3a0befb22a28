import { type Directory, type ExecutorId, hasEnded } from '../kernel/index.ts'

/**
 * Who wants to know of which other executors' end.
 *
 * An executor that ends, however that comes, is marked as ended first and rings all others then. So this looks at each
 * executor that somebody here cares about, whenever one of the process has ended: O(those), however many there are. Who does not
 * know yet whom to care about is told of all.
 */
export class Peers {
  readonly #directory: Directory
  readonly #listeners = new Map<ExecutorId, Set<() => void>>()
  readonly #ofAny = new Set<() => void>()

  constructor(directory: Directory) {
    this.#directory = directory
  }

  /** Has `listener` called, once, when the executor has ended; what it returns takes that back. */
  add(id: ExecutorId, listener: () => void): () => void {
    let listeners = this.#listeners.get(id)
    if (listeners === undefined) {
      listeners = new Set()
      this.#listeners.set(id, listeners)
    }
    // One function may be given twice, and each time is taken back by itself.
    const own = (): void => listener()
    listeners.add(own)
    return () => {
      listeners.delete(own)
      if (listeners.size === 0 && this.#listeners.get(id) === listeners) this.#listeners.delete(id)
    }
  }

  /** Has `listener` called whenever some executor may have ended; what it returns takes that back. */
  addAny(listener: () => void): () => void {
    const own = (): void => listener()
    this.#ofAny.add(own)
    return () => {
      this.#ofAny.delete(own)
    }
  }

  /** Some executor of the process may have ended. */
  collect(): void {
    for (const [id, listeners] of this.#listeners) {
      if (!hasEnded(this.#directory, id)) continue
      this.#listeners.delete(id)
      for (const listener of listeners) listener()
    }
    for (const listener of this.#ofAny) listener()
  }
}
