/** What both sides of the tour measure, so that they measure the same. */

export interface WriteArgs {
  readonly path: string
  readonly sizeBytes: number
}

export interface ReadArgs {
  readonly path: string
  readonly sizeBytes: number
  /** Reads under way at a time. */
  readonly depth: number
  readonly durationMs: number
  /** Whether past the page cache. */
  readonly isDirect: boolean
}

export interface EchoArgs {
  readonly connections: number
  readonly durationMs: number
}

export interface SharesArgs {
  readonly durationMs: number
}

export interface StartDelayArgs {
  readonly durationMs: number
}

/** How often something was done, and what it took. */
export interface Rate {
  readonly perSecond: number
  /** User and system time of the whole process, in microseconds, for each. */
  readonly cpuUs: number
}

/** What two queues at two to one got. */
export interface SharesResult {
  /** Units of work done in each. */
  readonly units: readonly [two: number, one: number]
  /** Time of the thread that each had. */
  readonly timesMs: readonly [two: number, one: number]
}

export interface StartDelayResult {
  readonly p50Ms: number
  readonly p99Ms: number
  /** Units of the busy work that were done meanwhile. */
  readonly unitsPerSecond: number
}

/** The measures, by name; not every side has all. */
/** Units of work per second, on one processor and on all of them. */
export interface CoresResult {
  readonly processorCount: number
  readonly aloneRate: number
  readonly togetherRate: number
}

export interface CoresArgs {
  readonly durationMs: number
}

export interface Measures {
  write(args: WriteArgs): Promise<{ readonly seconds: number; readonly isDirect: boolean }>
  reads(args: ReadArgs): Promise<Rate>
  echo(args: EchoArgs): Promise<Rate>
  shares(args: SharesArgs): Promise<SharesResult>
  startDelay(args: StartDelayArgs): Promise<StartDelayResult>
  cores(args: CoresArgs): Promise<CoresResult>
}

export const BLOCK_BYTES = 4096
export const BLOCK_WORDS: number = BLOCK_BYTES / 4
export const MESSAGE_BYTES = 64
/** How long busy work goes on before it lets others run, unless it is asked to sooner. */
export const BURST_MS = 10
/** How often the work that may not wait is due. */
export const PERIOD_MS = 5
/** The wait that its latency class allows. */
export const LATENCY_MS_MAX = 2

let state = 1

/** One unit of busy work, about 10 us. */
export function workOneUnit(): void {
  let value = state
  for (let index = 0; index < 10_000; index++) value = (Math.imul(value, 1664525) + index) | 0
  state = value
}

/** When it is due next: periods that have been missed are skipped. */
export function nextDueMs(lastDueMs: number, nowMs: number): number {
  const missedCount = Math.max(0, Math.floor((nowMs - lastDueMs) / PERIOD_MS))
  return lastDueMs + (missedCount + 1) * PERIOD_MS
}

/** How long to wait for that; it may have come between two looks at the clock. */
export function remainingMs(dueMs: number, nowMs: number): number {
  return Math.max(0, dueMs - nowMs)
}

/** Fills a block with words that tell which it is. */
export function fillBlock(words: Uint32Array, start: number, block: number): void {
  for (let index = 0; index < BLOCK_WORDS; index++) words[start + index] = wordAt(block, index)
}

/** @throws {Error} unless the first, a middle and the last word are the block's. */
export function checkBlock(words: Uint32Array, start: number, block: number): void {
  for (const index of [0, BLOCK_WORDS / 2, BLOCK_WORDS - 1]) {
    if (words[start + index] !== wordAt(block, index)) {
      throw new Error(`Cannot go on: block ${block} was read with other contents than written`)
    }
  }
}

function wordAt(block: number, index: number): number {
  return (Math.imul(block + 1, 0x9e3779b1) + index) >>> 0
}

/** Counts and times what `loops` do until `durationMs` have passed; the flag tells them to end. */
export async function measureRate(
  durationMs: number,
  loops: (clock: { isOver: boolean }) => readonly Promise<number>[],
): Promise<Rate> {
  const clock = { isOver: false }
  const cpuFrom = process.cpuUsage()
  const fromMs = performance.now()
  setTimeout(() => {
    clock.isOver = true
  }, durationMs)
  const counts = await Promise.all(loops(clock))
  const seconds = (performance.now() - fromMs) / 1_000
  const cpu = process.cpuUsage(cpuFrom)
  const count = counts.reduce((sum, value) => sum + value, 0)
  return { perSecond: count / seconds, cpuUs: (cpu.user + cpu.system) / Math.max(1, count) }
}

/** The value below which a fraction of the samples lies. */
export function percentile(samples: readonly number[], fraction: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5)
}
