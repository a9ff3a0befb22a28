/** The cost of the executor's own primitives, which no system call hides. */

import { type Command, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'

const UNIT = 'ns/op'

/** What to measure, how often, and whether Node has a natural counterpart. */
const PRIMITIVES = [
  { what: 'spawn', operationCount: 2_000_000, node: false },
  { what: 'yield', operationCount: 2_000_000, node: true },
  { what: 'needPreempt', operationCount: 50_000_000, node: false },
  { what: 'timer', operationCount: 1_000_000, node: true },
] as const

/** Spawning, yielding, asking whether to yield, and a timer created and cancelled. */
export const taskBenchmark: Benchmark = {
  name: 'task',
  summary: 'spawn, yield, needPreempt, and a timer created and cancelled',
  cases: (plan) => PRIMITIVES.map((primitive) => taskCase(plan, primitive)),
}

function taskCase(plan: Plan, primitive: (typeof PRIMITIVES)[number]): Case {
  const { what } = primitive
  const operationCount = plan.smoke ? 10_000 : primitive.operationCount
  const options = { cpu: plan.clientCpu }
  const sides: Side[] = [
    {
      name: 'percore',
      missing: missingScript('percore/task'),
      run: () => measure(nodeCommand('percore/task', [what, operationCount], options)),
    },
  ]
  if (primitive.node) {
    sides.push({
      name: 'node',
      run: () => measure(nodeCommand('peers/node-task', [what, operationCount], options)),
    })
  }
  return {
    params: { what },
    metrics: [{ unit: UNIT, better: 'less' }],
    open: async () => sides,
  }
}

async function measure(command: Command): Promise<Sample> {
  return { [UNIT]: numberField(await runForJson(command), 'nsPerOp') }
}
