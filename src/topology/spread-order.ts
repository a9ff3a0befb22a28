import { CPU_KINDS, CPU_LEVELS, type Cpu } from './cpu.ts'
import type { CpuSet } from './cpu-set.ts'

/** A processor, and for each level the index of the count of those that are in use beside it. */
interface Candidate {
  readonly cpu: Cpu
  readonly groups: readonly number[]
}

/**
 * The processors of a set in the order in which they are to be used by threads that should share as little as
 * possible: no core is used again while there are others, and faster kinds come first; then each goes to the node
 * with the fewest, of these to the package with the fewest, and so on to the L2 caches; of equal ones to the
 * lowest number.
 *
 * The first n of it are the answer for n threads, so that one thread more moves no other. Pure; O(size²).
 */
export function spreadOrder(set: CpuSet): readonly Cpu[] {
  const indexOf = new Map<string, number>()
  const counts: number[] = []
  const toCandidate = (cpu: Cpu): Candidate => {
    // The outermost is kept even first: that of a node is memory bandwidth.
    const groups = CPU_LEVELS.map((level) => {
      const key = `${level} ${cpu[level]}`
      const index = indexOf.get(key) ?? counts.push(0) - 1
      indexOf.set(key, index)
      return index
    })
    return { cpu, groups }
  }
  const order: Cpu[] = []
  for (const round of listRounds(set)) {
    const open = new Set(round.map(toCandidate))
    while (open.size > 0) {
      const found = findLeastShared(open, counts)
      open.delete(found)
      order.push(found.cpu)
      for (const group of found.groups) counts[group]!++
    }
  }
  return order
}

/** The set in rounds: the first threads of all cores before the second ones, and in each the faster kinds first. */
function listRounds(set: CpuSet): readonly Cpu[][] {
  const usedOfCore = new Map<number, number>()
  const rounds = new Map<number, Cpu[]>()
  for (const cpu of set) {
    // Counted in the set: it may have second threads alone.
    const used = usedOfCore.get(cpu.core) ?? 0
    usedOfCore.set(cpu.core, used + 1)
    const key = used * CPU_KINDS.length + CPU_KINDS.indexOf(cpu.kind)
    const round = rounds.get(key)
    if (round === undefined) rounds.set(key, [cpu])
    else round.push(cpu)
  }
  return [...rounds].sort(([a], [b]) => a - b).map(([, round]) => round)
}

function findLeastShared(open: Iterable<Candidate>, counts: readonly number[]): Candidate {
  let least: Candidate | null = null
  for (const candidate of open) {
    if (least === null || isLessShared(candidate, least, counts)) least = candidate
  }
  return least!
}

/** Whether fewer share with one than with the other, at the first level where that differs. */
function isLessShared(candidate: Candidate, other: Candidate, counts: readonly number[]): boolean {
  for (let level = 0; level < CPU_LEVELS.length; level++) {
    const difference = counts[candidate.groups[level]!]! - counts[other.groups[level]!]!
    if (difference !== 0) return difference < 0
  }
  return false
}
