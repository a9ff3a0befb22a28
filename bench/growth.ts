/** Measures in a child what an operation costs beside few others that wait, and beside many. */

import { PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as nextIteration } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Makes operations `first` to `first + count` wait at once, and resolves when all have ended. */
export type Run = (count: number, first: number) => Promise<unknown>

/** How many wait at once in the two sizes, and how often each size is measured. */
export interface Sizes {
  readonly few: number
  readonly many: number
  readonly rounds: number
}

/** What an operation of one size costs: all of it, and the collector's part of it. */
interface Cost {
  readonly ns: number
  readonly collectorNs: number
}

const WARM_UP_ROUNDS = 2
/** Node tells of a collection an iteration of its loop later, and observers one after that. */
const ITERATIONS_TO_HEAR = 3

/** The sizes that the command line of a child names: few, many, rounds. */
export function readSizes(words: readonly string[]): Sizes {
  const [few = Number.NaN, many = Number.NaN, rounds = Number.NaN] = words.map(Number)
  if (!(few >= 1 && many >= few && many % few === 0 && rounds >= 1)) {
    throw new Error(`Cannot measure as sizes must be few, a multiple of it, rounds: ${words}`)
  }
  return { few, many, rounds }
}

/**
 * Prints the costs of both sizes as JSON. Each round has `many` operations of both: all at once, and `few` at
 * once until there were as many. Both are warmed up, and each begins with the heap collected, so that
 * neither pays for the garbage of the other. The cheapest round of a size counts, as others only add.
 */
export async function printGrowth(run: Run, { few, many, rounds }: Sizes): Promise<void> {
  const collector = new CollectorWatch()
  const measure = async (count: number): Promise<Cost> => {
    collectGarbage()
    const fromMs = performance.now()
    for (let done = 0; done < many; done += count) await run(count, done)
    const toMs = performance.now()
    const collectorMs = await collector.timeWithin(fromMs, toMs)
    return { ns: ((toMs - fromMs) * 1e6) / many, collectorNs: (collectorMs * 1e6) / many }
  }
  const ofFew: Cost[] = []
  const ofMany: Cost[] = []
  for (let round = 0; round < WARM_UP_ROUNDS + rounds; round++) {
    ofFew.push(await measure(few))
    ofMany.push(await measure(many))
  }
  const { ns: manyNs, collectorNs: manyCollectorNs } = cheapest(ofMany)
  const answer = { fewNs: cheapest(ofFew).ns, manyNs, manyCollectorNs }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

function cheapest(costs: readonly Cost[]): Cost {
  const warm = costs.slice(WARM_UP_ROUNDS)
  return warm.reduce((least, cost) => (cost.ns < least.ns ? cost : least))
}

const collectGarbage = findCollector()

/** The function behind `--expose-gc`, which not every Node takes as an option of a child. */
function findCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/** How long the collector stops the thread. */
class CollectorWatch {
  readonly #pauses: { readonly fromMs: number; readonly lengthMs: number }[] = []

  constructor() {
    const observer = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) {
        this.#pauses.push({ fromMs: startTime, lengthMs: duration })
      }
    })
    observer.observe({ entryTypes: ['gc'] })
  }

  /** The sum of the pauses that began in that time, once all have been heard of. */
  async timeWithin(fromMs: number, toMs: number): Promise<number> {
    for (let count = 0; count < ITERATIONS_TO_HEAR; count++) await nextIteration()
    let sumMs = 0
    for (const pause of this.#pauses.splice(0)) {
      if (pause.fromMs >= fromMs && pause.fromMs < toMs) sumMs += pause.lengthMs
    }
    return sumMs
  }
}
