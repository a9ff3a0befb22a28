/** fio, as a peer: one job on a file, by its own io_uring engine at its best. */

import { type Answer, numberField, parseLastLine, runToEnd } from './child.ts'
import type { Plan, Sample, Side } from './definition.ts'
import { findTool } from './locate.ts'
import type { Storage } from './test-storage.ts'

/** What a job did; CPU is that of its thread, user and system, without the ramp. */
export interface FioResult {
  readonly operationCount: number
  readonly bytes: number
  readonly runMs: number
  readonly busyUs: number
}

/** A side of a case that is a job of fio's with these options besides. */
export function fioSide(
  plan: Plan,
  name: string,
  { path, sizeBytes }: Storage,
  options: readonly string[],
  toSample: (result: FioResult) => Sample,
): Side {
  const fio = findTool('fio')
  const args = [
    '--name=percore-bench',
    `--filename=${path}`,
    `--size=${sizeBytes}`,
    // A thread, as a job of its own session would outlive a harness that is interrupted.
    '--thread',
    '--ioengine=io_uring',
    '--fixedbufs',
    '--registerfiles',
    '--nonvectored=1',
    '--direct=1',
    `--cpus_allowed=${plan.clientCpu}`,
    '--output-format=json',
    ...options,
  ]
  return {
    name,
    missing: fio === undefined ? 'fio is not installed' : undefined,
    run: async () => toSample(readFioOutput(await runToEnd({ program: fio ?? 'fio', args }))),
  }
}

/** Its answer spans lines and may follow a warning, hence from the first line that opens an object. */
function readFioOutput(output: string): FioResult {
  const start = output.startsWith('{') ? 0 : output.indexOf('\n{') + 1
  const { jobs } = parseLastLine(JSON.stringify(JSON.parse(output.slice(start))))
  const job: Answer = Array.isArray(jobs) ? jobs[0] : {}
  if (numberField(job, 'error') !== 0) throw new Error(`Cannot use fio: error ${job.error}`)
  const [read, write] = [job.read as Answer, job.write as Answer]
  const runMs = numberField(job, 'job_runtime')
  const busyPercent = numberField(job, 'usr_cpu') + numberField(job, 'sys_cpu')
  return {
    operationCount: numberField(read, 'total_ios') + numberField(write, 'total_ios'),
    bytes: numberField(read, 'io_bytes') + numberField(write, 'io_bytes'),
    runMs,
    busyUs: (busyPercent / 100) * runMs * 1_000,
  }
}
