/** A promise with its two ends apart. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | PromiseLike<T>) => void
  readonly reject: (reason: unknown) => void
}

let lastResolve: (value: never) => void
let lastReject: (reason: unknown) => void

/** What the constructor of every promise is given, where a closure each would be garbage each. */
export function captureEnds(
  resolve: (value: never) => void,
  reject: (reason: unknown) => void,
): void {
  lastResolve = resolve
  lastReject = reject
}

/** A new promise; its ends are in {@link takeResolve} and {@link takeReject} until the next call. */
export function newPromise<T>(): Promise<T> {
  return new Promise<T>(captureEnds as never)
}

export function takeResolve<T>(): (value: T | PromiseLike<T>) => void {
  return lastResolve as (value: T | PromiseLike<T>) => void
}

export function takeReject(): (reason: unknown) => void {
  return lastReject
}

/** `Promise.withResolvers`, which Node 20 lacks. */
export function createDeferred<T>(): Deferred<T> {
  const promise = newPromise<T>()
  return { promise, resolve: takeResolve(), reject: takeReject() }
}

/** Rejects a promise of which only the one end is kept; it takes two microtasks more. */
export function rejectThrough<T>(
  resolve: (value: T | PromiseLike<T>) => void,
  reason: unknown,
): void {
  resolve(Promise.reject(reason))
}
