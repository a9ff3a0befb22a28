import { assert, RuntimeError, reviveError } from '../base/index.ts'
import { abortHub, createDeferred, type Deferred } from '../executor/index.ts'
import type { WorkPriority } from './shard-options.ts'
import type { FromShard, ToShard } from './shard-thread.ts'
import { type CheckedWork, PRIORITIES, type WorkOptions } from './work.ts'

interface Pending {
  readonly priority: WorkPriority
  readonly deferred: Deferred<unknown>
  readonly forget: () => void
}

/** The calls to one shard that have not been answered: O(1) each. Belongs to the pool's thread. */
export class CallBoard {
  readonly #post: (message: ToShard) => void
  readonly #pending = new Map<number, Pending>()
  readonly #counts: Record<WorkPriority, number> = { high: 0, normal: 0, low: 0 }
  #nextId = 1

  /** @param post - Sends to the shard that runs now; throws for what cannot be cloned. */
  constructor(post: (message: ToShard) => void) {
    this.#post = post
  }

  /** Calls of that priority and of higher ones: what is to be done before another of it. */
  pendingCount(priority: WorkPriority = 'low'): number {
    let sum = 0
    for (const each of PRIORITIES) {
      sum += this.#counts[each]
      if (each === priority) break
    }
    return sum
  }

  /** @throws {TypeError} for an argument that cannot be cloned; the reason of a signal that is aborted. */
  call(work: CheckedWork, { priority = 'normal', signal }: WorkOptions): Promise<unknown> {
    if (signal?.aborted) throw signal.reason
    const id = this.#nextId++
    try {
      this.#post({ kind: 'call', id, ...work, priority })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      throw new TypeError(`Cannot run work as its argument must be cloneable: ${message}`, {
        cause: error,
      })
    }
    const deferred = createDeferred<unknown>()
    const forget = signal === undefined ? nothing : this.#cancelOn(signal, id, deferred)
    this.#pending.set(id, { priority, deferred, forget })
    this.#counts[priority]++
    return deferred.promise
  }

  settle(message: FromShard & { readonly kind: 'answered' | 'failed' }): void {
    const pending = this.#take(message.id)
    if (message.kind === 'answered') pending.deferred.resolve(message.value)
    else pending.deferred.reject(reviveError(message.error))
  }

  /** Nobody answers any more. */
  failAll(name: string, how: string): void {
    for (const id of [...this.#pending.keys()]) {
      this.#take(id).deferred.reject(
        new RuntimeError(
          'ERR_SHARD_FAILED',
          `Cannot complete work as '${name}' must go on until it has answered: it ${how}`,
        ),
      )
    }
  }

  #cancelOn(signal: AbortSignal, id: number, deferred: Deferred<unknown>): () => void {
    const hub = abortHub(signal)
    const target = {
      cancel: (reason: unknown): void => {
        this.#post({ kind: 'cancelCall', id })
        deferred.reject(reason)
      },
    }
    hub.add(target)
    return () => hub.remove(target)
  }

  #take(id: number): Pending {
    const pending = this.#pending.get(id)
    assert(pending !== undefined, 'a call is answered once')
    this.#pending.delete(id)
    this.#counts[pending.priority]--
    pending.forget()
    return pending
  }
}

function nothing(): void {}
