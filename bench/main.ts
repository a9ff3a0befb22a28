/** The command line of the benchmarks: `npm run bench -- <name>`. */

import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { busyBenchmark } from './busy.bench.ts'
import { channelBenchmark } from './channel.bench.ts'
import { competingIoBenchmark } from './competing-io.bench.ts'
import { crowdBenchmark } from './crowd.bench.ts'
import type { Benchmark, Params, Plan } from './definition.ts'
import { echoBenchmark } from './echo.bench.ts'
import { measureBenchmark } from './harness.ts'
import { ioSharesBenchmark } from './io-shares.bench.ts'
import { latencyBenchmark } from './latency.bench.ts'
import { linesBenchmark } from './lines.bench.ts'
import { findRoot } from './locate.ts'
import { logBenchmark } from './log.bench.ts'
import { allowedCpus, describeMachine, MachineWatch } from './machine.ts'
import { nodeHttpBenchmark } from './node-http.bench.ts'
import { nopBenchmark } from './nop.bench.ts'
import { queuesBenchmark } from './queues.bench.ts'
import { read4kBenchmark } from './read4k.bench.ts'
import { readManyBenchmark } from './readmany.bench.ts'
import { redisBenchmark } from './redis.bench.ts'
import { relayBenchmark } from './relay.bench.ts'
import { formatJsonRow, formatTable } from './report.ts'
import { scanBenchmark } from './scan.bench.ts'
import { shardsBenchmark } from './shards.bench.ts'
import { spawnBenchmark } from './spawn.bench.ts'
import { taskBenchmark } from './task.bench.ts'
import { udpBenchmark } from './udp.bench.ts'

const BENCHMARKS: readonly Benchmark[] = [
  nopBenchmark,
  taskBenchmark,
  read4kBenchmark,
  linesBenchmark,
  readManyBenchmark,
  logBenchmark,
  scanBenchmark,
  echoBenchmark,
  crowdBenchmark,
  relayBenchmark,
  udpBenchmark,
  nodeHttpBenchmark,
  redisBenchmark,
  latencyBenchmark,
  busyBenchmark,
  competingIoBenchmark,
  ioSharesBenchmark,
  queuesBenchmark,
  channelBenchmark,
  spawnBenchmark,
  shardsBenchmark,
]

const HELP = `Usage: npm run bench -- <name>... [options]

Measures percore against peers side by side: interleaved repetitions, medians, ranges.

  --json              end with one line of JSON per row
  --reps <count>      repetitions of each side; 5 unless told
  --smoke             one tiny repetition, to see that everything runs; of all without a name
  --params <k=v,...>  only the cases with these parameters
  --dir <folder>      where test files live; build/bench unless told
  --list              print the benchmarks
  --help              print this
`

/** What the command line asks for. */
interface Request {
  readonly benchmarks: readonly Benchmark[]
  readonly json: boolean
  readonly plan: Plan
  readonly filter: (params: Params) => boolean
}

/** A command line that cannot be understood: one sentence, exit code 2. */
class UsageError extends Error {}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let request: Request | string
  try {
    request = readRequest(args)
  } catch (error) {
    if (!isUsageError(error)) throw error
    process.stderr.write(`${error.message}\n`)
    return 2
  }
  if (typeof request === 'string') {
    process.stdout.write(request)
    return 0
  }
  return await runBenchmarks(request)
}

async function runBenchmarks(request: Request): Promise<number> {
  const jsonRows: string[] = []
  let failureCount = 0
  process.stdout.write(`${describeMachine().join('\n')}\n`)
  for (const benchmark of request.benchmarks) {
    const watch = request.plan.smoke ? undefined : await MachineWatch.start()
    const report = await measureBenchmark(benchmark, { ...request, progress: showProgress })
    showProgress('')
    const verdict = watch?.finish()

    print(`\n${benchmark.name}: ${benchmark.summary}`)
    if (verdict === undefined) {
      print('smoke: one tiny repetition; the figures mean nothing')
    } else {
      const loopMs = verdict.calibrationMs.toFixed(1)
      print(`median (min..max) of ${request.plan.repetitionCount}; loop ${loopMs} ms`)
      for (const warning of [...verdict.warnings, ...report.warnings]) print(`NOISY: ${warning}`)
    }
    if (report.rows.length > 0) print(formatTable(report))
    for (const note of report.notes) print(`note: ${note}`)
    for (const failure of report.failures) print(`FAILED: ${failure}`)
    jsonRows.push(...report.rows.map((row) => formatJsonRow(benchmark.name, row)))
    failureCount += report.failures.length
  }
  if (request.json) print(`\n${jsonRows.join('\n')}`)
  return failureCount === 0 ? 0 : 1
}

function readRequest(args: readonly string[]): Request | string {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      reps: { type: 'string', default: '5' },
      params: { type: 'string', default: '' },
      dir: { type: 'string' },
    },
  })
  if (values.help) return HELP
  if (values.list) return `${listBenchmarks()}\n`
  if (positionals.length === 0 && !values.smoke)
    throw new UsageError(`${HELP}\n${listBenchmarks()}`)

  const repetitionCount = values.smoke ? 1 : Number(values.reps)
  if (!Number.isInteger(repetitionCount) || repetitionCount < 1) {
    throw new UsageError(
      `Cannot run as --reps must be a positive integer: current value is ${values.reps}`,
    )
  }
  const cpus = allowedCpus()
  const plan: Plan = {
    repetitionCount,
    smoke: values.smoke,
    directory: resolve(values.dir ?? join(findRoot(), 'build/bench')),
    serverCpu: cpus[0]!,
    clientCpu: cpus.at(-1)!,
  }
  const filter = readFilter(values.params)
  const asked = positionals.length === 0 ? BENCHMARKS : positionals.map(findBenchmark)
  const benchmarks = asked.filter(({ cases }) => cases(plan).some(({ params }) => filter(params)))
  if (benchmarks.length === 0) {
    throw new UsageError(`Cannot measure anything as no case has --params ${values.params}`)
  }
  return { benchmarks, json: values.json, plan, filter }
}

function findBenchmark(name: string): Benchmark {
  const found = BENCHMARKS.find((benchmark) => benchmark.name === name)
  if (found !== undefined) return found
  throw new UsageError(
    `Cannot run ${name} as there is no such benchmark; there are:\n${listBenchmarks()}`,
  )
}

function listBenchmarks(): string {
  return BENCHMARKS.map(({ name, summary }) => `  ${name.padEnd(10)}${summary}`).join('\n')
}

/** `k=v,k=v`: a case must have every one of them. */
function readFilter(text: string): Request['filter'] {
  const wanted = text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [key, value, ...rest] = part.split('=')
      if (key === undefined || key === '' || value === undefined || rest.length > 0) {
        throw new UsageError(`Cannot run as --params must be k=v,k=v: current value is ${text}`)
      }
      return [key, value] as const
    })
  return (params) => wanted.every(([key, value]) => String(params[key]) === value)
}

function isUsageError(error: unknown): error is Error {
  if (error instanceof UsageError) return true
  return (
    error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  )
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
