/** A turn looks at the clock after what took so long, by what its pieces of work have cost lately; */
const UNTIMED_NS = 32_000
/** and after so many at the latest, since the next ones may be of another kind. */
const UNTIMED_MAX = 8

/** How many pieces of work may pass between two looks at the clock, each of which costs as much as a short one. */
export function untimedCountFor(pieceCostNs: number): number {
  return Math.min(UNTIMED_MAX, UNTIMED_NS / pieceCostNs)
}
