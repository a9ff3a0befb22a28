/** Counting the lines of a large file: how fast, and what CPU a gigabyte costs, next to node:fs and readline. */

import { missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'
import { type LineFile, openLineFile } from './line-file.ts'

const MIB = 1024 * 1024
const RATE_UNIT = 'GB/s'
const CPU_UNIT = 'CPU s/GB'
/** How lines are counted, and what Node has for the same. */
const WAYS = [
  { count: 'newlines', peers: { 'node-stream': 'newlines', readline: 'each' } },
  { count: 'batches', peers: { 'node-stream': 'batches', readline: 'each' } },
  { count: 'each', peers: { readline: 'each' } },
] as const

/** A file of 2 GiB, or of as many MiB as `PERCORE_LINES_MIB` says, from the page cache as far as it fits. */
export const linesBenchmark: Benchmark = {
  name: 'lines',
  summary: 'lines of a file of 2 GiB counted, on one CPU: GB/s, and user + system CPU per GB',
  cases: (plan) => WAYS.map(({ count, peers }) => linesCase(plan, count, peers)),
}

function linesCase(plan: Plan, count: string, peers: Readonly<Record<string, string>>): Case {
  return {
    params: { count },
    metrics: [
      { unit: RATE_UNIT, better: 'more' },
      { unit: CPU_UNIT, better: 'less' },
    ],
    open: async () => {
      const file = openLineFile(plan.directory, sizeBytes(plan))
      return [
        linesSide(plan, file, { name: 'percore', script: 'percore/lines', countBy: count }),
        ...Object.entries(peers).map(([name, countBy]) =>
          linesSide(plan, file, { name, script: 'peers/node-lines', countBy }),
        ),
      ]
    },
  }
}

function sizeBytes(plan: Plan): number {
  const mib = Number(process.env.PERCORE_LINES_MIB ?? (plan.smoke ? 16 : 2048))
  if (Number.isInteger(mib) && mib > 0) return mib * MIB
  throw new RangeError('Cannot measure as PERCORE_LINES_MIB must be a whole number of MiB')
}

function linesSide(
  plan: Plan,
  file: LineFile,
  { name, script, countBy }: { name: string; script: string; countBy: string },
): Side {
  const command = nodeCommand(script, [file.path, countBy], { cpu: plan.clientCpu })
  return {
    name,
    missing: missingScript(script),
    run: async () => readAnswer(await runForJson(command), file),
  }
}

function readAnswer(answer: Awaited<ReturnType<typeof runForJson>>, file: LineFile): Sample {
  const lineCount = numberField(answer, 'lines')
  if (lineCount !== file.lineCount) {
    throw new Error(`Counted ${lineCount} lines of ${file.lineCount}`)
  }
  const gigabytes = file.sizeBytes / 1e9
  return {
    [RATE_UNIT]: gigabytes / numberField(answer, 'seconds'),
    [CPU_UNIT]: numberField(answer, 'cpuUs') / 1e6 / gigabytes,
  }
}
