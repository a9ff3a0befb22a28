import { RuntimeError, showAs, validateInteger } from '../base/index.ts'
import { currentKernel, type MachinePort } from '../kernel/index.ts'
import type { Cpu } from './cpu.ts'
import { CpuSet, checkSet } from './cpu-set.ts'
import { type MachineReading, readMachine } from './read-machine.ts'

/** A NUMA node. */
export interface NumaNode {
  readonly id: number
  /** Its online processors; none for memory alone, as CXL adds it. */
  readonly cpus: CpuSet
  /** All memory of it; 0 for a node without. */
  readonly memoryBytes: number
}

const DISTANCE_OWN = 10
const DISTANCE_OTHER = 20
const NODE = { min: 0, max: 1 << 20 }

/**
 * The processors and NUMA nodes of the machine as they were when it was read: an immutable value.
 *
 * In a simulated program it is the simulated machine's.
 *
 * Source: glommio::CpuLocation, and hwloc.
 *
 * @example What there is
 * ```ts run
 * import { Topology } from 'percore/topology'
 *
 * const topology = Topology.read()
 * for (const { id, cpus, memoryBytes } of topology.nodes) {
 *   const usable = cpus.intersection(topology.allowed)
 *   console.log(`node ${id}: ${memoryBytes} bytes, processors ${usable} of ${cpus}`)
 * }
 * ```
 */
export class Topology {
  static {
    showAs(Topology, ({ online, allowed, nodes }) => {
      return `Topology { online: ${online}, allowed: ${allowed}, nodes: ${nodes.map(({ id }) => id)} }`
    })
  }

  /** All that run. */
  readonly online: CpuSet
  /**
   * Those that this process may use: online, in the affinity mask of its main thread (`taskset`), whatever the calling
   * thread is bound to, and in its control group. Processors that the kernel was told to isolate are not, unless the
   * process was started on them.
   */
  readonly allowed: CpuSet
  /** Numbers of those that are there and do not run. */
  readonly offline: readonly number[]
  /** By number; one on a machine without NUMA. */
  readonly nodes: readonly NumaNode[]
  /** Numbers of the nodes with memory that this process may use. */
  readonly memoryNodes: readonly number[]
  readonly #distances: ReadonlyMap<number, ReadonlyMap<number, number>>

  /** @internal */
  constructor(reading: MachineReading) {
    this.online = new CpuSet(reading.cpus)
    this.allowed = this.online.pickIds(reading.allowed)
    this.offline = Object.freeze([...reading.offline])
    const nodes = reading.nodes.map(({ id, memoryBytes }) =>
      Object.freeze({ id, cpus: this.online.filter({ node: id }), memoryBytes }),
    )
    this.nodes = Object.freeze(nodes)
    this.memoryNodes = Object.freeze([...reading.memoryNodes])
    this.#distances = new Map(reading.nodes.map(({ id, distances }) => [id, distances]))
    Object.freeze(this)
  }

  /**
   * Looks at the machine: by some files per core, hence for start-up. Blocks for milliseconds, for a tenth of a second
   * with 1,024 processors.
   *
   * @param port - What to ask instead of the kernel of this thread's executor, or the real one; tests have tables.
   * @throws {RuntimeError} `ERR_TOPOLOGY_UNREADABLE` where the kernel tells of no processor, or what makes no sense;
   * `ERR_ADDON_MISSING` beside Linux.
   */
  static read(port: MachinePort = currentKernel()): Topology {
    return new Topology(readMachine(port))
  }

  /**
   * An online processor by its number.
   *
   * @throws {RuntimeError} `ERR_CPU_UNAVAILABLE` if there is none, or it does not run.
   */
  cpu(id: number): Cpu {
    const cpu = this.online.get(id)
    if (cpu !== undefined) return cpu
    const state = this.offline.includes(id) ? 'that one is offline' : `there is no ${id}`
    throw new RuntimeError(
      'ERR_CPU_UNAVAILABLE',
      `Cannot take a processor as it must be online: ${state}, online are ${this.online}`,
    )
  }

  /** How far memory of one node is from another, as the firmware says: 10 is one's own, 20 twice as far. */
  distance(from: number, to: number): number {
    validateInteger('look up a distance', 'from', from, NODE)
    validateInteger('look up a distance', 'to', to, NODE)
    const told = this.#distances.get(from)?.get(to)
    return told ?? (from === to ? DISTANCE_OWN : DISTANCE_OTHER)
  }

  /**
   * The nodes that memory for these processors should come from, of those that this process may use: their own, and
   * for a node without memory the nearest with some. Ascending.
   *
   * @throws {TypeError} for what is no set.
   */
  memoryNodesOf(cpus: CpuSet): readonly number[] {
    checkSet('look up memory', cpus, 'cpus')
    const nearest = cpus.nodes.flatMap((node) => {
      const distances = this.memoryNodes.map((other) => this.distance(node, other))
      const least = Math.min(...distances)
      return this.memoryNodes.filter((_, index) => distances[index] === least)
    })
    return [...new Set(nearest)].sort((a, b) => a - b)
  }
}
