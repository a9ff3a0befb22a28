/** Machines to place on: what Linux tells of them comes from the simulated kernel. */
import { EINVAL, ENOENT, ESRCH, type MachinePort } from '../../src/kernel/index.ts'
import {
  type SimCpu,
  SimKernel,
  type SimNode,
  type SimTopology,
  simTopology,
} from '../../src/testing/index.ts'
import { Topology } from '../../src/topology/index.ts'

const GIB = 2 ** 30

/** The topology that is read on a machine. */
export function topologyOf(machine: SimTopology): Topology {
  return Topology.read(new SimKernel({ topology: machine }))
}

/** The same machine with some processors changed. */
export function changed(
  machine: SimTopology,
  change: (cpu: SimCpu) => Partial<SimCpu>,
): SimTopology {
  return { ...machine, cpus: machine.cpus.map((cpu) => ({ ...cpu, ...change(cpu) })) }
}

/** A port that answers from a table of texts, and with an affinity mask. */
export function tablePort(
  texts: Readonly<Record<string, string>>,
  affinity: Uint8Array | number,
): MachinePort {
  return {
    processId: 77,
    readTextFile: (path) => texts[path] ?? -ENOENT,
    getAffinity(threadId, mask) {
      if (threadId !== 77) return -ESRCH
      if (typeof affinity === 'number') return affinity
      if (mask.length < affinity.length || mask.length % 8 !== 0) return -EINVAL
      mask.set(affinity)
      return affinity.length
    },
  }
}

/** Two sockets, four nodes each (NPS4), two L3 caches below each node, eight cores below each of these. */
export const EPYC: SimTopology = (() => {
  const machine = simTopology({
    packageCount: 2,
    nodeCount: 4,
    l3Count: 2,
    coreCount: 8,
    threadCount: 2,
  })
  const nodes = machine.nodes.map(({ id }): SimNode => {
    const distances = machine.nodes.map((other) => {
      if (other.id === id) return 10
      return other.id >> 2 === id >> 2 ? 12 : 32
    })
    return { id, memoryBytes: 64 * GIB, distances }
  })
  return { ...machine, nodes }
})()

/** Four performance cores of two threads (0-7), and eight efficient ones in two modules (8-15). */
export const HYBRID: SimTopology = {
  cpus: Array.from({ length: 16 }, (_, id): SimCpu => {
    const place = { id, node: 0, package: 0, l3: 0 }
    if (id < 8) return { ...place, core: id >> 1, l2: id >> 1, cluster: id >> 1, kind: 'core' }
    const unit = 2 + (id >> 2)
    return { ...place, core: id, l2: unit, cluster: unit, kind: 'atom' }
  }),
  nodes: [{ id: 0, memoryBytes: 16 * GIB }],
}

/** {@link HYBRID}, and two cores apart from its L3 cache (16-17). */
export const WITH_LOW_POWER: SimTopology = {
  ...HYBRID,
  cpus: [
    ...HYBRID.cpus,
    { id: 16, node: 0, package: 0, core: 16, l2: 9, kind: 'lowpower' },
    { id: 17, node: 0, package: 0, core: 17, l2: 9, kind: 'lowpower' },
  ],
}

/** Four small cores, and then two large ones, told apart by capacities alone; all below one cache. */
export const BIG_LITTLE: SimTopology = {
  cpus: Array.from({ length: 6 }, (_, id): SimCpu => {
    const capacity = id < 4 ? 381 : 1024
    return { id, core: id, node: 0, package: 0, l3: 0, capacity }
  }),
  nodes: [{ id: 0, memoryBytes: 4 * GIB }],
}

/** Two sockets whose second threads were switched off: they are offline. */
export const SMT_OFF: SimTopology = changed(
  simTopology({ packageCount: 2, coreCount: 4, threadCount: 2 }),
  ({ id }) => ({ isOnline: id < 8 }),
)

/** Node 1 has processors and no memory; node 2 has memory, and is nearer to it than node 0. */
export const MEMORYLESS: SimTopology = {
  ...simTopology({ packageCount: 3, coreCount: 2 }),
  nodes: [
    { id: 0, memoryBytes: GIB, distances: [10, 30, 20] },
    { id: 1, memoryBytes: 0, distances: [30, 10, 20] },
    { id: 2, memoryBytes: GIB, distances: [20, 20, 10] },
  ],
}

/** Two nodes of processors, and one of memory alone behind CXL. */
export const CPULESS: SimTopology = {
  ...simTopology({ packageCount: 2, coreCount: 2 }),
  nodes: [
    { id: 0, memoryBytes: GIB, distances: [10, 21, 14] },
    { id: 1, memoryBytes: GIB, distances: [21, 10, 24] },
    { id: 2, memoryBytes: 8 * GIB, distances: [14, 24, 10] },
  ],
}

/** As on POWER with SMT off: every eighth number, packages 0 and 4, nodes 0, 8 and 255, the last without processors. */
export const SPARSE: SimTopology = {
  cpus: Array.from({ length: 8 }, (_, index): SimCpu => {
    const half = index >> 2
    return { id: index * 8, core: index, node: half * 8, package: half * 4, l2: index, l3: index }
  }),
  nodes: [
    { id: 0, memoryBytes: GIB, distances: [10, 40, 80] },
    { id: 8, memoryBytes: GIB, distances: [40, 10, 80] },
    { id: 255, memoryBytes: GIB, distances: [80, 80, 10] },
  ],
}

/** Cores in clusters of four, which share an L2 cache; no L3. */
export const CLUSTERS: SimTopology = {
  cpus: Array.from({ length: 16 }, (_, id): SimCpu => {
    return { id, core: id, node: 0, package: 0, cluster: id >> 2, l2: id >> 2 }
  }),
  nodes: [{ id: 0, memoryBytes: GIB }],
}

/** Eight sockets of 64 cores of two threads. */
export const HUGE: SimTopology = simTopology({
  packageCount: 8,
  l3Count: 8,
  coreCount: 8,
  threadCount: 2,
})

/** Nodes that cut across packages, as `numa=fake` makes them. */
export const CROSSED: SimTopology = changed(
  { ...simTopology({ packageCount: 2, coreCount: 4 }) },
  ({ id }) => ({ node: id % 4 < 2 ? 0 : 1 }),
)

/** One package of two nodes within one L3 cache, as Intel's sub-NUMA clusters are. */
export const SUB_NUMA: SimTopology = changed(
  simTopology({ packageCount: 2, nodeCount: 2, coreCount: 4, threadCount: 2 }),
  ({ package: socket }) => ({ l3: socket }),
)

export const ONE: SimTopology = simTopology({ coreCount: 1 })
