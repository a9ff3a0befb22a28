/**
 * How many times as long a busy machine is given, at least and at most: by how many compete for each processor as the tests begin. What
 * comes later, and what other guests of a virtual machine's host do, does not show in that.
 */
const BUSYNESS = { min: 2.5, max: 4 }

/** By how much longer everything takes where so many programs compete for so many processors: a pure function. */
export function busyness(load: number, cpuCount: number): number {
  return Math.min(BUSYNESS.max, Math.max(BUSYNESS.min, 1 + load / cpuCount))
}
