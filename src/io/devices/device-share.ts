import { assert } from '../../base/index.ts'
import { fillBucket } from './io-model.ts'

// Words of a device in the first slot of the process directory.
/** Which device it is; 0 for none. */
const KEY = 0
/** Until when the device is taken: microseconds, modulo 2^32; and the second that was written in. */
const FULL_US = 1
const FULL_SECOND = 2
/** Until which second a task queue with a latency class may come back. */
const LATENCY_SECOND = 3
/** By the parity of the epoch, its number and a sum: of the shares that wait, of the executors that are there, */
const SHARES = 4
const PRESENT = 6
/** and of the device's time that each has in flight. */
const IN_FLIGHT = 8

/** Words that a device has. */
export const DEVICE_WORDS = 16
const DEVICE_COUNT_MAX = 64
/** Where they begin in the first slot of the directory, behind all that directory.ts has there. */
const DEVICES_OFFSET_BYTES = 8192

/** How long one look at the others lasts. */
export const EPOCH_US = 10_000
const SUM_BITS = 20
const SUM_MASK = 0xfffff
const TAG_MASK = 0xfff
const US_PER_S = 1e6
/** A bucket that nobody has written for so long is empty; its word may mean another time by now. */
const STALE_SECONDS = 60

/**
 * The words of a device, which all threads of the process share. Where there are too many devices, words of one
 * thread's own: its queues share that device, and threads do not.
 */
export function shareWords(firstSlot: ArrayBuffer, key: number): Int32Array {
  assert(key > 0, 'a device has a positive key')
  for (let index = 0; index < DEVICE_COUNT_MAX; index++) {
    const offset = DEVICES_OFFSET_BYTES + index * DEVICE_WORDS * 4
    const words = new Int32Array(firstSlot, offset, DEVICE_WORDS)
    // ORDER: sequential; whoever comes second finds the key, and never takes a place twice.
    const found = Atomics.compareExchange(words, KEY, 0, key)
    if (found === 0 || found === key) return words
  }
  return new Int32Array(DEVICE_WORDS)
}

/**
 * What the threads of a process know of each other's use of one device: a bucket of its time, and who asks for it.
 *
 * Nobody has to take back what it has said, since all of it is of an epoch, or of a moment: so a thread that is
 * terminated leaves nothing behind. O(1); no system call.
 */
export class DeviceShare {
  readonly #words: Int32Array
  /** Less than a microsecond, which is not charged yet. */
  #carryUs = 0
  #epoch = -1
  #ownShares = 0
  #ownLastShares = 0
  #wasPresentLast = false
  #ownInFlightUs = 0
  #ownLastInFlightUs = 0

  constructor(words: Int32Array) {
    assert(words.length === DEVICE_WORDS, 'a device has its words')
    this.#words = words
  }

  /** Until when the device is taken. */
  fullUs(nowUs: number): number {
    const words = this.#words
    const ageSeconds = Math.floor(nowUs / US_PER_S) - Atomics.load(words, FULL_SECOND)
    if (ageSeconds > STALE_SECONDS || ageSeconds < 0) return nowUs
    return nowUs + ((Atomics.load(words, FULL_US) - nowUs) | 0)
  }

