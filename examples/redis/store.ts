import { nowMs } from 'percore/time'

/** About what V8 and the map take for a key, beside its bytes and those of its value. */
const ENTRY_BYTES = 64
/** So many keys with a deadline are looked at together; where more than a quarter had expired, so many again. */
const SAMPLE_COUNT = 20
const SAMPLES_MAX = 50

export interface StoreOptions {
  /** How much keys and values may take, in bytes, about; then writes are refused. */
  readonly bytesMax?: number
}

/**
 * Keys, values and deadlines of one shard. What has expired is removed as somebody asks for it, and by {@link sweep}.
 *
 * The clock is percore's, which is never set back, and simulated in a simulation.
 */
export class Store {
  readonly #bytesMax: number
  readonly #values = new Map<string, string>()
  /** Of the keys that have one, in milliseconds of {@link nowMs}. */
  readonly #deadlinesMs = new Map<string, number>()
  /** Where the next sweep goes on: it sees what is added meanwhile, and what is deleted does not disturb it. */
  #sweeping = this.#deadlinesMs.entries()
  #usedBytes = 0
  #expiredCount = 0

  constructor({ bytesMax = Number.POSITIVE_INFINITY }: StoreOptions = {}) {
    this.#bytesMax = bytesMax
  }

  /** With those that have expired, and that nobody has come across yet. */
  get keyCount(): number {
    return this.#values.size
  }

  get deadlineCount(): number {
    return this.#deadlinesMs.size
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get expiredCount(): number {
    return this.#expiredCount
  }

  get isFull(): boolean {
    return this.#usedBytes >= this.#bytesMax
  }

  get(key: string): string | undefined {
    // Whoever uses no deadlines pays for none.
    if (this.#deadlinesMs.size > 0) this.#expire(key)
    return this.#values.get(key)
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  /** Keeps the deadline that the key may have. */
  update(key: string, value: string): void {
    const before = this.get(key)
    this.#usedBytes += value.length
    if (before === undefined) this.#usedBytes += key.length + ENTRY_BYTES
    else this.#usedBytes -= before.length
    this.#values.set(key, value)
  }

  /** Without a deadline. */
  set(key: string, value: string): void {
    this.update(key, value)
    if (this.#deadlinesMs.size > 0) this.#deadlinesMs.delete(key)
  }

  /** Whether it was there. */
  delete(key: string): boolean {
    const value = this.get(key)
    if (value === undefined) return false
    this.#remove(key, value)
    return true
  }

  clear(): void {
    this.#values.clear()
    this.#deadlinesMs.clear()
    this.#usedBytes = 0
  }

  /** How long the key is to live yet; null without a deadline. */
  remainingMs(key: string): number | null {
    const deadlineMs = this.#deadlinesMs.get(key)
    return deadlineMs === undefined ? null : deadlineMs - nowMs()
  }

  /** Has a key that is there expire; at once where nothing of the time is left. */
  expireIn(key: string, delayMs: number): void {
    this.#deadlinesMs.set(key, nowMs() + delayMs)
    this.#expire(key)
  }

  /** Whether it had a deadline. */
  persist(key: string): boolean {
    return this.#deadlinesMs.delete(key)
  }

  /** Removes some of what has expired: goes round the keys with a deadline, sample by sample while that is worth it. */
  sweep(): void {
    for (let round = 0; round < SAMPLES_MAX; round++) {
      const expiredBefore = this.#expiredCount
      for (let index = 0; index < SAMPLE_COUNT; index++) {
        const { value, done } = this.#sweeping.next()
        if (done) {
          this.#sweeping = this.#deadlinesMs.entries()
          return
        }
        this.#expire(value[0])
      }
      if (this.#expiredCount - expiredBefore <= SAMPLE_COUNT / 4) return
    }
  }

  #expire(key: string): void {
    const deadlineMs = this.#deadlinesMs.get(key)
    if (deadlineMs === undefined || deadlineMs > nowMs()) return
    this.#remove(key, this.#values.get(key)!)
    this.#expiredCount++
  }

  #remove(key: string, value: string): void {
    this.#values.delete(key)
    this.#deadlinesMs.delete(key)
    this.#usedBytes -= key.length + value.length + ENTRY_BYTES
  }
}
