import { NS_PER_MS } from '../base/index.ts'
import type { Lease } from './lease.ts'

/** What released memory holds where it is poisoned: no zero, no letter, and never all ones. */
export const POISON = 0xa5

/** How I/O memory is looked after. */
export interface MemoryCheckOptions {
  /** Released memory is overwritten, so that whoever looks at it later notices. */
  readonly poisons: boolean
  /** Views of released memory are detached: they show nothing, rather than another's bytes. */
  readonly empties: boolean
  /** The holder of each lease is written down, with a stack and since when. */
  readonly tracks: boolean
  /** About what time it is; never asked unless it tracks. */
  readonly nowNs: () => number
}

/** How a lease came to be. */
interface Holding {
  readonly lengthBytes: number
  readonly sinceNs: number
  readonly stack: { readonly stack: string }
}

/** All leases that were taken at one place of the program. */
interface Holder {
  count: number
  lengthBytes: number
  sinceNs: number
  readonly place: string
}

const HOLDERS_TOLD = 3
/** Of so many leases, the oldest, are stacks put into words when they are asked for. */
const STACKS_MAX = 4096

/**
 * The one place that decides what is done about memory that is released too late, or looked at
 * afterwards. Costs a comparison per lease where it is off.
 */
export class MemoryChecks {
  readonly poisons: boolean
  readonly empties: boolean
  readonly #nowNs: () => number
  readonly #holdings: Map<Lease, Holding> | null

  constructor(options: MemoryCheckOptions) {
    this.poisons = options.poisons
    this.empties = options.empties
    this.#nowNs = options.nowNs
    this.#holdings = options.tracks ? new Map() : null
  }

  /** A lease was given out. */
  noteLeased(lease: Lease): void {
    if (this.#holdings !== null) this.#track(this.#holdings, lease)
  }

  /** Its memory is free again. */
  noteFreed(lease: Lease): void {
    if (this.#holdings !== null) this.#holdings.delete(lease)
  }

  /** Overwrites memory that is free. */
  poison(bytes: Uint8Array, startBytes: number, lengthBytes: number): void {
    bytes.fill(POISON, startBytes, startBytes + lengthBytes)
  }

  /** The holders of most, as the end of an error's message; how to learn it, where nothing is written down. */
  describeHolders(): string {
    if (this.#holdings === null) return '; set PERCORE_DEBUG=1 to be told who holds it'
    const nowNs = this.#nowNs()
    const told = groupByPlace(this.#holdings.values())
      .sort((a, b) => b.lengthBytes - a.lengthBytes)
      .slice(0, HOLDERS_TOLD)
      .map((holder) => describe(holder, nowNs))
    return told.length === 0 ? '' : `; held by\n${told.join('\n')}`
  }

  #track(holdings: Map<Lease, Holding>, lease: Lease): void {
    const stack = { stack: '' }
    // V8 puts it into words when it is first read.
    Error.captureStackTrace(stack)
    holdings.set(lease, { lengthBytes: lease.lengthBytes, sinceNs: this.#nowNs(), stack })
  }
}

function groupByPlace(holdings: Iterable<Holding>): Holder[] {
  const holders = new Map<string, Holder>()
  let count = 0
  for (const { lengthBytes, sinceNs, stack } of holdings) {
    const place = count++ < STACKS_MAX ? placeOf(stack.stack) : '    at later times'
    const holder = holders.get(place)
    if (holder === undefined) {
      holders.set(place, { count: 1, lengthBytes, sinceNs, place })
      continue
    }
    holder.count++
    holder.lengthBytes += lengthBytes
    holder.sinceNs = Math.min(holder.sinceNs, sinceNs)
  }
  return [...holders.values()]
}

function describe({ count, lengthBytes, sinceNs, place }: Holder, nowNs: number): string {
  const ageMs = Math.max(0, Math.round((nowNs - sinceNs) / NS_PER_MS))
  const leases = count === 1 ? '1 lease' : `${count} leases`
  return `  ${leases}, ${lengthBytes} bytes, the oldest ${ageMs} ms old, taken\n${place}`
}

/** The frames of whoever asked for memory, without those of giving it out. */
function placeOf(stack: string): string {
  const frames = stack.split('\n').slice(1)
  const first = frames.findIndex((frame) => !/[/\\]memory[/\\][\w-]+\.[jt]s/.test(frame))
  return frames.slice(Math.max(0, first)).join('\n')
}
