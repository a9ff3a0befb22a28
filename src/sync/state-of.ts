/** What every lock has. */
interface Lock {
  readonly isClosed: boolean
  readonly waiterCount: number
}

/** How a lock shows itself: `state`, and how many wait. */
export function stateOf({ isClosed, waiterCount }: Lock, state: string): string {
  return `${isClosed ? `closed, ${state}` : state}, ${waiterCount} waiting`
}
