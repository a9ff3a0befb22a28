import { formatBytes, MIB } from '../../base/index.ts'
import {
  BURST_MS,
  LATENCY_MS_MAX,
  MESSAGE_BYTES,
  type Measures,
  median,
  PERIOD_MS,
} from './measures.ts'
import type { Place } from './place.ts'
import type { Progress } from './progress.ts'
import type { Row, Step } from './report.ts'
import type { Side, SideName } from './side.ts'

/** How long the tour takes for what. */
export interface Pace {
  readonly fileBytes: number
  readonly repetitionCount: number
  readonly warmupMs: number
  readonly rateMs: number
  readonly sharesMs: number
  readonly delayMs: number
}

/** What the steps work with. */
export interface Bench {
  readonly percore: Side
  readonly node: Side
  readonly pace: Pace
  readonly progress: Progress
}

type Shared = 'reads' | 'echo' | 'startDelay'
type ResultOf<K extends keyof Measures> = Awaited<ReturnType<Measures[K]>>
type Results<R> = Readonly<Record<SideName, readonly R[]>>

const DEPTHS = [1, 32, 128]
const CONNECTIONS = [1, 64]

/** A real file: written by percore, read at random by both. */
export async function runFiles(bench: Bench, place: Place): Promise<Step> {
  const { pace, progress } = bench
  const { path, mount } = place
  const size = formatBytes(pace.fileBytes)
  progress.part(`Writing ${size} to ${path}`)
  const written = await bench.percore.measure('write', { path, sizeBytes: pace.fileBytes })
  const { isDirect } = written
  const rows: Row[] = [
    alone(
      `Write ${size}, 1 MiB each, 8 at a time`,
      'MiB/s',
      pace.fileBytes / MIB / written.seconds,
    ),
  ]
  progress.part('Reading it at random, 4 KiB each')
  for (const depth of DEPTHS) {
    const args = { path, sizeBytes: pace.fileBytes, depth, isDirect, durationMs: pace.rateMs }
    const results = await interleave(bench, 'reads', args, `${depth} at a time`)
    const cpu = { what: '  processor time for each', unit: 'us', better: 'less' } as const
    rows.push(
      compare(results, ({ perSecond }) => perSecond, {
        what: `Read 4 KiB at random, ${depth} at a time`,
        unit: 'reads/s',
        better: 'more',
      }),
      compare(results, ({ cpuUs }) => cpuUs, cpu),
    )
  }
  const how = isDirect ? 'direct I/O (O_DIRECT)' : 'buffered I/O, through the page cache'
  return {
    id: 'files',
    title: 'Files',
    description: `A file of ${size} on ${mount.type} (${mount.source}), ${how}; the contents of every block read are checked. percore: DirectFile.readInto(), one thread. Node: fs.promises read(), one thread and libuv's pool of ${process.env.UV_THREADPOOL_SIZE ?? 4}.`,
    rows,
    notes: place.notes,
  }
}

/** A TCP echo over loopback. */
export async function runSockets(bench: Bench): Promise<Step> {
  bench.progress.part('Echoing over TCP')
  const rows: Row[] = []
  for (const connections of CONNECTIONS) {
    const plural = connections === 1 ? 'connection' : 'connections'
    const args = { connections, durationMs: bench.pace.rateMs }
    const results = await interleave(bench, 'echo', args, `${connections} ${plural}`)
    rows.push(
      compare(results, ({ perSecond }) => perSecond, {
        what: `Echo, ${connections} ${plural}`,
        unit: 'echoes/s',
        better: 'more',
      }),
      compare(results, ({ cpuUs }) => cpuUs, {
        what: '  processor time for each',
        unit: 'us',
        better: 'less',
      }),
    )
  }
  return {
    id: 'sockets',
    title: 'Sockets',
    description: `An echo of ${MESSAGE_BYTES} bytes over TCP on loopback; server and clients share one thread, so that each figure is of both ends. percore: TcpListener and TcpStream with for await and await. Node: node:net with 'data' events, its fastest way.`,
    rows,
    notes: [],
  }
}

