/**
 * What a benchmark is, for the harness: cases, each measured on several sides.
 *
 * A case is one set of parameters; a side is percore or a peer; a sample is what one run of one
 * side measured, a number per unit. Each unit of each case becomes one row.
 */

/** A set of parameters, printed with its rows and matched by `--params`. */
export type Params = Readonly<Record<string, string | number>>

/** What one run measured, by unit. */
export type Sample = Readonly<Record<string, number>>

/** A unit and its direction, which only the table shows. */
export interface Metric {
  readonly unit: string
  readonly better: 'less' | 'more'
}

/** One contender: percore, or a peer. */
export interface Side {
  /** `percore`, or the peer's name in a row. */
  readonly name: string
  /** Why it cannot take part here; the table says so. */
  readonly missing?: string | undefined
  /** Measures once, in child processes of its own that have ended when it resolves. */
  run(): Promise<Sample>
}

/** One set of parameters of a benchmark. */
export interface Case {
  readonly params: Params
  readonly metrics: readonly Metric[]
  /**
   * Prepares what the sides need and names them, percore first.
   *
   * @throws {Unavailable} if the case cannot run on this machine.
   */
  open(): Promise<readonly Side[]>
}

/** A benchmark, as a `<noun>.bench.ts` exports it. */
export interface Benchmark {
  readonly name: string
  readonly summary: string
  cases(plan: Plan): readonly Case[]
}

/** How to measure: decided once, from the command line and the machine. */
export interface Plan {
  readonly repetitionCount: number
  /** Tiny sizes, one repetition: shows that everything runs, and measures nothing. */
  readonly smoke: boolean
  /** Where test files live. */
  readonly directory: string
  /** The CPU of servers and of single-process sides. */
  readonly serverCpu: number
  /** The CPU of load generators; equals {@link serverCpu} where there is only one. */
  readonly clientCpu: number
}

/** Says that a case cannot run here: a note in the table, never a failure. */
export class Unavailable extends Error {
  override readonly name: string = 'Unavailable'
}
