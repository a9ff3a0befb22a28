import {
  EAGAIN,
  ECANCELED,
  ECONNABORTED,
  ECONNRESET,
  EHOSTUNREACH,
  EINTR,
  ENETUNREACH,
  EPIPE,
  ETIMEDOUT,
} from '../../kernel/index.ts'

const BREAKS: ReadonlySet<number> = new Set([
  -ECONNABORTED,
  -ECONNRESET,
  -EHOSTUNREACH,
  -ENETUNREACH,
  -ETIMEDOUT,
])

/** Whether a result ends a connection of which no end has come; the kernel tells of one once. */
export function isBreak(result: number): boolean {
  return BREAKS.has(result)
}

/** Whether a send fails with a result, rather than being tried again. */
export function isFailure(result: number): boolean {
  return result < 0 && result !== -EINTR && result !== -EAGAIN && result !== -ECANCELED
}

/** Whether a failure is of the connection, rather than of what was to be sent. */
export function isGone(result: number): boolean {
  return result === -EPIPE || isBreak(result)
}
