/**
 * A seeded generator of pseudo-random numbers (xoshiro128**): the only randomness of a simulation.
 *
 * Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators".
 */
export class Prng {
  #a: number
  #b: number
  #c: number
  #d: number

  /** Any whole number; equal seeds give equal sequences. */
  constructor(seed: number) {
    // SplitMix32 spreads close seeds apart.
    let state = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0
      let mixed = state ^ (state >>> 16)
      mixed = Math.imul(mixed, 0x21f0aaad)
      mixed ^= mixed >>> 15
      mixed = Math.imul(mixed, 0x735a2d97)
      return mixed ^ (mixed >>> 15)
    }
    this.#a = next()
    this.#b = next()
    this.#c = next()
    this.#d = next() | 1
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const scrambled = Math.imul(this.#b, 5)
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result
  }

  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number {
    return min + Math.floor((this.uint32() / 2 ** 32) * (max - min + 1))
  }

  /** True with the given probability (0 … 1). */
  chance(probability: number): boolean {
    return this.uint32() < probability * 2 ** 32
  }

  pick<T>(values: readonly T[]): T {
    return values[this.int(0, values.length - 1)]!
  }

  /** Shuffles in place and returns the array. */
  shuffle<T>(values: T[]): T[] {
    for (let last = values.length - 1; last > 0; last--) {
      const other = this.int(0, last)
      const swapped = values[last]!
      values[last] = values[other]!
      values[other] = swapped
    }
    return values
  }
}
