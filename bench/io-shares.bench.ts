/** Task queues that share one device, by limits that `percore iotune` measures first, beside the same without. */

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { missingScript, nodeCommand, numberField, runForJson, runToEnd } from './child.ts'
import {
  type Benchmark,
  type Case,
  type Plan,
  type Sample,
  type Side,
  Unavailable,
} from './definition.ts'
import { openFile } from './test-storage.ts'

const MIB = 1024 * 1024
const CLI = fileURLToPath(new URL('../src/cli/main.js', import.meta.url))
const SCRIPT = 'percore/io-shares'
const RATIO_UNIT = 'bytes 4:1'
const TAIL_UNIT = 'us p99'
const MEDIAN_UNIT = 'us p50'
const RATE_UNIT = 'MiB/s'

type What = 'shares' | 'latency' | 'alone'

/** Two queues at 4 to 1, a latency class beside a writer, and a queue alone. */
export const ioSharesBenchmark: Benchmark = {
  name: 'io-shares',
  summary:
    'task queues on one device, with the I/O scheduler and without: shares, latency, throughput',
  cases: (plan) => (['shares', 'latency', 'alone'] as const).map((what) => shareCase(plan, what)),
}

function shareCase(plan: Plan, what: What): Case {
  return {
    params: { what },
    metrics: [
      ...(what === 'shares' ? [{ unit: RATIO_UNIT, better: 'more' } as const] : []),
      ...(what === 'latency'
        ? [TAIL_UNIT, MEDIAN_UNIT].map((unit) => ({ unit, better: 'less' }) as const)
        : []),
      { unit: RATE_UNIT, better: 'more' },
    ],
    open: async () => {
      const storage = openFile(plan.directory, plan.smoke ? 64 * MIB : 1024 * MIB)
      const properties = join(dirname(storage.path), `io-shares-${process.pid}.json`)
      await tune(plan, dirname(storage.path), properties)
      const side = (name: string, file: string): Side => ({
        name,
        missing: missingScript(SCRIPT),
        run: async () => {
          const args = [what, storage.path, storage.sizeBytes, plan.smoke ? 0.2 : 4, file]
          return readAnswer(
            what,
            await runForJson(nodeCommand(SCRIPT, args, { cpu: plan.clientCpu })),
          )
        },
      })
      return [side('percore', properties), side('unscheduled', 'none')]
    },
  }
}

async function tune(plan: Plan, folder: string, properties: string): Promise<void> {
  const size = plan.smoke ? ['--seconds', '0.05', '--size', '16'] : ['--seconds', '2']
  try {
    await runToEnd({
      program: process.execPath,
      args: [CLI, 'iotune', folder, '--output', properties, '--json', ...size],
      cpu: plan.clientCpu,
    })
  } catch (error) {
    throw new Unavailable(`the device can't be measured: ${(error as Error).message}`)
  }
}

function readAnswer(what: What, answer: Parameters<typeof numberField>[0]): Sample {
  const field = (name: string): number => numberField(answer, name)
  const rate = (bytes: number): number => bytes / MIB / field('seconds')
  if (what === 'shares') {
    const [many, few] = [field('manyBytes'), field('fewBytes')]
    return { [RATIO_UNIT]: many / Math.max(1, few), [RATE_UNIT]: rate(many + few) }
  }
  const bulk = { [RATE_UNIT]: rate(field('bulkBytes')) }
  if (what === 'alone') return bulk
  return { ...bulk, [TAIL_UNIT]: field('p99Us'), [MEDIAN_UNIT]: field('p50Us') }
}