  /** Charges the device's time for a request. */
  take(nowUs: number, requestUs: number): void {
    assert(requestUs >= 0, 'nothing gives the device time')
    const words = this.#words
    const wholeUs = Math.floor(this.#carryUs + requestUs)
    this.#carryUs += requestUs - wholeUs
    for (;;) {
      const old = Atomics.load(words, FULL_US)
      const fullUs = Math.floor(fillBucket(this.fullUs(nowUs), nowUs, wholeUs))
      // ORDER: the second behind, so that no look finds it beside a word that was stale, and may mean a far future. Who looks
      // in between takes the new word for stale, hence the device for idle: at the worst one request is not charged.
      if (Atomics.compareExchange(words, FULL_US, old, fullUs | 0) === old) break
    }
    Atomics.store(words, FULL_SECOND, Math.floor(nowUs / US_PER_S))
  }

  /** Says that this thread uses the device, and how many shares of it wait; the most that it says in an epoch counts. */
  announce(nowUs: number, waitingShares: number): void {
    const epoch = Math.floor(nowUs / EPOCH_US)
    if (epoch !== this.#epoch) {
      const isNext = epoch === this.#epoch + 1
      this.#ownLastShares = isNext ? this.#ownShares : 0
      this.#wasPresentLast = isNext
      this.#ownShares = 0
      this.#ownLastInFlightUs = isNext ? this.#ownInFlightUs : 0
      this.#ownInFlightUs = 0
      this.#epoch = epoch
      this.#add(PRESENT, epoch, 1)
    }
    if (waitingShares <= this.#ownShares) return
    this.#add(SHARES, epoch, waitingShares - this.#ownShares)
    this.#ownShares = waitingShares
  }

  /** Says how much time this thread has in flight; the most of an epoch counts. Behind {@link announce}. */
  announceInFlight(nowUs: number, inFlightUs: number): void {
    const wholeUs = Math.ceil(inFlightUs)
    if (wholeUs <= this.#ownInFlightUs) return
    this.#add(IN_FLIGHT, this.#epochOf(nowUs), wholeUs - this.#ownInFlightUs)
    this.#ownInFlightUs = wholeUs
  }

  /** What other threads have in flight at the most, as far as the last epoch and this one tell. Behind {@link announce}. */
  othersInFlightUs(nowUs: number): number {
    const epoch = this.#epochOf(nowUs)
    const now = this.#sum(IN_FLIGHT, epoch) - this.#ownInFlightUs
    return Math.max(0, now, this.#sum(IN_FLIGHT, epoch - 1) - this.#ownLastInFlightUs)
  }

  /** Shares of other threads that wait, as far as the last epoch and this one tell. Behind {@link announce}. */
  othersShares(nowUs: number): number {
    const epoch = this.#epochOf(nowUs)
    const now = this.#sum(SHARES, epoch) - this.#ownShares
    return Math.max(0, now, this.#sum(SHARES, epoch - 1) - this.#ownLastShares)
  }

  /** Whether other threads use the device. Behind {@link announce}. */
  hasOthers(nowUs: number): boolean {
    const epoch = this.#epochOf(nowUs)
    if (this.#sum(PRESENT, epoch) > 1) return true
    return this.#sum(PRESENT, epoch - 1) > (this.#wasPresentLast ? 1 : 0)
  }

  /** Says that a queue with a latency class reads here, which may pause for as long. */
  expectLatency(nowUs: number, forUs: number): void {
    const second = Math.ceil((nowUs + forUs) / US_PER_S)
    // Any of those that write at once will do.
    if (this.#words[LATENCY_SECOND]! < second) Atomics.store(this.#words, LATENCY_SECOND, second)
  }

  /** Whether one may come. */
  isLatencyExpected(nowUs: number): boolean {
    return Atomics.load(this.#words, LATENCY_SECOND) > nowUs / US_PER_S
  }

  /** Its number, which this thread has announced itself in. */
  #epochOf(nowUs: number): number {
    const epoch = Math.floor(nowUs / EPOCH_US)
    assert(epoch === this.#epoch, 'who asks for others has announced itself')
    return epoch
  }

  #add(first: number, epoch: number, amount: number): void {
    const words = this.#words
    const index = first + (epoch & 1)
    for (;;) {
      const old = Atomics.load(words, index)
      const sum = old >>> SUM_BITS === (epoch & TAG_MASK) ? old & SUM_MASK : 0
      const next = ((epoch & TAG_MASK) << SUM_BITS) | Math.min(SUM_MASK, sum + amount)
      if (Atomics.compareExchange(words, index, old, next) === old) return
    }
  }

  #sum(first: number, epoch: number): number {
    const word = Atomics.load(this.#words, first + (epoch & 1))
    return word >>> SUM_BITS === (epoch & TAG_MASK) ? word & SUM_MASK : 0
  }
}
