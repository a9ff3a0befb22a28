/**
 * What Node's own sockets get beside busy tasks, and what a latency class gets beside a busy Node.
 *
 * Peers are the same programs without percore. What yields there does so by setImmediate, at once
 * (`immediate`) or after slices of 1 ms (`slices`), as careful Node programs do. Sockets wait little where the
 * tasks starve, so the progress of these is a row of its own: a share of the thread cannot be had twice.
 *
 * Wanted: percore's echo has a p99 of 10 ms at most, and `node:net` beside it is no slower than beside the
 * same work in setImmediate; `node:http` beside a task has a p50 of 2 ms and a p99 of 5 ms at most.
 */

import {
  type Answer,
  Held,
  missingScript,
  nodeCommand,
  numberField,
  parseLastLine,
  runForJson,
} from './child.ts'
import type { Benchmark, Case, Metric, Plan, Sample, Side } from './definition.ts'

const QUEUE_COUNTS = [1, 8, 50]
const QUEUES_CLIENT_COUNT = 50
const TASK_CLIENT_COUNT = 16

const ECHO_P99: Metric = { unit: 'echo p99 ms', better: 'less' }
const NODE_P50: Metric = { unit: 'node:net p50 ms', better: 'less' }
const NODE_P99: Metric = { unit: 'node:net p99 ms', better: 'less' }
const HTTP_RATE: Metric = { unit: 'http requests/s', better: 'more' }
const HTTP_P50: Metric = { unit: 'http p50 ms', better: 'less' }
const HTTP_P99: Metric = { unit: 'http p99 ms', better: 'less' }
const YIELD_RATE: Metric = { unit: 'yields/s', better: 'more' }
const WORK_RATE: Metric = { unit: 'units/s', better: 'more' }

/** A side: its script, and what that is told besides the times. */
interface Program {
  readonly name: string
  readonly script: string
  readonly before?: readonly number[]
  readonly after?: readonly string[]
}

/** What the two programs of a run came to. */
interface Outcome {
  readonly server: Answer
  readonly client: Answer
}

/** Node's sockets beside task queues, and a latency class beside both. */
export const busyBenchmark: Benchmark = {
  name: 'busy',
  summary: "Node's sockets beside busy tasks, and a latency class beside both",
  cases: (plan) => {
    const queueCounts = plan.smoke ? QUEUE_COUNTS.slice(0, 1) : QUEUE_COUNTS
    return [...queueCounts.map((queues) => queuesCase(plan, queues)), taskCase(plan)]
  },
}

/** Tasks that only yield, in so many queues, while `node:http` has more requests than it can answer. */
function queuesCase(plan: Plan, queues: number): Case {
  const before = [queues]
  const script = 'peers/immediate-queues'
  return {
    params: { what: 'node-beside-queues', queues },
    metrics: [ECHO_P99, NODE_P50, NODE_P99, HTTP_RATE, YIELD_RATE],
    open: async () =>
      openSides(plan, {
        programs: [
          { name: 'percore', script: 'percore/busy-queues', before },
          { name: 'immediate', script, before, after: ['immediate'] },
          { name: 'slices', script, before, after: ['slices'] },
        ],
        clientCount: QUEUES_CLIENT_COUNT,
        read: ({ server, client }) => ({
          [ECHO_P99.unit]: numberField(server, 'echoP99Ms'),
          [NODE_P50.unit]: numberField(server, 'nodeP50Ms'),
          [NODE_P99.unit]: numberField(server, 'nodeP99Ms'),
          [HTTP_RATE.unit]: numberField(client, 'answersPerSecond'),
          [YIELD_RATE.unit]: numberField(server, 'yieldsPerSecond'),
        }),
      }),
  }
}

/** One task that works, while `node:http` has as many requests as its clients can send. */
function taskCase(plan: Plan): Case {
  return {
    params: { what: 'http-beside-task' },
    metrics: [HTTP_P50, HTTP_P99, HTTP_RATE, WORK_RATE],
    open: async () =>
      openSides(plan, {
        programs: [
          { name: 'percore', script: 'percore/busy-task' },
          { name: 'slices', script: 'peers/immediate-task' },
        ],
        clientCount: TASK_CLIENT_COUNT,
        read: ({ server, client }) => ({
          [HTTP_P50.unit]: numberField(client, 'p50Ms'),
          [HTTP_P99.unit]: numberField(client, 'p99Ms'),
          [HTTP_RATE.unit]: numberField(client, 'answersPerSecond'),
          [WORK_RATE.unit]: numberField(server, 'unitsPerSecond'),
        }),
      }),
  }
}

function openSides(
  plan: Plan,
  options: {
    readonly programs: readonly Program[]
    readonly clientCount: number
    readonly read: (outcome: Outcome) => Sample
  },
): readonly Side[] {
  return options.programs.map((program) => ({
    name: program.name,
    missing: missingScript(program.script),
    run: async () => options.read(await measure(plan, program, options.clientCount)),
  }))
}

async function measure(plan: Plan, program: Program, clientCount: number): Promise<Outcome> {
  const { script, before = [], after = [] } = program
  const times = plan.smoke ? [0.2, 0.5] : [1, 3]
  const cpu = plan.serverCpu
  await using held = await Held.start(nodeCommand(script, [...before, ...times, ...after], { cpu }))
  const load = [held.port(), clientCount, ...times]
  const client = await runForJson(nodeCommand('peers/http-client', load, { cpu: plan.clientCpu }))
  return { client, server: parseLastLine(await held.stop()) }
}
