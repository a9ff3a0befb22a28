import { PerformanceObserver } from 'node:perf_hooks'
import { NS_PER_MS } from '../base/index.ts'
import {
  COUNTER_GC_PAUSE_NS,
  COUNTER_GC_PAUSE_NS_MAX,
  COUNTER_GC_PAUSES,
  type Counters,
} from '../stats/index.ts'

/**
 * Counts the pauses of the garbage collector of this thread.
 *
 * Node tells of them some iterations of its event loop later, so that a thread that hangs counts none. It keeps no
 * program alive.
 */
export class GcMeter {
  readonly #observer: PerformanceObserver

  constructor(home: Counters) {
    this.#observer = new PerformanceObserver((list) => {
      const { counters } = home
      for (const { duration } of list.getEntries()) {
        const pauseNs = duration * NS_PER_MS
        counters[COUNTER_GC_PAUSES]! += 1
        counters[COUNTER_GC_PAUSE_NS]! += pauseNs
        if (pauseNs > counters[COUNTER_GC_PAUSE_NS_MAX]!)
          counters[COUNTER_GC_PAUSE_NS_MAX] = pauseNs
      }
    })
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  stop(): void {
    this.#observer.disconnect()
  }
}
