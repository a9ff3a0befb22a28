import { defineService, type Service } from 'percore/runtime'

/** What a part of the cache says of itself. */
export interface StoreStats {
  readonly keyCount: number
  readonly valueBytes: number
  readonly hitCount: number
  readonly missCount: number
  readonly evictedCount: number
}

export interface StoreOptions {
  /** How much of values each part holds, in bytes. */
  readonly bytesMax: number
}

/** One shard's part of the keys: what was not used for longest goes as room is needed. */
export class Store {
  readonly #bytesMax: number
  /** What was used last is last. */
  readonly #values = new Map<string, Uint8Array>()
  #valueBytes = 0
  #hitCount = 0
  #missCount = 0
  #evictedCount = 0

  constructor({ bytesMax }: StoreOptions) {
    this.#bytesMax = bytesMax
  }

  get(key: string): Uint8Array | null {
    const value = this.#values.get(key)
    if (value === undefined) {
      this.#missCount++
      return null
    }
    this.#hitCount++
    this.#values.delete(key)
    this.#values.set(key, value)
    return value
  }

  /** Whether there is room for it at all. */
  set(key: string, value: Uint8Array): boolean {
    if (value.length > this.#bytesMax) return false
    this.delete(key)
    this.#values.set(key, value)
    this.#valueBytes += value.length
    for (const [oldest] of this.#values) {
      if (this.#valueBytes <= this.#bytesMax) break
      this.delete(oldest)
      this.#evictedCount++
    }
    return true
  }

  /** Whether it was there. */
  delete(key: string): boolean {
    const value = this.#values.get(key)
    if (value === undefined) return false
    this.#valueBytes -= value.length
    return this.#values.delete(key)
  }

  stats(): StoreStats {
    return {
      keyCount: this.#values.size,
      valueBytes: this.#valueBytes,
      hitCount: this.#hitCount,
      missCount: this.#missCount,
      evictedCount: this.#evictedCount,
    }
  }
}

/** A store on each shard, which all shards call. */
export const stores: Service<Store, StoreOptions> = defineService(
  'stores',
  (_shard, options: StoreOptions) => new Store(options),
)
