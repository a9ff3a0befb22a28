/**
 * What a processor is made for. On a machine of one sort of core all are `performance`; `low-power` are the few
 * that are apart from the others, without their L3 cache.
 */
export type CpuKind = 'performance' | 'efficiency' | 'low-power'

/** Whom placements use first. */
export const CPU_KINDS: readonly CpuKind[] = ['performance', 'efficiency', 'low-power']

/**
 * One processor (a hardware thread), and where in the machine it is.
 *
 * `id`, `node` and `package` are the kernel's numbers, as `lscpu` and `numactl` print them. The others count up
 * from 0 through the whole machine, in the order of the lowest online processor of each: two processors share a core
 * exactly if `core` is equal, whatever package it is in.
 */
export interface Cpu {
  readonly id: number
  /** NUMA node; 0 on a machine without. */
  readonly node: number
  /** Socket. */
  readonly package: number
  /** Part of a package; null where the kernel does not say, as with `cluster`, `l3` and `l2`. */
  readonly die: number | null
  /** Cores that share some of their way to memory. */
  readonly cluster: number | null
  /** The processors that share an L3 cache. */
  readonly l3: number | null
  /** The processors that share an L2 cache. */
  readonly l2: number | null
  readonly core: number
  /** 0 for the first online thread of its core, 1 for the next. */
  readonly smtIndex: number
  readonly kind: CpuKind
  /** What it can do beside the fastest of the machine, which is 1024; that where the kernel does not say. */
  readonly capacity: number
}

/** What processors can have in common. */
export type CpuLevel = 'node' | 'package' | 'die' | 'cluster' | 'l3' | 'l2' | 'core'

/** They all, from the outside to the inside, as most machines are built. */
export const CPU_LEVELS: readonly CpuLevel[] = [
  'node',
  'package',
  'die',
  'l3',
  'cluster',
  'l2',
  'core',
]
