/** TCP echo over loopback: server CPU per request, round trip, memory per idle connection. */

import { setTimeout as sleep } from 'node:timers/promises'
import { buildPeer, missingCompiler } from './build-peer.ts'
import { type Command, Held, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import {
  type Benchmark,
  type Case,
  type Plan,
  type Sample,
  type Side,
  Unavailable,
} from './definition.ts'
import { descriptorCountMax, readResidentBytes } from './process-stats.ts'

const SIZE_BYTES = 64
const CPU_UNIT = 'us/request'
const RATE_UNIT = 'requests/s'
const ROUND_TRIP_UNIT = 'us'
const MEMORY_UNIT = 'B/connection'

/** How the server waits: parked in the kernel, polling, or holding idle connections. */
type Mode = 'park' | 'spin' | 'idle'
/**
 * How percore's server serves a connection: `for await` over chunks of its own, the same over leases, or a
 * consumer of leases that all share, like the listeners of the `node:net` server.
 */
type Style = 'await' | 'lease' | 'consume'
const STYLES: readonly Style[] = ['consume', 'lease', 'await']
type Measure = (command: Command) => Promise<Sample>

/** Ping-pong at several widths, the spinning round trip, and the price of an idle connection. */
export const echoBenchmark: Benchmark = {
  name: 'echo',
  summary: 'TCP echo over loopback: server CPU, throughput, round trip, idle memory',
  cases: (plan) => [
    throughputCase(plan, 1, 'consume'),
    ...STYLES.map((style) => throughputCase(plan, 64, style)),
    ...STYLES.map((style) => throughputCase(plan, 256, style)),
    ...STYLES.map((style) => spinCase(plan, style)),
    idleCase(plan, 'consume'),
    idleCase(plan, 'await'),
  ],
}

/** The client saturates before a fast server does, hence CPU per request beside requests/s. */
function throughputCase(plan: Plan, connections: number, style: Style): Case {
  const measure = async (command: Command): Promise<Sample> => {
    const answer = await driveServer(plan, command, connections, [])
    return {
      [CPU_UNIT]: numberField(answer, 'serverCpuNs') / numberField(answer, 'requests') / 1_000,
      [RATE_UNIT]: numberField(answer, 'requestsPerSecond'),
    }
  }
  return {
    params: { style, connections, size: SIZE_BYTES },
    metrics: [
      { unit: CPU_UNIT, better: 'less' },
      { unit: RATE_UNIT, better: 'more' },
    ],
    open: async () => [
      ...(await scriptSides(plan, { mode: 'park', style, connections, measure })),
      programSide(plan, { name: 'epoll', measure }),
      programSide(plan, { name: 'uring', measure }),
    ],
  }
}

/** One connection, nobody asleep: what is left is the stack's own path. */
function spinCase(plan: Plan, style: Style): Case {
  const measure = async (command: Command): Promise<Sample> => {
    const answer = await driveServer(plan, command, 1, ['--spin'])
    return { [ROUND_TRIP_UNIT]: numberField(answer, 'p50us') }
  }
  return {
    params: { mode: 'spin', style, connections: 1, size: SIZE_BYTES },
    metrics: [{ unit: ROUND_TRIP_UNIT, better: 'less' }],
    open: async () => [
      ...(await scriptSides(plan, { mode: 'spin', style, connections: 1, measure })),
      programSide(plan, { name: 'uring', args: ['spin'], measure }),
    ],
  }
}

/** What the server's resident memory grows by, garbage of accepting included, per connection. */
function idleCase(plan: Plan, style: Style): Case {
  const connections = plan.smoke ? 200 : 10_000
  return {
    params: { mode: 'idle', style, connections },
    metrics: [{ unit: MEMORY_UNIT, better: 'less' }],
    open: async () => {
      if (descriptorCountMax() < connections + 100) {
        throw new Unavailable(`needs ulimit -n of more than ${connections + 100}`)
      }
      const measure = (command: Command): Promise<Sample> => measureIdle(plan, command, connections)
      return await scriptSides(plan, { mode: 'idle', style, connections, measure })
    },
  }
}

async function scriptSides(
  plan: Plan,
  options: {
    readonly mode: Mode
    readonly connections: number
    readonly measure: Measure
    readonly style: Style
  },
): Promise<readonly Side[]> {
  const reason = missingCompiler()
  if (reason !== undefined) throw new Unavailable(`the client is in C, and ${reason}`)
  const { mode, connections, measure, style } = options
  const cpu = plan.serverCpu
  const args = [mode, connections, SIZE_BYTES, style]
  return [
    {
      name: 'percore',
      missing: missingScript('percore/echo'),
      run: () => measure(nodeCommand('percore/echo', args, { cpu })),
    },
    { name: 'node', run: () => measure(nodeCommand('peers/node-echo', args, { cpu })) },
  ]
}

function programSide(
  plan: Plan,
  options: {
    readonly name: 'epoll' | 'uring'
    readonly args?: readonly string[]
    readonly measure: Measure
  },
): Side {
  const { name, args = [], measure } = options
  return {
    name,
    run: () => measure({ program: buildPeer(`echo-${name}`), args, cpu: plan.serverCpu }),
  }
}

/** A fresh server, one run of the client against it, and the client's answer. */
async function driveServer(
  plan: Plan,
  command: Command,
  connections: number,
  options: readonly string[],
): Promise<Readonly<Record<string, unknown>>> {
  const seconds = plan.smoke ? 0.4 : 2
  const warmupSeconds = plan.smoke ? 0.1 : 0.5
  await using server = await Held.start(command)
  const load = [connections, SIZE_BYTES, seconds, warmupSeconds].map(String)
  const answer = await runForJson({
    program: buildPeer('echo-client'),
    args: [...clientTarget(server), ...load, '--server', String(server.pid), ...options],
    cpu: plan.clientCpu,
  })
  await server.stop()
  return answer
}

async function measureIdle(plan: Plan, command: Command, connections: number): Promise<Sample> {
  const program = buildPeer('echo-client')
  const cpu = plan.clientCpu
  await using server = await Held.start(command)
  // Loads the server's code and sizes its heap first: neither is the price of a connection.
  const warmup = ['16', String(SIZE_BYTES), plan.smoke ? '0.1' : '1', '0']
  await runForJson({ program, args: [...clientTarget(server), ...warmup], cpu })
  await sleep(plan.smoke ? 50 : 500)
  const before = readResidentBytes(server.pid)

  const idle = ['0', '1', '0', '0', '--idle', String(connections)]
  await using holder = await Held.start({ program, args: [...clientTarget(server), ...idle], cpu })
  if (holder.firstLine !== 'idle ready') throw new Error(`Cannot go on: ${holder.firstLine}`)
  await sleep(plan.smoke ? 50 : 500)
  const after = readResidentBytes(server.pid)
  await holder.stop()
  await server.stop()
  return { [MEMORY_UNIT]: (after - before) / connections }
}

function clientTarget(server: Held): readonly string[] {
  return ['127.0.0.1', String(server.port())]
}
