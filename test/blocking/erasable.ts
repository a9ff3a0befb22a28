/** Loaded as it is, where Node takes the types out of a module itself. */
interface Pair {
  readonly left: number
  readonly right: number
}

export function multiply({ left, right }: Pair): number {
  return left * right
}
