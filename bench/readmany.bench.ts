/** Records of 4 KiB scattered in a file: merged reads, beside one read each. */

import { missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'
import { openFile, type Storage } from './test-storage.ts'

const MIB = 1024 * 1024
const RATE_UNIT = 'records/s'
const CPU_UNIT = 'us/record'
/** Which of a file's records are asked for, and how large a hole may be read with them. */
const LAYOUTS = [
  // Glommio's case: all of them, in their order.
  { layout: 'all', holeKiB: 0 },
  // What an index of something else gives: every second one, shuffled within 2 MiB.
  { layout: 'half', holeKiB: 4 },
  // Nothing lies together: what merging costs where it brings nothing.
  { layout: 'random', holeKiB: 0 },
] as const

/** 32 reads at a time on every side. */
export const readManyBenchmark: Benchmark = {
  name: 'readmany',
  summary: '4 KiB records scattered in a file, direct: records/s and CPU, merged and one read each',
  cases: (plan) => LAYOUTS.map((layout) => readCase(plan, layout)),
}

function readCase(plan: Plan, { layout, holeKiB }: (typeof LAYOUTS)[number]): Case {
  return {
    params: { layout, holeKiB },
    metrics: [
      { unit: RATE_UNIT, better: 'more' },
      { unit: CPU_UNIT, better: 'less' },
    ],
    open: async () => {
      const storage = openFile(plan.directory, plan.smoke ? 64 * MIB : 1024 * MIB)
      return (['merged', 'ordered', 'each'] as const).map((style) =>
        side(plan, storage, [style, layout, holeKiB]),
      )
    },
  }
}

/** `merged` is readMany() as it is; `ordered` is the same without merging; `each` is a loop of reads. */
function side(
  plan: Plan,
  { path, sizeBytes }: Storage,
  [style, layout, holeKiB]: readonly [string, string, number],
): Side {
  const seconds = plan.smoke ? [0.2, 0.05] : [2, 0.5]
  const args = [path, sizeBytes, style, layout, holeKiB * 1024, ...seconds]
  const command = nodeCommand('percore/readmany', args, { cpu: plan.clientCpu })
  return {
    name: style === 'merged' ? 'percore' : style,
    missing: missingScript('percore/readmany'),
    run: async (): Promise<Sample> => {
      const answer = await runForJson(command)
      const count = numberField(answer, 'records')
      return {
        [RATE_UNIT]: count / numberField(answer, 'seconds'),
        [CPU_UNIT]: numberField(answer, 'cpuUs') / count,
      }
    },
  }
}
