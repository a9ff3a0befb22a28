import { needPreempt, yieldNow } from '../../executor/index.ts'
import { workOneUnit } from './measures.ts'

/** What each processor does in the tour: units of busy work for so long; how many per second. */
export async function workFor(durationMs: number): Promise<number> {
  const fromMs = performance.now()
  let unitCount = 0
  while (performance.now() - fromMs < durationMs) {
    workOneUnit()
    unitCount++
    if (needPreempt()) await yieldNow()
  }
  return unitCount / ((performance.now() - fromMs) / 1_000)
}
