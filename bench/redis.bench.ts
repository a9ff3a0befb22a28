/** The Redis example on one thread against redis-server: what redis-benchmark gets of either, a core each. */

import { Held, missingScript, nodeCommand, runToEnd } from './child.ts'
import {
  type Benchmark,
  type Case,
  type Plan,
  type Sample,
  type Side,
  Unavailable,
} from './definition.ts'
import { findTool } from './locate.ts'
import { readCpuNs } from './process-stats.ts'

const RATE_UNIT = 'requests/s'
const CPU_UNIT = 'us/request'
const TOOLS = ['redis-server', 'redis-benchmark'] as const
const CONNECTIONS = 50
const VALUE_BYTES = 64
const KEYS = 100_000

/** What is asked, and how many requests a client sends before it waits for the replies. */
interface Load {
  readonly plan: Plan
  readonly command: 'get' | 'set'
  readonly pipeline: number
}

/** GET and SET, one by one and sixteen at a time. */
export const redisBenchmark: Benchmark = {
  name: 'redis',
  summary: 'examples/redis on one thread against redis-server, by redis-benchmark',
  cases: (plan) =>
    ([1, 16] as const).flatMap((pipeline) =>
      (['get', 'set'] as const).map((command) => redisCase({ plan, command, pipeline })),
    ),
}

function redisCase(load: Load): Case {
  const { command, pipeline } = load
  return {
    params: { command, pipeline, connections: CONNECTIONS, size: VALUE_BYTES },
    metrics: [
      { unit: RATE_UNIT, better: 'more' },
      { unit: CPU_UNIT, better: 'less' },
    ],
    open: async () => {
      const missing = TOOLS.filter((name) => findTool(name) === undefined)
      if (missing.length > 0) throw new Unavailable(`${missing.join(' and ')} not installed`)
      return [redisSide(load, 'percore'), redisSide(load, 'redis')]
    },
  }
}

function redisSide(load: Load, name: 'percore' | 'redis'): Side {
  const script = name === 'percore' ? 'percore/redis' : 'peers/redis-server'
  return { name, missing: missingScript(script), run: () => measure(load, script) }
}

async function measure(load: Load, script: string): Promise<Sample> {
  const { plan, pipeline } = load
  // Both take it, and one does without.
  const args = [findTool('redis-server')!]
  await using server = await Held.start(nodeCommand(script, args, { cpu: plan.serverCpu }))
  const [port = 0, pid = 0] = server.firstLine.split(' ').map(Number)
  const count = plan.smoke ? 2_000 : pipeline === 1 ? 200_000 : 1_500_000
  // Fills the keys, so that what is read is there, and warms the code for both.
  await ask({ ...load, command: 'set' }, port, Math.max(count / 2, KEYS / 50))
  await ask(load, port, count / 2)
  const beforeNs = readCpuNs(pid)
  const rate = await ask(load, port, count)
  const usedNs = readCpuNs(pid) - beforeNs
  await server.stop()
  return { [RATE_UNIT]: rate, [CPU_UNIT]: usedNs / count / 1_000 }
}

/** Asks so many times; how often in a second it was answered. */
async function ask(
  { plan, command, pipeline }: Load,
  port: number,
  count: number,
): Promise<number> {
  const values = {
    p: port,
    c: CONNECTIONS,
    n: count,
    d: VALUE_BYTES,
    r: KEYS,
    P: pipeline,
    t: command,
  }
  const args = Object.entries(values).flatMap(([name, value]) => [`-${name}`, String(value)])
  const program = findTool('redis-benchmark')!
  const output = await runToEnd({ program, args: [...args, '--csv'], cpu: plan.clientCpu })
  const rate = Number(new RegExp(`^"${command}","([\\d.]+)"`, 'im').exec(output)?.[1])
  if (rate > 0) return rate
  throw new Error(`redis-benchmark says: ${output}`)
}
