/** What a process has, to be compared before and after. */

import { readdirSync } from 'node:fs'
import { readResidentBytes } from './process-stats.ts'

export interface Holding {
  readonly descriptors: number
  readonly threads: number
  readonly bytes: number
}

/** Of this process, garbage excluded where `--expose-gc` lets it be. */
export function readHolding(): Holding {
  ;(globalThis as { gc?: () => void }).gc?.()
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    bytes: readResidentBytes(process.pid),
  }
}

/** How much more there is now, by the names of an answer's fields. */
export function leftSince(before: Holding): Readonly<Record<string, number>> {
  const now = readHolding()
  return {
    descriptorsLeft: now.descriptors - before.descriptors,
    threadsLeft: now.threads - before.threads,
    bytesLeft: now.bytes - before.bytes,
  }
}
