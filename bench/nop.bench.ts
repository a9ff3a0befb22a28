/** The cost of an operation that does nothing: the runtime's own price, next to lean C. */

import { buildPeer, missingCompiler } from './build-peer.ts'
import { type Command, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample } from './definition.ts'

const STYLES = ['callbacks', 'await'] as const
const BATCHES = [1, 32, 128, 1024]
const UNIT = 'ns/op'

/** NOPs through io_uring, `batch` at a time. */
export const nopBenchmark: Benchmark = {
  name: 'nop',
  summary: 'NOPs through io_uring, submitted and awaited `batch` at a time',
  cases: (plan) => STYLES.flatMap((style) => BATCHES.map((batch) => nopCase(plan, style, batch))),
}

function nopCase(plan: Plan, style: string, batch: number): Case {
  const fullCount = batch === 1 ? 1_000_000 : 4_000_000
  const operationCount = plan.smoke ? 20_480 : fullCount
  const cpu = plan.clientCpu
  return {
    params: { style, batch },
    metrics: [{ unit: UNIT, better: 'less' }],
    open: async () => [
      {
        name: 'percore',
        missing: missingScript('percore/nop'),
        run: () => measure(nodeCommand('percore/nop', [style, batch, operationCount], { cpu })),
      },
      {
        name: 'c',
        missing: missingCompiler(),
        run: () =>
          measure({
            program: buildPeer('nop'),
            args: [String(batch), String(operationCount)],
            cpu,
          }),
      },
    ],
  }
}

async function measure(command: Command): Promise<Sample> {
  return { [UNIT]: numberField(await runForJson(command), 'nsPerOp') }
}
