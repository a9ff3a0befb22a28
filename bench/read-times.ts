import { createHistogram } from 'node:perf_hooks'

/** How long reads take within a stretch of time that follows a warm-up, and what a hog does meanwhile. */
export class ReadTimes {
  /** Whether the stretch has ended. */
  isOver: boolean = false
  readonly #warmupMs: number
  readonly #runMs: number
  readonly #histogram = createHistogram()
  #fromMs = Number.POSITIVE_INFINITY
  #untilMs = Number.POSITIVE_INFINITY
  #endMs = 0
  #unitsFrom = 0
  #unitsTo = 0
  #count = 0

  constructor(warmupSeconds: number, seconds: number) {
    this.#warmupMs = warmupSeconds * 1_000
    this.#runMs = seconds * 1_000
  }

  /** Starts the warm-up; `units` tells what the hog has done. */
  begin(units: () => number): void {
    this.#fromMs = performance.now() + this.#warmupMs
    this.#untilMs = this.#fromMs + this.#runMs
    this.#unitsFrom = units()
  }

  /** A read has ended that began at `fromMs`. No timer tells when it is over: a hog may hold that up. */
  add(fromMs: number, units: () => number): void {
    const nowMs = performance.now()
    if (nowMs < this.#fromMs) {
      this.#unitsFrom = units()
      return
    }
    if (this.isOver) return
    if (nowMs >= this.#untilMs) {
      this.isOver = true
      this.#endMs = nowMs
      this.#unitsTo = units()
      return
    }
    this.#count++
    this.#histogram.record(Math.max(1, Math.round((nowMs - fromMs) * 1_000)))
  }

  answer(): Record<string, number> {
    return {
      ops: this.#count,
      seconds: (this.#endMs - this.#fromMs) / 1_000,
      p50us: this.#histogram.percentile(50),
      p99us: this.#histogram.percentile(99),
      units: this.#unitsTo - this.#unitsFrom,
    }
  }
}
