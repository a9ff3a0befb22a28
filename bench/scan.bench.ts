/** A file from its beginning to its end: read, written, and written in small records. */

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Answer, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'
import { type FioResult, fioSide } from './fio.ts'
import { openFile, type Storage } from './test-storage.ts'

const KIB = 1024
const MIB = 1024 * KIB
const RATE_UNIT = 'GB/s'
const CPU_UNIT = 'us/MiB'
const MEMORY_UNIT = 'MiB'
/** How often a reader goes through the file that passes the page cache by; the others would find it there. */
const DIRECT_PASSES = 3

/** What is done, in which blocks, with how many on their way. */
interface Scan {
  readonly what: 'read' | 'write' | 'records'
  readonly block: number
  readonly depth: number
}

const SCANS: readonly Scan[] = [
  { what: 'read', block: 128 * KIB, depth: 4 },
  { what: 'read', block: MIB, depth: 4 },
  { what: 'write', block: 128 * KIB, depth: 4 },
  { what: 'write', block: MIB, depth: 4 },
  { what: 'records', block: 100, depth: 4 },
]

/** Streams of a file that is not in the page cache, next to fio and to the streams of Node. */
export const scanBenchmark: Benchmark = {
  name: 'scan',
  summary:
    'a file read, or written and synced, as a stream on one CPU: GB/s, user + system CPU per MiB, peak memory',
  cases: (plan) => SCANS.map((scan) => scanCase(plan, scan)),
}

function scanCase(plan: Plan, scan: Scan): Case {
  const { what, block, depth } = scan
  return {
    params: { what, block, depth },
    metrics: [
      { unit: RATE_UNIT, better: 'more' },
      { unit: CPU_UNIT, better: 'less' },
      { unit: MEMORY_UNIT, better: 'less' },
    ],
    open: async () => (what === 'read' ? readSides(plan, scan) : writeSides(plan, scan)),
  }
}

function readSides(plan: Plan, { block, depth }: Scan): Side[] {
  const storage = openFile(plan.directory, plan.smoke ? 64 * MIB : 1024 * MIB)
  const { path, sizeBytes } = storage
  const percore = (name: string, way: string): Side =>
    scriptSide(plan, name, 'percore/scan', [way, path, sizeBytes, block, depth, DIRECT_PASSES])
  const node = (name: string, chunkBytes: number): Side => {
    const script = 'peers/node-scan'
    const side = scriptSide(plan, name, script, ['read', path, sizeBytes, chunkBytes])
    return { ...side, run: () => forget(storage).then(() => side.run()) }
  }
  return [
    percore('percore', 'leases'),
    percore('percore-chunks', 'chunks'),
    fioSide(
      plan,
      'fio',
      storage,
      [
        '--rw=read',
        '--readonly',
        `--bs=${block}`,
        `--iodepth=${depth}`,
        `--loops=${DIRECT_PASSES}`,
      ],
      toSample,
    ),
    // As people use it, which is 64 KiB at a time; and with chunks as long as ours may be.
    node('node', 64 * KIB),
    node('node-1m', MIB),
  ]
}

function writeSides(plan: Plan, { what, block, depth }: Scan): Side[] {
  const sizeBytes = plan.smoke ? 16 * MIB : what === 'records' ? 100_000_000 : 512 * MIB
  const path = join(plan.directory, 'scan-written.dat')
  const fresh = (side: Side): Side => ({
    ...side,
    run: async () => {
      rmSync(path, { force: true })
      try {
        return await side.run()
      } finally {
        rmSync(path, { force: true })
      }
    },
  })
  const percore = (name: string, way: string): Side =>
    fresh(scriptSide(plan, name, 'percore/scan', [way, path, sizeBytes, block, depth, 1]))
  const node = fresh(scriptSide(plan, 'node', 'peers/node-scan', [what, path, sizeBytes, block]))
  if (what === 'records') return [percore('percore', 'records'), node]
  const fio = fioSide(
    plan,
    'fio',
    { path, sizeBytes },
    [
      '--refill_buffers=0',
      '--rw=write',
      `--bs=${block}`,
      `--iodepth=${depth}`,
      '--fallocate=none',
      '--end_fsync=1',
    ],
    toSample,
  )
  return [percore('percore', 'push'), percore('percore-bytes', 'write'), fresh(fio), node]
}

/** Has the page cache forget a file. */
async function forget({ path }: Storage): Promise<void> {
  const { status } = spawnSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none'])
  if (status !== 0) throw new Error('Cannot measure: dd must be able to drop a file from the cache')
}

function scriptSide(
  plan: Plan,
  name: string,
  script: string,
  args: readonly (string | number)[],
): Side {
  return {
    name,
    missing: missingScript(script),
    run: async () =>
      readAnswer(await runForJson(nodeCommand(script, args, { cpu: plan.clientCpu }))),
  }
}

function readAnswer(answer: Answer): Sample {
  const bytes = numberField(answer, 'bytes')
  return {
    [RATE_UNIT]: bytes / numberField(answer, 'seconds') / 1e9,
    [CPU_UNIT]: numberField(answer, 'cpuUs') / (bytes / MIB),
    [MEMORY_UNIT]: numberField(answer, 'rssKib') / KIB,
  }
}

function toSample({ bytes, runMs, busyUs }: FioResult): Sample {
  return {
    [RATE_UNIT]: bytes / (runMs / 1_000) / 1e9,
    [CPU_UNIT]: busyUs / (bytes / MIB),
    // What it holds of its own is of no interest.
    [MEMORY_UNIT]: 0,
  }
}
