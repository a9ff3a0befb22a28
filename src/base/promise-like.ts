/** Whether `value` is awaited rather than taken as it is: it has a method `then`. */
export function isPromiseLike<T>(value: unknown): value is PromiseLike<T> {
  const canHaveMethods =
    (typeof value === 'object' && value !== null) || typeof value === 'function'
  return canHaveMethods && typeof (value as PromiseLike<T>).then === 'function'
}
