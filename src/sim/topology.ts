import { GIB, optionNames, validateInteger, validateOptions, wrongType } from '../base/index.ts'

/** A processor of a simulated machine. What shares a cache, a core and so on has one number for it. */
export interface SimCpu {
  readonly id: number
  readonly core: number
  readonly node: number
  readonly package: number
  /** A part of a package; not told if not given, as are `cluster`, `l2` and `l3`. */
  readonly die?: number
  readonly cluster?: number
  readonly l2?: number
  readonly l3?: number
  /** On a machine with cores of several kinds, as Intel's drivers name them: `core`, `atom`, `lowpower`. */
  readonly kind?: 'core' | 'atom' | 'lowpower'
  /** What it can do beside the fastest, which is 1024; not told if not given. */
  readonly capacity?: number
  /** Whether it runs; true if not given. */
  readonly isOnline?: boolean
}

/** A NUMA node of a simulated machine. */
export interface SimNode {
  readonly id: number
  /** 0 for a node without memory. */
  readonly memoryBytes: number
  /** How far each node is, in the order of the nodes: 10 is itself. 20 to every other if not given. */
  readonly distances?: readonly number[]
}

/** The processors and memory of a simulated machine, and what its process may use of them. */
export interface SimTopology {
  readonly cpus: readonly SimCpu[]
  readonly nodes: readonly SimNode[]
  /** The processors that the control group allows, as a list: `0-3,8`; all if not given. */
  readonly cpuset?: string
  /** The processors that the process was started on, as `taskset` says; all if not given. */
  readonly affinity?: string
  /** The nodes whose memory the control group allows; all if not given. */
  readonly memoryNodes?: string
}

/** What {@link simTopology} builds a machine from. */
export interface SimTopologyOptions {
  /** 1 if not given. */
  readonly packageCount?: number
  /** NUMA nodes of each package; 1 if not given. */
  readonly nodeCount?: number
  /** L3 caches of each node; 1 if not given. */
  readonly l3Count?: number
  /** Cores below each L3 cache; 4 if not given. */
  readonly coreCount?: number
  /** Threads of each core; 1 if not given. */
  readonly threadCount?: number
  /** Memory of each node; 1 GiB if not given. */
  readonly memoryBytes?: number
  /**
   * Whether the threads of a core have numbers beside each other (0 and 1), or the second threads come after
   * all first ones (0 and 64), as is usual on servers; false if not given.
   */
  readonly siblingsAdjacent?: boolean
}

const NAMES = optionNames<SimTopologyOptions>({
  packageCount: true,
  nodeCount: true,
  l3Count: true,
  coreCount: true,
  threadCount: true,
  memoryBytes: true,
  siblingsAdjacent: true,
})
const COUNT = { min: 1, max: 4096 }

/**
 * The topology of a regular machine, for `simulate(…, { topology })`: one package, one node and four cores unless
 * asked otherwise. What is irregular about a machine is changed in the result.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind.
 *
 * @example Two sockets
 * ```ts run
 * import { simTopology, simulate } from 'percore/testing'
 * import { Topology } from 'percore/topology'
 *
 * const topology = simTopology({ packageCount: 2, coreCount: 8, threadCount: 2 })
 * await simulate({ seed: 1, topology }, () => {
 *   console.log(String(Topology.read().allowed.filter({ node: 1, smtIndex: 0 }))) // 8-15
 * })
 * ```
 */
export function simTopology(options: SimTopologyOptions = {}): SimTopology {
  validateOptions('describe a simulated machine', options, NAMES)
  const { packageCount = 1, nodeCount = 1, l3Count = 1, coreCount = 4, threadCount = 1 } = options
  const counts = { packageCount, nodeCount, l3Count, coreCount, threadCount }
  for (const [name, count] of Object.entries(counts)) {
    validateInteger('describe a simulated machine', name, count, COUNT)
  }
  const { memoryBytes = GIB, siblingsAdjacent = false } = options
  const nodesAll = packageCount * nodeCount
  const coresAll = nodesAll * l3Count * coreCount
  const cpus: SimCpu[] = []
  for (let core = 0; core < coresAll; core++) {
    const l3 = Math.floor(core / coreCount)
    const node = Math.floor(l3 / l3Count)
    const place = { core, node, package: Math.floor(node / nodeCount), l2: core, l3 }
    for (let thread = 0; thread < threadCount; thread++) {
      const id = siblingsAdjacent ? core * threadCount + thread : thread * coresAll + core
      cpus.push({ id, ...place })
    }
  }
  cpus.sort((a, b) => a.id - b.id)
  const nodes = Array.from({ length: nodesAll }, (_, id) => ({ id, memoryBytes }))
  return { cpus, nodes }
}

/** @throws {TypeError} unless it has processors and nodes. */
export function checkTopology(topology: unknown): SimTopology {
  const { cpus, nodes } = (topology ?? {}) as Partial<SimTopology>
  if (!Array.isArray(cpus) || !Array.isArray(nodes) || cpus.length * nodes.length === 0) {
    throw wrongType('simulate', 'topology', 'a SimTopology, as simTopology() makes', topology)
  }
  return topology as SimTopology
}
