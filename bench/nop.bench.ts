/** The cost of an operation that does nothing: the runtime's own price, next to lean C. */

import { buildPeer, missingCompiler } from './build-peer.ts'
import { type Command, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'

/**
 * `callbacks`: the ring's own, called as a completion is reaped. `queued`: run by a turn of a task
 * queue, as timers and tasks are. `await`: a promise each.
 */
const STYLES = ['callbacks', 'queued', 'await'] as const
/** TypeScript without a runtime: how near to C the language itself comes. */
const BARE_STYLES = {
  callbacks: ['callbacks', 'named'],
  queued: [],
  await: ['await'],
} as const
const BATCHES = [1, 32, 128, 1024]
const UNIT = 'ns/op'

/** NOPs through io_uring, `batch` at a time. */
export const nopBenchmark: Benchmark = {
  name: 'nop',
  summary: 'NOPs through io_uring, submitted and awaited `batch` at a time',
  cases: (plan) => STYLES.flatMap((style) => BATCHES.map((batch) => nopCase(plan, style, batch))),
}

function nopCase(plan: Plan, style: (typeof STYLES)[number], batch: number): Case {
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
      ...BARE_STYLES[style].map((bare) => bareSide(bare, batch, operationCount, cpu)),
    ],
  }
}

function bareSide(style: string, batch: number, operationCount: number, cpu: number): Side {
  const script = 'peers/bare-nop'
  return {
    name: style === 'named' ? 'named' : 'bare',
    missing: missingScript(script),
    run: () => measure(nodeCommand(script, [style, batch, operationCount], { cpu })),
  }
}

async function measure(command: Command): Promise<Sample> {
  return { [UNIT]: numberField(await runForJson(command), 'nsPerOp') }
}
