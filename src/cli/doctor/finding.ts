/** How a finding bears on percore: `broken` means that it can't run at all. */
export type FindingState = 'ok' | 'could be better' | 'broken'

/** One thing that was looked at. */
export interface Finding {
  /** Stable, for programs: `io-uring`. */
  readonly id: string
  readonly state: FindingState
  /** A sentence of what it is. */
  readonly text: string
  /** A sentence of what to change, with the command; only if it is not ok. */
  readonly change?: string
  /** The same as figures and names, for programs. */
  readonly data?: Readonly<Record<string, unknown>>
}

/** Findings of one kind. */
export interface Section {
  readonly id: string
  readonly title: string
  readonly findings: readonly Finding[]
}
