/** A turn is aimed at this long, unless its tasks ask {@link needPreempt} themselves. */
export const TURN_TARGET_NS = 500_000
/** And settles no more waiters than this, its follow-ups included. */
export const BATCH_MAX = 1024
/** A turn looks at the clock after what took so long, by what its pieces of work have cost lately; */
const UNTIMED_NS = 32_000
/** and after so many at the latest, since the next ones may be of another kind. */
const UNTIMED_MAX = 8
/** Ready paths may answer at once this often in a turn; then they wait for the next. */
export const READY_BUDGET = 256
/** And after each so many, less one, the clock is looked at. */
const READY_UNTIMED_MASK = 7

/** What is done next: more of this turn, or its end. */
export type TurnDecision =
  /** Settle more of the queue's waiters. */
  | 'settle'
  /** Submit what waits, and collect what the kernel completes there and then. */
  | 'submit'
  /** Let a microtask pass, in which code may get to its next operation. */
  | 'wait'
  /** End the turn: the hook submits, parks, and runs the queue that is next. */
  | 'leave'

/** What a turn sees as it decides how to go on. Each asker has one, and fills it in before it asks. */
export interface TurnView {
  /** Whether another queue waits, an urgent operation has completed, or the turn is asked to end. */
  isWanted: boolean
  /** Whether it has taken its time, or a timer is due, by the last look at the clock. */
  isOver: boolean
  /** Waiters that the turn may still settle. */
  leftCount: number
  /** Waiters that its own queue has. */
  readyCount: number
  /** Whether the first of them would run user code, which starts a turn of its own. */
  isUserCodeNext: boolean
  /** Whether submitting may bring more at once, as far as is known. */
  canCollect: boolean
  /** Microtasks that it may still wait for. */
  hopsLeft: number
}

export function createTurnView(): TurnView {
  return {
    isWanted: false,
    isOver: false,
    leftCount: 1,
    readyCount: 0,
    isUserCodeNext: false,
    canCollect: false,
    hopsLeft: 0,
  }
}

/**
 * How a turn goes on. Pure. The first line that holds decides:
 *
 * | wanted or over | may settle more | queue has waiters | first runs user code | can collect | hops left | decision |
 * | :---: | :---: | :---: | :---: | :---: | :---: | :--- |
 * | yes | | | | | | leave |
 * | no | no | | | | | leave |
 * | no | yes | yes | yes | | | leave |
 * | no | yes | yes | no | | | settle |
 * | no | yes | no | | yes | | submit |
 * | no | yes | no | | no | yes | wait |
 * | no | yes | no | | no | no | leave |
 */
export function decideTurn(view: TurnView): TurnDecision {
  if (view.isWanted || view.isOver || view.leftCount <= 0) return 'leave'
  if (view.readyCount > 0) return view.isUserCodeNext ? 'leave' : 'settle'
  if (view.canCollect) return 'submit'
  return view.hopsLeft > 0 ? 'wait' : 'leave'
}

/** How many waiters a turn may settle, where one has cost so much lately. Pure. */
export function batchLimitFor(settleCostNs: number): number {
  const limit = Math.floor(TURN_TARGET_NS / settleCostNs)
  return limit < 1 ? 1 : limit > BATCH_MAX ? BATCH_MAX : limit
}

/** How many pieces of work may pass between two looks at the clock, each of which costs as much as a short one. */
export function untimedCountFor(pieceCostNs: number): number {
  return Math.min(UNTIMED_MAX, UNTIMED_NS / pieceCostNs)
}

/** Whether a ready path that has so much budget left is to look at the clock first. Pure. */
export function isBudgetTimed(budgetLeft: number): boolean {
  return (budgetLeft & READY_UNTIMED_MASK) === 0
}

/** Whether a turn, or a chain between turns, is over by the clock. Pure. */
export function isTurnOver(nowNs: number, startNs: number, deadlineNs: number): boolean {
  return nowNs - startNs >= TURN_TARGET_NS || nowNs >= deadlineNs
}
