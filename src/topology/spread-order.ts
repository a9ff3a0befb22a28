import { CPU_KINDS, type Cpu, type CpuLevel } from './cpu.ts'
import type { CpuSet } from './cpu-set.ts'

/** What to keep even, the most important first: that of a node is memory bandwidth. */
const LEVELS: readonly CpuLevel[] = ['node', 'package', 'die', 'l3', 'cluster', 'l2', 'core']

/**
 * The processors of a set in the order in which they are to be used by threads that should share as little as
 * possible: no core is used again while there are others, and faster kinds come first; then each goes to the node
 * with the fewest, of these to the package with the fewest, and so on to the L2 caches; of equal ones to the
 * lowest number.
 *
 * The first n of it are the answer for n threads, so that one thread more moves no other. Pure; O(size²): 1,024
 * processors take tens of milliseconds.
 */
export function spreadOrder(set: CpuSet): readonly Cpu[] {
  const counts = LEVELS.map(() => new Map<number | null, number>())
  const order: Cpu[] = []
  for (const round of listRounds(set)) {
    const open = new Set(round)
    while (open.size > 0) {
      const cpu = findLeastShared(open, counts)
      open.delete(cpu)
      order.push(cpu)
      for (const [index, level] of LEVELS.entries()) {
        const count = counts[index]!
        count.set(cpu[level], (count.get(cpu[level]) ?? 0) + 1)
      }
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
    rounds.set(key, [...(rounds.get(key) ?? []), cpu])
  }
  return [...rounds].sort(([a], [b]) => a - b).map(([, round]) => round)
}

type Counts = ReadonlyArray<ReadonlyMap<number | null, number>>

function findLeastShared(open: Iterable<Cpu>, counts: Counts): Cpu {
  let least: Cpu | null = null
  for (const cpu of open) {
    if (least === null || isLessShared(cpu, least, counts)) least = cpu
  }
  return least!
}

/** Whether fewer share with one than with the other, at the first level where that differs. */
function isLessShared(cpu: Cpu, other: Cpu, counts: Counts): boolean {
  for (let index = 0; index < LEVELS.length; index++) {
    const level = LEVELS[index]!
    if (cpu[level] === other[level]) continue
    const difference =
      (counts[index]!.get(cpu[level]) ?? 0) - (counts[index]!.get(other[level]) ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}
