/** Measures the cases of a benchmark: sides interleaved, medians taken, failures kept apart. */

import type { Benchmark, Case, Metric, Params, Plan, Sample, Side } from './definition.ts'
import { Unavailable } from './definition.ts'
import { readForeignCpuSeconds } from './process-stats.ts'

/** Above the error of tick accounting and the kernel threads that a side itself keeps busy. */
const FOREIGN_CPUS_MAX = 0.15

/** The middle, the least and the most of a side's samples in one unit. */
export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** One unit of one case. */
export interface Row {
  readonly params: Params
  readonly metric: Metric
  /** By side; a side that is missing or failed has no entry. */
  readonly summaries: ReadonlyMap<string, Summary>
}

/** What a benchmark came to. */
export interface Report {
  readonly rows: readonly Row[]
  /** What was left out, and why. */
  readonly notes: readonly string[]
  /** Which cases shared the machine with other programs: their figures are not to be trusted. */
  readonly warnings: readonly string[]
  /** What should have run and did not. */
  readonly failures: readonly string[]
}

/** Tells whoever waits what is being measured. */
export type Progress = (text: string) => void

/** Runs the cases that `filter` accepts, one after another. */
export async function measureBenchmark(
  benchmark: Benchmark,
  options: {
    readonly plan: Plan
    readonly filter: (params: Params) => boolean
    readonly progress: Progress
  },
): Promise<Report> {
  const rows: Row[] = []
  const notes = new Set<string>()
  const warnings: string[] = []
  const failures: string[] = []
  for (const one of benchmark.cases(options.plan)) {
    if (!options.filter(one.params)) continue
    const label = `${benchmark.name} ${formatParams(one.params)}`
    try {
      const outcome = await measureCase(one, {
        repetitionCount: options.plan.repetitionCount,
        progress: (text) => options.progress(`${label}: ${text}`),
      })
      rows.push(...outcome.rows)
      for (const note of outcome.notes) notes.add(note)
      warnings.push(...outcome.warnings.map((text) => `${label}: ${text}`))
      failures.push(...outcome.failures.map((text) => `${label}: ${text}`))
    } catch (error) {
      if (error instanceof Unavailable) notes.add(`left out ${label}: ${error.message}`)
      else failures.push(`${label}: ${messageOf(error)}`)
    }
  }
  return { rows, notes: [...notes], warnings, failures }
}

async function measureCase(
  one: Case,
  options: { readonly repetitionCount: number; readonly progress: Progress },
): Promise<Report> {
  const notes: string[] = []
  const foreignCpus: number[] = []
  const failures: string[] = []
  const samples = new Map<string, Sample[]>()
  const sides = await one.open()
  for (const side of sides) {
    if (side.missing === undefined) samples.set(side.name, [])
    else notes.push(`left out ${side.name}: ${side.missing}`)
  }
  // A, B, A, B: a machine that slows down then slows every side alike.
  for (let repetition = 1; repetition <= options.repetitionCount; repetition++) {
    for (const side of sides) {
      const collected = samples.get(side.name)
      if (collected === undefined) continue
      options.progress(`${side.name} ${repetition}/${options.repetitionCount}`)
      try {
        const load = new ForeignLoad()
        collected.push(checkSample(await side.run(), one.metrics))
        foreignCpus.push(load.finish())
      } catch (error) {
        // Once failed, out: a median of fewer repetitions would not be the one promised.
        samples.delete(side.name)
        failures.push(`${side.name} failed: ${messageOf(error)}`)
      }
    }
  }
  const rows = one.metrics.map((metric) => summarizeRow(one.params, metric, samples))
  return { rows, notes, warnings: judgeForeignLoad(foreignCpus), failures }
}

function judgeForeignLoad(foreignCpus: readonly number[]): readonly string[] {
  const bad = foreignCpus.filter((cpus) => cpus > FOREIGN_CPUS_MAX)
  if (bad.length === 0) return []
  const worst = Math.max(...bad).toFixed(2)
  return [`others took up to ${worst} CPUs in ${bad.length} of ${foreignCpus.length} runs`]
}

/** What other programs use of the machine from its creation to {@link ForeignLoad.finish}. */
class ForeignLoad {
  readonly #fromMs = performance.now()
  readonly #fromSeconds = readForeignCpuSeconds()

  /** The CPUs they kept busy, on average. */
  finish(): number {
    const seconds = (performance.now() - this.#fromMs) / 1_000
    return (readForeignCpuSeconds() - this.#fromSeconds) / seconds
  }
}

function checkSample(sample: Sample, metrics: readonly Metric[]): Sample {
  for (const { unit } of metrics) {
    if (!Number.isFinite(sample[unit])) {
      throw new Error(`Cannot use a sample as ${unit} must be a number: ${JSON.stringify(sample)}`)
    }
  }
  return sample
}

function summarizeRow(
  params: Params,
  metric: Metric,
  samples: ReadonlyMap<string, readonly Sample[]>,
): Row {
  const summaries = new Map<string, Summary>()
  for (const [name, collected] of samples) {
    if (collected.length > 0) summaries.set(name, summarize(collected.map((s) => s[metric.unit]!)))
  }
  return { params, metric, summaries }
}

/** Summarizes a non-empty list; the median of an even count is the mean of the middle two. */
export function summarize(values: readonly number[]): Summary {
  const sorted = [...values].sort((one, other) => one - other)
  const upper = sorted[sorted.length >> 1]!
  const lower = sorted[(sorted.length - 1) >> 1]!
  return { median: (lower + upper) / 2, min: sorted[0]!, max: sorted.at(-1)! }
}

/** `batch=32 style=await`: how a case is named to people. */
export function formatParams(params: Params): string {
  return Object.entries(params)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')
}

/** The side every ratio is of. */
export const PERCORE: Side['name'] = 'percore'

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
