import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import type { Task } from '../executor/index.ts'

/** The call of a service's method that the running code belongs to. */
export interface ServiceCall {
  /** The shard that has called. */
  readonly from: number
  /** Aborted when whoever has called does not want the answer any more, or has ended. */
  readonly signal: AbortSignal
}

const storage = new AsyncLocalStorage<CallInContext>()
/** Made while this is loaded, by nobody's task: what begins in it has no AsyncLocalStorage of anybody's. */
const nobody = new AsyncResource('PercoreService')

/** The call itself, as the code that answers it has it. */
export class CallInContext implements ServiceCall {
  readonly from: number
  /** How many calls, each made by the one before, have led to it; 1 for one that none has. */
  readonly depth: number
  readonly #task: Task<unknown>

  constructor(task: Task<unknown>, from: number, depth: number) {
    this.#task = task
    this.from = from
    this.depth = depth
  }

  get signal(): AbortSignal {
    return this.#task.signal
  }
}

/**
 * The call that the running code belongs to, across every `await`; null where no other shard, nor this one, has called it.
 *
 * What percore waits for in a method is cancelled with the call; the signal is for APIs that are not percore's.
 *
 * @example
 * ```ts
 * import { currentCall } from 'percore/runtime'
 *
 * export async function download(url: string): Promise<number> {
 *   const response = await fetch(url, { signal: currentCall()?.signal ?? null })
 *   return response.status
 * }
 * ```
 */
export function currentCall(): ServiceCall | null {
  return storage.getStore() ?? null
}

/** How many calls have led to the running code, each made by the one before. */
export function callDepth(): number {
  return storage.getStore()?.depth ?? 0
}

export function runInCall<T>(call: CallInContext, body: () => T): T {
  return storage.run(call, body)
}

/** Runs what is no caller's work, though a caller's code may have led to it. */
export function runForNobody<T>(body: () => T): T {
  return nobody.runInAsyncScope(body)
}
