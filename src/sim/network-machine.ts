import type { Prng } from '../base/index.ts'
import type { SimClock } from './clock.ts'
import type { Description } from './descriptors.ts'
import type { CheckedFaults } from './faults.ts'
import type { FileSystem } from './file-system.ts'
import type { CheckedSimOptions } from './options.ts'

/** The machine that a network is in. */
export interface NetworkMachine {
  readonly options: CheckedSimOptions
  readonly faults: CheckedFaults
  readonly prng: Prng
  readonly clock: SimClock
  /** Where local sockets have their names. */
  readonly files: FileSystem
  /** True with the probability of a fault. */
  chance(probability: number): boolean
  /** How long a step takes that usually takes from `minNs` to `maxNs`. */
  latencyNs(minNs: number, maxNs: number): number
  /** A socket may have become ready. */
  notify(socket: Description): void
}
