/** `node:http` and Fastify on percore's sockets, against the same on Node's own: server CPU per request. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Held, missingScript, nodeCommand, numberField, runForJson, runToEnd } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'
import { findTool } from './locate.ts'
import { readCpuNs } from './process-stats.ts'

const CPU_UNIT = 'us/request'
const RATE_UNIT = 'requests/s'

/** What answers: `node:http` alone, or Fastify on it. */
type Framework = 'http' | 'fastify'

/** A short answer over connections that stay open, as `wrk` asks. */
export const nodeHttpBenchmark: Benchmark = {
  name: 'node-http',
  summary: 'node:http and Fastify on percore/node against node:net: server CPU per request',
  cases: (plan) => [
    httpCase(plan, 'http', 1),
    httpCase(plan, 'http', 64),
    httpCase(plan, 'http', 256),
    httpCase(plan, 'fastify', 64),
  ],
}

function httpCase(plan: Plan, framework: Framework, connections: number): Case {
  const side = (name: 'percore' | 'node'): Side => ({
    name,
    missing: missingScript('peers/node-http'),
    run: () => measure(plan, { name, framework, connections }),
  })
  return {
    params: { framework, connections, client: findTool('wrk') === undefined ? 'node' : 'wrk' },
    metrics: [
      { unit: CPU_UNIT, better: 'less' },
      { unit: RATE_UNIT, better: 'more' },
    ],
    open: async () => [side('percore'), side('node')],
  }
}

async function measure(
  plan: Plan,
  what: { readonly name: string; readonly framework: Framework; readonly connections: number },
): Promise<Sample> {
  const { name, framework, connections } = what
  const [warmupSeconds, seconds] = plan.smoke ? [1, 1] : [2, 4]
  const args = [name, framework]
  await using server = await Held.start(
    nodeCommand('peers/node-http', args, { cpu: plan.serverCpu }),
  )
  const load = { plan, port: server.port(), connections }
  await countAnswers({ ...load, seconds: warmupSeconds })
  await sleep(50)
  const beforeNs = readCpuNs(server.pid)
  const count = await countAnswers({ ...load, seconds })
  const usedNs = readCpuNs(server.pid) - beforeNs
  await server.stop()
  return { [CPU_UNIT]: usedNs / count / 1_000, [RATE_UNIT]: count / seconds }
}

/** Asks for so long, as fast as it is answered; how often it was. */
async function countAnswers(load: {
  readonly plan: Plan
  readonly port: number
  readonly connections: number
  readonly seconds: number
}): Promise<number> {
  const { plan, port, connections, seconds } = load
  const wrk = findTool('wrk')
  if (wrk === undefined) {
    const args = [port, connections, 0, seconds]
    const answer = await runForJson(nodeCommand('peers/http-client', args, { cpu: plan.clientCpu }))
    return numberField(answer, 'answersPerSecond') * seconds
  }
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, `http://127.0.0.1:${port}/`]
  const output = await runToEnd({ program: wrk, args, cpu: plan.clientCpu })
  const count = Number(/(\d+) requests in/.exec(output)?.[1] ?? 0)
  if (count === 0 || /Non-2xx|Socket errors/.test(output)) throw new Error(`wrk says: ${output}`)
  return count
}
