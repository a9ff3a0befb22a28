/** Whether `value` is awaited rather than taken as it is: it has a method `then`. */
export function isPromiseLike<T>(value: unknown): value is PromiseLike<T> {
  const canHaveMethods =
    (typeof value === 'object' && value !== null) || typeof value === 'function'
  return canHaveMethods && typeof (value as PromiseLike<T>).then === 'function'
}

/**
 * A promise of the language's own that settles as `value` does: once, whatever that makes of `then()`.
 *
 * Others' promises may begin their work in `then()`, throw there, or settle twice. One of the language's
 * own is returned as it is, which `Promise.resolve()` does with what merely says to be one, too.
 */
export function adoptPromise<T>(value: PromiseLike<T>): Promise<T> {
  return isPlainPromise(value) ? value : new Promise((resolve) => resolve(value))
}

/** Whether it is one of the language's own, tasks included, which settle once and run nothing. */
export function isPlainPromise<T>(value: PromiseLike<T>): value is Promise<T> {
  return (
    value instanceof Promise &&
    value.constructor === Promise &&
    value.then === Promise.prototype.then
  )
}
