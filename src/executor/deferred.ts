/** A promise with its two ends apart. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | PromiseLike<T>) => void
  readonly reject: (reason: unknown) => void
}

let lastResolve: (value: never) => void
let lastReject: (reason: unknown) => void

/** What the constructor of a promise is given, where a closure each would be garbage each. */
export function captureEnds(
  resolve: (value: never) => void,
  reject: (reason: unknown) => void,
): void {
  lastResolve = resolve
  lastReject = reject
}

function captureResolve(resolve: (value: never) => void): void {
  lastResolve = resolve
}

/**
 * A new promise; what resolves it is in {@link takeResolve} until the next call, and {@link rejectFrom} rejects
 * it by that: its other end is not kept, and V8 then need not make it, for as long as it waits.
 */
export function newPromise<T>(): Promise<T> {
  return new Promise<T>(captureResolve as never)
}

export function takeResolve<T>(): (value: T | PromiseLike<T>) => void {
  return lastResolve as (value: T | PromiseLike<T>) => void
}

export function takeReject(): (reason: unknown) => void {
  return lastReject
}

/** `Promise.withResolvers`, which Node 20 lacks. */
export function createDeferred<T>(): Deferred<T> {
  const promise = new Promise<T>(captureEnds as never)
  return { promise, resolve: takeResolve(), reject: takeReject() }
}

const SETTLED: Promise<void> = Promise.resolve()
/** Errors that were made in a turn, where no code that awaits is on the stack. */
const untraced = new WeakSet<object>()

/** Marks an error that is made in a turn: {@link rejectFrom} or {@link traceHere} gives it a stack. */
export function madeInTurn<E extends Error>(error: E): E {
  untraced.add(error)
  return error
}

/**
 * Rejects a promise, with the stack of the code that awaits it where the error has none: by `reject`, if that is kept.
 *
 * V8 knows the async functions that wait behind a promise: the stack is taken in a microtask of a promise that
 * this one follows. So it costs nothing until something fails, and then some microseconds.
 */
export function rejectFrom<T>(
  resolve: (value: T | PromiseLike<T>) => void,
  reason: unknown,
  reject?: (reason: unknown) => void,
): void {
  if (typeof reason !== 'object' || reason === null || !untraced.delete(reason)) {
    if (reject === undefined) rejectThrough(resolve, reason)
    else reject(reason)
    return
  }
  // Two steps, so that the promise follows the second before that is run.
  resolve(
    SETTLED.then(nothing).then(() => {
      Error.captureStackTrace(reason)
      throw reason
    }),
  )
}

/**
 * For an async function that throws what a turn may have made: such an error gets the stack of the code that awaits
 * that function.
 */
export function traceHere<T>(reason: T): T {
  if (typeof reason === 'object' && reason !== null && untraced.delete(reason)) {
    Error.captureStackTrace(reason, traceHere)
  }
  return reason
}

function nothing(): void {}

/** Rejects a promise of which only the one end is kept; it takes two microtasks more. */
export function rejectThrough<T>(
  resolve: (value: T | PromiseLike<T>) => void,
  reason: unknown,
): void {
  resolve(Promise.reject(reason))
}