/** Two busy queues at two to one. Node has nothing to compare with. */
export async function runShares({ percore, pace, progress }: Bench): Promise<Step> {
  progress.part('Running two busy task queues at 2:1')
  const { units, timesMs } = await percore.measure('shares', { durationMs: pace.sharesMs })
  return {
    id: 'shares',
    title: 'Shares',
    description: `Two busy task queues with 1000 and 500 shares, on one thread for ${pace.sharesMs / 1_000} s, in plain async functions that ask needPreempt(). The first should have twice the time of the second. Node has no shares.`,
    rows: [
      alone('Time of the thread, 1000 shares', 'ms', timesMs[0]),
      alone('Time of the thread, 500 shares', 'ms', timesMs[1]),
      alone('Ratio of time', ': 1', timesMs[0] / timesMs[1]),
      alone('Ratio of work done', ': 1', units[0] / units[1]),
    ],
    notes: [],
  }
}

/** Work that may not wait, beside work that never ends. */
export async function runLatency(bench: Bench): Promise<Step> {
  bench.progress.part('Starting urgent work on time beside busy work')
  const args = { durationMs: bench.pace.delayMs }
  const results = await interleave(bench, 'startDelay', args, 'start delay')
  const delay = { unit: 'ms late', better: 'less' } as const
  return {
    id: 'latency',
    title: 'Latency',
    description: `Something is due every ${PERIOD_MS} ms (what was missed is skipped) beside busy work in bursts of ${BURST_MS} ms, on one thread. percore: sleep() in a task queue of latency class ${LATENCY_MS_MAX} ms, and the busy work asks needPreempt() after each unit of about 10 us. Node: setTimeout(), and the busy work lets others run by setImmediate() after each burst.`,
    rows: [
      compare(results, ({ p50Ms }) => p50Ms, { what: 'Start delay, median', ...delay }),
      compare(results, ({ p99Ms }) => p99Ms, { what: 'Start delay, 99th percentile', ...delay }),
      compare(results, ({ unitsPerSecond }) => unitsPerSecond, {
        what: 'Busy work done meanwhile',
        unit: 'units/s',
        better: 'more',
      }),
    ],
    notes: [],
  }
}

/** All processors: what they do together, beside what one does. */
export async function runCores({ percore, pace, progress }: Bench): Promise<Step> {
  progress.part('Working on all processors')
  const args = { durationMs: pace.sharesMs / 2 }
  const { processorCount, aloneRate, togetherRate } = await percore.measure('cores', args)
  return {
    id: 'cores',
    title: 'Cores',
    description: `A thread with an executor on each of ${processorCount} processors, bound to it, as percore/runtime starts them: units of busy work of about 10 us, on one of them alone, then on all at once.`,
    rows: [
      alone('Work done by one', 'units/s', aloneRate),
      alone(`Work done by all ${processorCount}`, 'units/s', togetherRate),
      alone('All beside one', ': 1', togetherRate / aloneRate),
    ],
    notes: [],
  }
}

/** Warms both sides up, then measures them in turn, again and again. */
async function interleave<K extends Shared>(
  { percore, node, pace, progress }: Bench,
  name: K,
  args: Parameters<Measures[K]>[0],
  detail: string,
): Promise<Results<ResultOf<K>>> {
  const results: Record<SideName, ResultOf<K>[]> = { percore: [], node: [] }
  const sides = [percore, node]
  for (const side of sides) await side.measure(name, { ...args, durationMs: pace.warmupMs })
  for (let repetition = 1; repetition <= pace.repetitionCount; repetition++) {
    for (const side of sides) {
      progress.detail(`${detail}, ${side.name} ${repetition} of ${pace.repetitionCount}`)
      results[side.name].push(await side.measure(name, args))
    }
    // Whoever comes second may find the device or the caches warmer.
    sides.reverse()
  }
  return results
}

function alone(what: string, unit: string, percore: number): Row {
  return { what, unit, better: 'more', percore, node: null }
}

function compare<R>(
  results: Results<R>,
  pick: (result: R) => number,
  label: Pick<Row, 'what' | 'unit' | 'better'>,
): Row {
  return {
    ...label,
    percore: median(results.percore.map(pick)),
    node: median(results.node.map(pick)),
  }
}
