/** A mistake of ours, not of the user: it stops the program and is never caught. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
  readonly code = 'ERR_ASSERTION'
}

/**
 * States an invariant. Constant messages only: a template literal costs thirty times as much.
 *
 * Never for user input: that gets a `TypeError`, a `RangeError` or a {@link RuntimeError}.
 *
 * @throws {AssertionError} when `condition` is false.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) fail(message)
}

/** Marks code that no input may reach. */
export function unreachable(message: string): never {
  fail(message)
}

function fail(message: string): never {
  throw new AssertionError(message)
}
