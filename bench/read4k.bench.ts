/** Random direct reads of 4 KiB: how many, and what CPU each costs, next to fio and node:fs. */

import {
  type Answer,
  type Command,
  missingScript,
  nodeCommand,
  numberField,
  runForJson,
} from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'
import { fioSide } from './fio.ts'
import { openFile, openMemoryFile, type Storage } from './test-storage.ts'

const MIB = 1024 * 1024
const RATE_UNIT = 'IOPS'
const CPU_UNIT = 'us/op'
const DEVICES = ['file', 'ram'] as const
const DEPTHS = [1, 32, 128]
const BATCH_COUNT = 16

/** O_DIRECT reads at three depths, of a file and of memory that poses as a disk. */
export const read4kBenchmark: Benchmark = {
  name: 'read4k',
  summary: 'random 4 KiB O_DIRECT reads on one CPU: IOPS, and user + system CPU per read',
  cases: (plan) =>
    DEVICES.flatMap((device) => DEPTHS.map((depth) => readCase(plan, device, depth))),
}

function readCase(plan: Plan, device: (typeof DEVICES)[number], depth: number): Case {
  return {
    params: { device, depth },
    metrics: [
      { unit: RATE_UNIT, better: 'more' },
      { unit: CPU_UNIT, better: 'less' },
    ],
    open: async () => {
      const storage = openStorage(plan, device)
      return [
        scriptSide(plan, { name: 'percore', script: 'percore/read4k', storage, depth }),
        readSide(plan, { name: 'fio', storage, depth, batchCount: 1 }),
        // How near to fio the language itself comes, without a runtime, where reads end within the call.
        ...(device === 'ram' && depth === 1
          ? [scriptSide(plan, { name: 'bare', script: 'peers/bare-read4k', storage, depth })]
          : []),
        // What fio does at its best where reads complete within the call that submits them.
        ...(device === 'ram' && depth > 1
          ? [readSide(plan, { name: 'fio-batch', storage, depth, batchCount: BATCH_COUNT })]
          : []),
        scriptSide(plan, { name: 'node', script: 'peers/node-read4k', storage, depth }),
        // libuv's own io_uring, off unless asked for: the peer a reviewer would ask about.
        scriptSide(plan, {
          name: 'node-uring',
          script: 'peers/node-read4k',
          storage,
          depth,
          env: { UV_USE_IO_URING: '1' },
        }),
      ]
    },
  }
}

function openStorage(plan: Plan, device: (typeof DEVICES)[number]): Storage {
  if (device === 'file') return openFile(plan.directory, plan.smoke ? 64 * MIB : 1024 * MIB)
  return openMemoryFile(plan.smoke ? 64 * MIB : 512 * MIB)
}

function durations(plan: Plan): { readonly runMs: number; readonly warmupMs: number } {
  return plan.smoke ? { runMs: 200, warmupMs: 50 } : { runMs: 2_000, warmupMs: 500 }
}

function scriptSide(
  plan: Plan,
  options: {
    readonly name: string
    readonly script: string
    readonly storage: Storage
    readonly depth: number
    readonly env?: Command['env']
  },
): Side {
  const { storage, depth, env } = options
  const { runMs, warmupMs } = durations(plan)
  const command = nodeCommand(
    options.script,
    [storage.path, storage.sizeBytes, depth, runMs / 1_000, warmupMs / 1_000],
    { cpu: plan.clientCpu, ...(env === undefined ? {} : { env }) },
  )
  return {
    name: options.name,
    missing: missingScript(options.script),
    run: async () => readScriptAnswer(await runForJson(command)),
  }
}

function readScriptAnswer(answer: Answer): Sample {
  const count = numberField(answer, 'ops')
  return {
    [RATE_UNIT]: count / numberField(answer, 'seconds'),
    [CPU_UNIT]: numberField(answer, 'cpuUs') / count,
  }
}

/** `batchCount`: how many reads it submits with one call; 1 unless fio is told. */
function readSide(
  plan: Plan,
  options: {
    readonly name: string
    readonly storage: Storage
    readonly depth: number
    readonly batchCount: number
  },
): Side {
  const { name, storage, depth, batchCount } = options
  const { runMs, warmupMs } = durations(plan)
  const job = [
    '--readonly',
    '--rw=randread',
    '--bs=4k',
    `--iodepth=${depth}`,
    `--iodepth_batch_submit=${batchCount}`,
    `--iodepth_batch_complete_max=${batchCount}`,
    '--norandommap',
    '--randrepeat=0',
    '--time_based',
    `--runtime=${runMs}ms`,
    `--ramp_time=${warmupMs}ms`,
  ]
  return fioSide(plan, name, storage, job, (result) => ({
    [RATE_UNIT]: result.operationCount / (result.runMs / 1_000),
    [CPU_UNIT]: result.busyUs / result.operationCount,
  }))
}
