import {
  ECONNABORTED,
  ECONNRESET,
  EHOSTUNREACH,
  ENETUNREACH,
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
