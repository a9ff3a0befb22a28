export const KIB = 1024
export const MIB: number = 1024 * KIB
export const GIB: number = 1024 * MIB
export const NS_PER_US = 1e3
export const NS_PER_MS = 1e6
export const NS_PER_S = 1e9

/** The smallest multiple of `alignment`, a power of two, that is not below `value` (up to 2^53). */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment
}

/** The largest multiple of `alignment`, a power of two, that is not above `value` (up to 2^53). */
export function alignDown(value: number, alignment: number): number {
  return Math.floor(value / alignment) * alignment
}

/** Whether `value` is 1, 2, 4, 8 … up to 2^30. */
export function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= 2 ** 30 && (value & (value - 1)) === 0
}

/** The smallest power of two that is not below `value` (1 … 2^30). */
export function nextPowerOfTwo(value: number): number {
  if (value <= 1) return 1
  const exponent = 32 - Math.clz32(value - 1)
  // A shift where there is one: a power whose exponent is no constant costs a call.
  return exponent < 31 ? 1 << exponent : 2 ** exponent
}

/** Bytes for people: `4 KiB`, `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < KIB) return `${bytes} B`
  if (bytes < MIB) return `${round(bytes / KIB)} KiB`
  if (bytes < GIB) return `${round(bytes / MIB)} MiB`
  return `${round(bytes / GIB)} GiB`
}

/** Nanoseconds for people: `180 ns`, `2.5 ms`. */
export function formatNs(ns: number): string {
  if (ns < NS_PER_US) return `${round(ns)} ns`
  if (ns < NS_PER_MS) return `${round(ns / NS_PER_US)} us`
  if (ns < NS_PER_S) return `${round(ns / NS_PER_MS)} ms`
  return `${round(ns / NS_PER_S)} s`
}

function round(value: number): number {
  return value < 10 ? Math.round(value * 100) / 100 : Math.round(value * 10) / 10
}
