import type { CpuSet } from '../topology/index.ts'

/**
 * What a driver is for: `io` owns sockets and files, `task` computes and needs no I/O memory of its own, `hybrid` does
 * both.
 */
export type DriverKind = 'io' | 'task' | 'hybrid'

/** A driver to be. */
export interface DriverPlan {
  readonly kind: DriverKind
  /** Processors of the context. */
  readonly cpus: CpuSet
  /** Unique in the runtime; kind, node and number if not given: `io-0.2`. */
  readonly name?: string
}

/** A context to be: a NUMA node, and its processors that this process may use. */
export interface ContextPlan {
  readonly node: number
  readonly cpus: CpuSet
}

/** Which drivers a context has: a pure function, called once for each context. */
export type DriverLayout = (context: ContextPlan) => readonly DriverPlan[]

/** A hybrid driver for each core, on all of its hardware threads. */
export const hybridPerCore: DriverLayout = ({ cpus }) =>
  cpus.groupBy('core').map((core) => ({ kind: 'hybrid', cpus: core }))

/**
 * Two drivers for each core of two hardware threads, which share its caches: `io` on the first, `task` on the other. A core
 * with one has a hybrid driver; further threads of a core are for its task driver, too.
 */
export const splitSiblings: DriverLayout = ({ cpus }) =>
  cpus.groupBy('core').flatMap((core): DriverPlan[] => {
    if (core.size < 2) return [{ kind: 'hybrid', cpus: core }]
    const [first] = core
    return [
      { kind: 'io', cpus: core.filter(({ id }) => id === first!.id) },
      { kind: 'task', cpus: core.filter(({ id }) => id !== first!.id) },
    ]
  })

/**
 * So many cores of each context for I/O, the others for tasks; one core at least for each, so that a context of one core
 * has a hybrid driver.
 */
export function dedicatedCores(ioCoreCount: number): DriverLayout {
  return ({ cpus }) => {
    const cores = cpus.groupBy('core')
    if (cores.length === 1) return [{ kind: 'hybrid', cpus: cores[0]! }]
    const ioCount = Math.min(Math.max(1, ioCoreCount), cores.length - 1)
    return cores.map((core, index) => ({ kind: index < ioCount ? 'io' : 'task', cpus: core }))
  }
}
