/** Describes the machine, and notices when it is too busy for its figures to be trusted. */

import { readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { findTool } from './locate.ts'

const QUIET_MS = 1_500
const IDLE_FRACTION_MIN = 0.95
const CALIBRATION_SPREAD_MAX = 1.03
const STEAL_FRACTION_MAX = 0.01

/** The CPUs this process may use, ascending. */
export function allowedCpus(): readonly number[] {
  const match = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  const list: number[] = []
  for (const range of (match?.[1] ?? '0').split(',')) {
    const [first, last = first] = range.split('-').map(Number)
    for (let cpu = first!; cpu <= last!; cpu++) list.push(cpu)
  }
  return list
}

/** What every table starts with: a figure without its machine means nothing. */
export function describeMachine(): readonly string[] {
  const processors = cpus()
  const lines = [
    `date     ${new Date().toISOString()}`,
    `node     ${process.version} (libuv ${process.versions.uv}, V8 ${process.versions.v8})`,
    `kernel   ${release()}`,
    `cpu      ${processors.length} x ${processors[0]?.model ?? 'unknown'}`,
    `limits   ${readLimit('Max locked memory')} locked, ${readLimit('Max open files')} files`,
  ]
  const unsafe = readMitigations()
  if (unsafe !== undefined) lines.push(`spectre  ${unsafe}`)
  if (findTool('taskset') === undefined) lines.push('note     not pinned: taskset is not installed')
  return lines
}

function readLimit(name: string): string {
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((text) => text.startsWith(name))
  return line?.slice(name.length).trim().split(/\s+/)[0] ?? 'unknown'
}

function readMitigations(): string | undefined {
  try {
    return readFileSync('/sys/devices/system/cpu/vulnerabilities/spectre_v2', 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Watches for other load from its creation to {@link MachineWatch.finish}. */
export class MachineWatch {
  readonly #warnings: string[] = []
  readonly #from: CpuTimes
  readonly #calibrationMs: number

  private constructor(idleFraction: number) {
    if (idleFraction < IDLE_FRACTION_MIN) {
      this.#warnings.push(`only ${percent(idleFraction)} idle before the run, want 95 %`)
    }
    this.#calibrationMs = this.#calibrate('before')
    this.#from = readCpuTimes()
  }

  /** Checks that the machine is quiet; takes two seconds. */
  static async start(): Promise<MachineWatch> {
    const from = readCpuTimes()
    await sleep(QUIET_MS)
    const to = readCpuTimes()
    return new MachineWatch((to.idle - from.idle) / Math.max(1, to.total - from.total))
  }

  /** Checks again, and returns what speaks against the figures: nothing on a quiet machine. */
  finish(): { readonly calibrationMs: number; readonly warnings: readonly string[] } {
    const to = readCpuTimes()
    const steal = (to.steal - this.#from.steal) / Math.max(1, to.total - this.#from.total)
    if (steal > STEAL_FRACTION_MAX) this.#warnings.push(`${percent(steal)} of the CPU was stolen`)
    const afterMs = this.#calibrate('after')
    const drift = Math.max(afterMs, this.#calibrationMs) / Math.min(afterMs, this.#calibrationMs)
    if (drift > CALIBRATION_SPREAD_MAX) {
      this.#warnings.push(`the CPU's speed drifted by ${percent(drift - 1)} during the run`)
    }
    return { calibrationMs: this.#calibrationMs, warnings: this.#warnings }
  }

  #calibrate(when: string): number {
    const timesMs = Array.from({ length: 7 }, timeLoopMs).sort((one, other) => one - other)
    const best = timesMs[0]!
    const middle = timesMs[3]!
    if (middle / best > CALIBRATION_SPREAD_MAX) {
      this.#warnings.push(`the same loop took ${percent(middle / best - 1)} longer ${when} the run`)
    }
    return best
  }
}

interface CpuTimes {
  readonly idle: number
  readonly steal: number
  readonly total: number
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal. */
function readCpuTimes(): CpuTimes {
  const line = readFileSync('/proc/stat', 'utf8').split('\n')[0]!
  const ticks = line.split(/\s+/).slice(1, 9).map(Number)
  const total = ticks.reduce((sum, value) => sum + value, 0)
  return { idle: ticks[3]! + ticks[4]!, steal: ticks[7]!, total }
}

function timeLoopMs(): number {
  const from = performance.now()
  let state = 1
  for (let index = 0; index < 20_000_000; index++) state = (Math.imul(state, 1664525) + index) | 0
  const elapsedMs = performance.now() - from
  // Used, or the compiler could leave the loop out.
  return state === 0 ? elapsedMs + 1e-9 : elapsedMs
}

function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(1)} %`
}
