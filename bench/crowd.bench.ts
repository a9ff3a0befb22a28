/**
 * An echo server under many connections: all open at once, each asking now and then, and a minute of clients that come, ask and
 * break off. A reply that is missing or wrong fails the run; what is measured is what the server needs and keeps.
 */

import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Command,
  Held,
  missingScript,
  nodeCommand,
  numberField,
  parseLastLine,
  runForJson,
} from './child.ts'
import {
  type Benchmark,
  type Case,
  type Plan,
  type Sample,
  type Side,
  Unavailable,
} from './definition.ts'
import {
  countDescriptors,
  descriptorCountHard,
  readCpuNs,
  readResidentBytes,
} from './process-stats.ts'

const CPU_UNIT = 'us/request'
const MEMORY_UNIT = 'B/connection'
const LEFT_UNIT = 'descriptors left'
const SIZE_BYTES = 64
const ROUNDS = 3
/** Of the server and its loop, beside those of connections. */
const SPARE_DESCRIPTORS = 500
const CROWD_MS_MAX = 120_000
const CHURN_CLIENTS = 64
const SETTLE_MS = 500

/** How a connection is served: by a consumer that all share, or a loop of its own. */
type Style = 'consume' | 'await'

/** Twenty thousand that stay, and a minute of those that do not. */
export const crowdBenchmark: Benchmark = {
  name: 'crowd',
  summary: '20,000 connections at once, and 60 s of churn: server CPU, memory and descriptors',
  cases: (plan) => [crowdCase(plan, 'consume'), crowdCase(plan, 'await'), churnCase(plan)],
}

function crowdCase(plan: Plan, style: Style): Case {
  const wanted = plan.smoke ? 200 : 20_000
  const raisedTo = wanted + SPARE_DESCRIPTORS
  const isRaised = descriptorCountHard() < raisedTo && canRaiseDescriptors(raisedTo)
  // As many as there may be, where it may not be raised: the row says how many these were.
  const connections = isRaised
    ? wanted
    : Math.min(wanted, descriptorCountHard() - SPARE_DESCRIPTORS)
  return {
    params: { mode: 'crowd', style, connections, size: SIZE_BYTES },
    metrics: [
      { unit: CPU_UNIT, better: 'less' },
      { unit: MEMORY_UNIT, better: 'less' },
    ],
    open: async () => {
      if (connections < wanted / 2) throw new Unavailable(`needs ulimit -n of ${raisedTo}`)
      const raise = (command: Command): Command =>
        isRaised ? withDescriptors(command, raisedTo) : command
      return sides(plan, style, (command) => measureCrowd(plan, { command, connections, raise }))
    },
  }
}

function churnCase(plan: Plan): Case {
  const seconds = plan.smoke ? 1 : 60
  return {
    params: { mode: 'churn', style: 'consume', clients: CHURN_CLIENTS, seconds },
    metrics: [
      { unit: CPU_UNIT, better: 'less' },
      { unit: MEMORY_UNIT, better: 'less' },
      { unit: LEFT_UNIT, better: 'less' },
    ],
    open: async () => sides(plan, 'consume', (command) => measureChurn(plan, command, seconds)),
  }
}

function sides(plan: Plan, style: Style, measure: (command: Command) => Promise<Sample>): Side[] {
  const cpu = plan.serverCpu
  const args = ['idle', 0, SIZE_BYTES, style]
  return [
    {
      name: 'percore',
      missing: missingScript('percore/echo'),
      run: () => measure(nodeCommand('percore/echo', args, { cpu })),
    },
    { name: 'node', run: () => measure(nodeCommand('peers/node-echo', args, { cpu })) },
  ]
}

function withDescriptors(command: Command, limit: number): Command {
  const args = [`--nofile=${limit}:${limit}`, command.program, ...command.args]
  return { ...command, program: 'prlimit', args }
}

/** Whether children may be given more than this process has: root in a container need not be. */
function canRaiseDescriptors(limit: number): boolean {
  return spawnSync('prlimit', [`--nofile=${limit}:${limit}`, 'true']).status === 0
}

async function measureCrowd(
  plan: Plan,
  what: {
    readonly command: Command
    readonly connections: number
    readonly raise: (command: Command) => Command
  },
): Promise<Sample> {
  const { command, connections, raise } = what
  const cpu = plan.clientCpu
  await using server = await Held.start(raise(command))
  const port = server.port()
  // Loads the server's code and sizes its heap first: neither is the price of a connection.
  await runForJson(nodeCommand('peers/crowd-client', [port, 'crowd', 100, 20], { cpu }))
  await sleep(SETTLE_MS)
  const beforeBytes = readResidentBytes(server.pid)
  const beforeNs = readCpuNs(server.pid)

  const args = [port, 'crowd', connections, ROUNDS, 'hold']
  await using clients = await Held.start(
    raise(nodeCommand('peers/crowd-client', args, { cpu })),
    CROWD_MS_MAX,
  )
  const requests = numberField(parseLastLine(clients.firstLine), 'requests')
  const usedNs = readCpuNs(server.pid) - beforeNs
  await sleep(SETTLE_MS)
  const keptBytes = readResidentBytes(server.pid) - beforeBytes
  await clients.stop()
  await server.stop()
  if (requests !== connections * ROUNDS) throw new Error(`Only ${requests} requests were answered`)
  return { [CPU_UNIT]: usedNs / requests / 1_000, [MEMORY_UNIT]: keptBytes / connections }
}

/** Memory is compared after a quarter of the time and at its end, per connection that came in between. */
async function measureChurn(plan: Plan, command: Command, seconds: number): Promise<Sample> {
  await using server = await Held.start(command)
  const port = server.port()
  const churn = (part: number): Promise<Readonly<Record<string, unknown>>> => {
    const args = [port, 'churn', CHURN_CLIENTS, part]
    return runForJson(nodeCommand('peers/crowd-client', args, { cpu: plan.clientCpu }))
  }
  await churn(seconds / 4)
  const descriptorCount = countDescriptors(server.pid)
  await sleep(SETTLE_MS)
  const beforeBytes = readResidentBytes(server.pid)
  const beforeNs = readCpuNs(server.pid)
  const answer = await churn((seconds * 3) / 4)
  const usedNs = readCpuNs(server.pid) - beforeNs
  await sleep(SETTLE_MS)
  const grownBytes = readResidentBytes(server.pid) - beforeBytes
  const left = countDescriptors(server.pid) - descriptorCount
  await server.stop()
  return {
    [CPU_UNIT]: usedNs / numberField(answer, 'requests') / 1_000,
    [MEMORY_UNIT]: grownBytes / numberField(answer, 'connections'),
    [LEFT_UNIT]: left,
  }
}
