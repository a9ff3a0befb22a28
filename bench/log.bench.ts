/** Durable appends over TCP: the log of examples/ beside its twin on node:fs and node:net. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buildPeer, missingCompiler } from './build-peer.ts'
import { type Answer, Held, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import { onExit } from './cleanup.ts'
import {
  type Benchmark,
  type Case,
  type Plan,
  type Sample,
  type Side,
  Unavailable,
} from './definition.ts'

const RECORD_BYTES = 128
const SEGMENT_BYTES = 256 << 20
const RATE_UNIT = 'appends/s'
const TAIL_UNIT = 'us p99'
const CPU_UNIT = 'us/append'
const OUTSTANDING = [1, 32, 512]
const WARM_CONNECTIONS = 16
const WARM_SECONDS = 3

/** Each connection has one append outstanding; it is acknowledged once it is on the disk. */
export const logBenchmark: Benchmark = {
  name: 'log',
  summary:
    'durable appends of 128 bytes over TCP, acknowledged after group commit: rate, p99, server CPU',
  cases: (plan) => OUTSTANDING.map((outstanding) => appendCase(plan, outstanding)),
}

function appendCase(plan: Plan, outstanding: number): Case {
  return {
    params: { outstanding, size: RECORD_BYTES },
    metrics: [
      { unit: RATE_UNIT, better: 'more' },
      { unit: TAIL_UNIT, better: 'less' },
      { unit: CPU_UNIT, better: 'less' },
    ],
    open: async () => {
      const reason = missingCompiler()
      if (reason !== undefined) throw new Unavailable(`the client is in C, and ${reason}`)
      return [
        logSide(plan, { name: 'percore', script: 'percore/log', outstanding }),
        logSide(plan, { name: 'node', script: 'peers/node-log', outstanding }),
      ]
    },
  }
}

function logSide(
  plan: Plan,
  {
    name,
    script,
    outstanding,
  }: { readonly name: string; readonly script: string; readonly outstanding: number },
): Side {
  return { name, missing: missingScript(script), run: () => drive(plan, script, outstanding) }
}

/** A fresh log, which is removed afterwards. */
async function drive(plan: Plan, script: string, outstanding: number): Promise<Sample> {
  mkdirSync(plan.directory, { recursive: true })
  const folder = mkdtempSync(join(plan.directory, 'log-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  const forget = onExit(remove)
  try {
    const segmentBytes = plan.smoke ? 4 << 20 : SEGMENT_BYTES
    const command = nodeCommand(script, [folder, segmentBytes], { cpu: plan.serverCpu })
    await using server = await Held.start(command)
    const load = async (connections: number, seconds: number): Promise<Answer> => {
      const counts = [connections, RECORD_BYTES, seconds, plan.smoke ? 0.1 : 0.5].map(String)
      const args = ['127.0.0.1', String(server.port()), ...counts]
      return await runForJson({
        program: buildPeer('echo-client'),
        args: [...args, '--server', String(server.pid), '--log'],
        cpu: plan.clientCpu,
      })
    }
    // One append at a time is so slow that nothing would be compiled before the end.
    await load(WARM_CONNECTIONS, plan.smoke ? 0.1 : WARM_SECONDS)
    const answer = await load(outstanding, plan.smoke ? 0.4 : 3)
    await server.stop()
    return {
      [RATE_UNIT]: numberField(answer, 'requestsPerSecond'),
      [TAIL_UNIT]: numberField(answer, 'p99us'),
      [CPU_UNIT]: numberField(answer, 'serverCpuNs') / numberField(answer, 'requests') / 1_000,
    }
  } finally {
    forget()
    remove()
  }
}
