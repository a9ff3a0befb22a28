/** Reads what a running process uses, from /proc. */

import { readdirSync, readFileSync } from 'node:fs'

/** Resident memory in bytes; from smaps_rollup, since the counters of statm lag. */
export function readResidentBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const match = /^Rss:\s+(\d+) kB$/m.exec(text)
  if (match === null) throw new Error(`Cannot read the memory of process ${pid}: no Rss line`)
  return Number(match[1]) * 1024
}

/** How many descriptors a process has open. */
export function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** The most descriptors a child may open: unlimited when privileged, else the hard limit. */
export function descriptorCountMax(): number {
  return process.getuid?.() === 0 ? Number.POSITIVE_INFINITY : descriptorCountHard()
}

/** The hard limit of descriptors of this process, which Node raises its soft one to. */
export function descriptorCountHard(): number {
  const match = /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
  return match === null ? Number.POSITIVE_INFINITY : Number(match[1])
}

const TICKS_PER_SECOND = 100
// ABI: include/linux/sched.h.
const PF_KTHREAD = 0x00200000

/**
 * Seconds of CPU used by programs other than this process and the children it has waited for.
 *
 * Kernel threads do not count: they work for the side that is measured (io_uring's workers),
 * and never long for anyone else. In ticks of 10 ms.
 */
export function readForeignCpuSeconds(): number {
  const machine = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.split(/\s+/).slice(1, 9)
  const [user, nice, system, , , irq, softirq] = machine.map(Number)
  let ticks = user! + nice! + system! + irq! + softirq!
  for (const name of readdirSync('/proc')) {
    const isKernelThread = /^\d+$/.test(name) && (readTaskStat(name)[6]! & PF_KTHREAD) !== 0
    if (isKernelThread) ticks -= sumTicks(readTaskStat(name).slice(11, 13))
  }
  ticks -= sumTicks(readTaskStat('self').slice(11, 15))
  return ticks / TICKS_PER_SECOND
}

/** The fields of /proc/PID/stat from the third on, all zero if the process has gone. */
function readTaskStat(pid: string): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name may hold spaces, hence from its closing bracket.
    return text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
  } catch {
    return new Array<number>(15).fill(0)
  }
}

function sumTicks(ticks: readonly number[]): number {
  return ticks.reduce((sum, value) => sum + value, 0)
}

/** The processor time that the threads of a process that are there have taken, in nanoseconds. */
export function readCpuNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  const times = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  )
  return times.reduce((sum, time) => sum + time, 0)
}
