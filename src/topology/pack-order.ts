import { CPU_KINDS, CPU_LEVELS, type Cpu, type CpuLevel } from './cpu.ts'
import type { CpuSet } from './cpu-set.ts'
import type { Topology } from './topology.ts'

/** A set of processors, and its parts at the next level that parts it. */
interface Group {
  readonly cpus: readonly Cpu[]
  readonly parts: readonly Group[]
}

/**
 * The processors of a set in the order in which they are to be used by threads that should share as much as
 * possible: a core is filled before the next is begun, an L2 cache before the next, and so on to the nodes. Faster
 * kinds come first; among parts of a level the largest, so that the fewest are begun; among equal ones the
 * nearest to those that are full, then that of the lowest number.
 *
 * The first n of it are the answer for n threads, so that one thread more moves no other. Pure; O(size²) at worst.
 */
export function packOrder(set: CpuSet, topology: Topology): readonly Cpu[] {
  return flatten(buildGroup(set, listLevels(set)), topology)
}

/**
 * The levels that part a set, the coarsest first. Which one that is differs: a package has several nodes on some machines,
 * and a node several packages on others; so it is the one that makes the fewest parts of the whole.
 */
function listLevels(set: CpuSet): readonly CpuLevel[] {
  // Their order decides between levels that make equally many parts.
  return CPU_LEVELS.map((level) => ({ level, partCount: set.groupBy(level).length }))
    .filter(({ partCount }) => partCount > 1)
    .sort((a, b) => a.partCount - b.partCount)
    .map(({ level }) => level)
}

/** Levels that cut across each other are no obstacle: each parts what those above it have left together. */
function buildGroup(set: CpuSet, levels: readonly CpuLevel[]): Group {
  for (const [index, level] of levels.entries()) {
    const parts = set.groupBy(level)
    if (parts.length === 1) continue
    const below = levels.slice(index + 1)
    return { cpus: [...set], parts: parts.map((part) => buildGroup(part, below)) }
  }
  return { cpus: [...set], parts: [] }
}

function flatten(group: Group, topology: Topology): readonly Cpu[] {
  if (group.parts.length === 0) return group.cpus
  const order: Cpu[] = []
  /** Those to come, each with its distances to those that are full, summed up. */
  const left = new Map(group.parts.map((part) => [part, 0]))
  while (left.size > 0) {
    const next = [...left.keys()].reduce((best, part) => {
      return isPackedBefore(part, best, left) ? part : best
    })
    left.delete(next)
    for (const [part, distance] of left) left.set(part, distance + distanceOf(next, part, topology))
    order.push(...flatten(next, topology))
  }
  return order
}

function isPackedBefore(part: Group, other: Group, distances: ReadonlyMap<Group, number>): boolean {
  const kind = bestKind(part) - bestKind(other)
  if (kind !== 0) return kind < 0
  if (part.cpus.length !== other.cpus.length) return part.cpus.length > other.cpus.length
  return distances.get(part)! < distances.get(other)!
}

function bestKind({ cpus }: Group): number {
  return Math.min(...cpus.map(({ kind }) => CPU_KINDS.indexOf(kind)))
}

function distanceOf(from: Group, to: Group, topology: Topology): number {
  return topology.distance(from.cpus[0]!.node, to.cpus[0]!.node)
}
