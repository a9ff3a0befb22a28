import { showAs, validateInteger } from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  executor,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import { WaitRoom } from './wait-room.ts'

const ACTION = 'wait at a barrier'

/** What an arrival at a {@link Barrier} was part of. */
export interface BarrierRound {
  /** Counts rounds from 0. */
  readonly generation: number
  /** True for one of the parties of each round: the last to arrive. */
  readonly isLeader: boolean
}

/**
 * Lets a fixed number of parties go on together, round after round.
 *
 * Local to one executor. A party whose wait is cancelled has not arrived: the others wait on for
 * another.
 *
 * @example
 * ```ts run
 * import { spawn } from 'percore'
 * import { Barrier } from 'percore/sync'
 *
 * const barrier = new Barrier(2)
 * const tasks = [1, 2].map(() => spawn(async () => {
 *   for (let round = 0; round < 3; round++) {
 *     const { generation, isLeader } = await barrier.arrive()
 *     if (isLeader) console.log('round', generation, 'is complete')
 *   }
 * }))
 * await Promise.all(tasks)
 * ```
 */
export class Barrier {
  static {
    showAs(Barrier, (barrier) => `Barrier ${barrier.arrivedCount} of ${barrier.partyCount} arrived`)
  }

  readonly partyCount: number
  readonly #room = new WaitRoom<BarrierRound>(ACTION)
  #generation = 0

  /** @throws {TypeError | RangeError} unless `partyCount` is a whole number from 1. */
  constructor(partyCount: number) {
    const bounds = { min: 1, max: Number.MAX_SAFE_INTEGER }
    validateInteger('create a barrier', 'partyCount', partyCount, bounds)
    this.partyCount = partyCount
  }

  /** The round that is under way, from 0. */
  get generation(): number {
    return this.#generation
  }

  /** How many have arrived in the round that is under way. */
  get arrivedCount(): number {
    return this.#room.size
  }

  /** Waits until all parties have arrived; rejects as {@link WaitOptions} say. */
  arrive(options?: WaitOptions): Promise<BarrierRound> {
    if (this.#room.size + 1 < this.partyCount) return this.#room.wait(options)
    try {
      const current = executor()
      checkCancellation(current, options, ACTION)
      const generation = this.#generation++
      this.#room.release({ generation, isLeader: false })
      return answerReady(current, { generation, isLeader: true })
    } catch (error) {
      return refuse(error)
    }
  }
}
