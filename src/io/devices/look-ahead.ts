/** How far ahead a device is taken by a thread that comes to its turns in time. */
export const BURST_US_MIN = 1000
/** The same, however late a thread is. */
export const BURST_US_MAX = 8000
/** A thread that looks again within that is not late. */
const LATE_US = 500
/** A thread that goes through what has ended looks after each; what it finds within that of the look before is of the same. */
const SAME_US = 50
/** How much of the time without a late look it takes less ahead. */
const DECAY = 1 / 4
/** How much more it takes ahead than a late look found done, since that may be all there was. */
const RESERVE = 5 / 4

/**
 * How far ahead a thread has to take a device so that it is not idle before the thread looks again.
 *
 * A device that has done within a late look nearly all that was taken was idle, or close to it: so the thread takes as much the
 * next time, and twice as much may be in flight. It is the device's time that counts: one that is slow has done little when a
 * thread hears of it after long. Times are microseconds. O(1).
 */
export class LookAhead {
  /** Whole, so that who waits for a moment is not asked again before it. */
  burstUs: number = BURST_US_MIN
  #exactBurstUs: number = BURST_US_MIN
  #lookedUs = 0
  /** What the device has done since, and the longest request among that. */
  #newUs = 0
  #newLongestUs = 0
  /** How late this look is, which may be one of many; 0 if it is not. */
  #gapUs = 0
  /** What the device had done by then, as far as it is known. */
  #doneUs = 0
  /** The longest of that: it is taken whatever is ahead of it. */
  #longestUs = 0

  /** Something waits from now on. */
  begin(nowUs: number): void {
    this.#lookedUs = nowUs
    this.#newUs = 0
    this.#newLongestUs = 0
    this.#gapUs = 0
  }

  /** A request has ended that cost so much of the device's time. */
  completed(requestUs: number): void {
    this.#newUs += requestUs
    this.#newLongestUs = Math.max(this.#newLongestUs, requestUs)
  }

  /** The thread looks what there is room for. */
  look(nowUs: number): void {
    const sinceUs = Math.max(0, nowUs - this.#lookedUs)
    const neededUs = this.#neededUs(sinceUs)
    this.#lookedUs = nowUs
    this.#newUs = 0
    this.#newLongestUs = 0
    const exactUs = Math.max(this.#exactBurstUs - sinceUs * DECAY, neededUs)
    this.#exactBurstUs = Math.max(BURST_US_MIN, Math.min(BURST_US_MAX, exactUs))
    this.burstUs = Math.ceil(this.#exactBurstUs)
  }

  /** How far ahead it should have been taken before this look. */
  #neededUs(sinceUs: number): number {
    if (sinceUs > SAME_US) {
      this.#gapUs = sinceUs > LATE_US ? sinceUs : 0
      this.#doneUs = 0
      this.#longestUs = 0
    }
    this.#doneUs += this.#newUs
    this.#longestUs = Math.max(this.#longestUs, this.#newLongestUs)
    return Math.min(this.#gapUs, this.#doneUs - this.#longestUs) * RESERVE
  }
}
