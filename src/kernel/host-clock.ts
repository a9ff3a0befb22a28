import { NS_PER_S } from '../base/index.ts'

/** The clock of {@link Kernel.nowNs} of the real kernel, where no kernel was chosen yet. */
export function hostNowNs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * NS_PER_S + nanoseconds
}

/** Milliseconds since 1970, by the host's clock, which may be set. */
export function hostWallClockMs(): number {
  return Date.now()
}

/** A number from 0 to 1, without 1; not for secrets. */
export function hostRandom(): number {
  return Math.random()
}
