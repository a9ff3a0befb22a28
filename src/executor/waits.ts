import { assert, RuntimeError } from '../base/index.ts'

/** A list on which something waits; see {@link Waits.addList}. */
export interface ListOfWaits {
  /** @internal */
  earlier: ListOfWaits | null
  /** @internal */
  later: ListOfWaits | null
  /** @internal Checks that it is in order. O(n): for audits. */
  audit(): void
  /** @internal Fails every waiter that stands on it in the name of `waits`, but for those of a closing. */
  executorCloses(waits: Waits, reason: RuntimeError): void
}

/** A wait that stands on no list, or something that knows of one. */
export interface LooseWait {
  /** @internal The executor closes: tells the waiters. May queue, but run no user code. */
  executorCloses(reason: RuntimeError): void
}

/** A wait for a closing, which the executor's own lets come to its end. */
export interface ShieldedWait {
  /** @internal The executor has left the loop without it. */
  executorLeft(reason: RuntimeError): void
}

/** A task that has not ended. */
export interface LiveTask {
  /** @internal The one that was spawned before it and lives, or null. */
  readonly olderTask: LiveTask | null
  readonly isDone: boolean
  /** @internal */
  requestCancel(reason: RuntimeError): void
  /** @internal */
  isLeft: boolean
  /** @internal Fails it for good, whatever its code still does. */
  abandon(reason: RuntimeError): void
}

/**
 * The waits on one executor for something else than the kernel or a time, so that its close can end them.
 *
 * Nothing is recorded per wait but on the rare paths: a list makes itself known while anybody stands on
 * it. O(1) each.
 */
export class Waits {
  /** Why nothing may wait from now on, else null. */
  closeReason: RuntimeError | null = null
  /** The task spawned last among those that have not ended. */
  newestTask: LiveTask | null = null
  readonly loose: Set<LooseWait> = new Set<LooseWait>()
  readonly shielded: Set<ShieldedWait> = new Set<ShieldedWait>()
  readonly #executorName: string
  #newestList: ListOfWaits | null = null

  constructor(executorName: string) {
    this.#executorName = executorName
  }

  /** Makes a list known that somebody stands on now. */
  addList(list: ListOfWaits): void {
    assert(list.earlier === null && list.later === null, 'a list is known once')
    const earlier = this.#newestList
    assert(earlier !== list, 'a list is known once')
    list.earlier = earlier
    if (earlier !== null) earlier.later = list
    this.#newestList = list
  }

  /** Forgets a list that nobody stands on any more. */
  removeList(list: ListOfWaits): void {
    const { earlier, later } = list
    assert((later === null) === (this.#newestList === list), 'a known list is in the chain')
    if (later === null) this.#newestList = earlier
    else later.earlier = earlier
    if (earlier !== null) earlier.later = later
    list.earlier = null
    list.later = null
  }

  /** Every list that somebody stands on, the one that has been so for longest first. */
  lists(): ListOfWaits[] {
    const lists: ListOfWaits[] = []
    for (let list = this.#newestList; list !== null; list = list.earlier) lists.push(list)
    return lists.reverse()
  }

  /** Checks the lists, and that each knows those beside it. O(lists and waiters): for audits. */
  audit(): void {
    let later: ListOfWaits | null = null
    for (let list = this.#newestList; list !== null; list = list.earlier) {
      assert(list.later === later, 'a list knows the ones beside it')
      list.audit()
      later = list
    }
    for (const task of this.tasks()) assert(!task.isDone, 'a task that has ended left the chain')
  }

  /** Every task that has not ended, in the order in which they were spawned. */
  tasks(): LiveTask[] {
    const tasks: LiveTask[] = []
    for (let task = this.newestTask; task !== null; task = task.olderTask) tasks.push(task)
    return tasks.reverse()
  }

  /** The error of `action`, which comes after the close. */
  closedError(action: string): RuntimeError {
    const { closeReason: cause } = this
    return new RuntimeError(
      'ERR_EXECUTOR_CLOSED',
      `Cannot ${action} as executor '${this.#executorName}' must be open: it was closed`,
      cause === null ? undefined : { cause },
    )
  }
}
