import { type ErrorRecord, RuntimeError, reviveError } from '../base/index.ts'
import type { FromShard, ThreadEnd } from './shard-thread.ts'

/** Which thread of which shard ended. */
interface ShardExitOf {
  readonly shard: number
  readonly generation: number
}

/** How a shard ended. */
export type ShardExit<Result = unknown> = ShardExitOf &
  (
    | { readonly reason: 'returned'; readonly value: Result }
    /** Its function threw, or nobody caught an error elsewhere on its thread, or it did not start again. */
    | { readonly reason: 'threw'; readonly error: unknown }
    /** It called `process.exit()`, or set `process.exitCode`. */
    | { readonly reason: 'exit'; readonly exitCode: number }
    /** Its heap would have grown above its limit. */
    | { readonly reason: 'outOfMemory'; readonly error: unknown }
    /** By the deadline of a stop, or by {@link ShardHandle.terminate}. */
    | { readonly reason: 'terminated' }
    /** It was asked to, and its function had not returned. */
    | { readonly reason: 'stopped' }
  )

/** What is known as a thread ends. */
export interface EndKnown {
  readonly end: ThreadEnd
  /** What its program came to, if it said. */
  readonly outcome: (FromShard & { readonly kind: 'returned' | 'threw' }) | null
  readonly isTerminated: boolean
  readonly isStopping: boolean
}

/**
 * Why a shard ended: a pure function.
 *
 * | in this order | reason |
 * | --- | --- |
 * | the heap's limit | outOfMemory |
 * | terminated, and the code says so | terminated |
 * | an error that nobody caught | threw |
 * | its function threw: for a stop, else | stopped, threw |
 * | an exit code but 0 | exit |
 * | its function returned | returned |
 * | it was stopped, else | stopped, exit |
 */
export function explainEnd<Result>(
  { end, outcome, isTerminated, isStopping }: EndKnown,
  of: ShardExitOf,
): ShardExit<Result> {
  const { failure, exitCode } = end
  if (failure !== null && isOutOfMemory(failure.error)) {
    return { ...of, reason: 'outOfMemory', error: failure.error }
  }
  if (isTerminated && exitCode !== 0) return { ...of, reason: 'terminated' }
  if (failure !== null) return { ...of, reason: 'threw', error: failure.error }
  if (outcome?.kind === 'threw') {
    // It has called one that was stopped a moment before.
    const isStop = outcome.isStop || (isStopping && isOfShard(outcome.error))
    return isStop
      ? { ...of, reason: 'stopped' }
      : { ...of, reason: 'threw', error: reviveError(outcome.error) }
  }
  if (exitCode !== 0) return { ...of, reason: 'exit', exitCode }
  if (outcome !== null) return { ...of, reason: 'returned', value: outcome.value as Result }
  return isStopping ? { ...of, reason: 'stopped' } : { ...of, reason: 'exit', exitCode }
}

/** Whether a shard that ended so has failed. */
export function isFailure(exit: ShardExit): boolean {
  if (exit.reason === 'exit') return exit.exitCode !== 0
  return exit.reason === 'threw' || exit.reason === 'outOfMemory' || exit.reason === 'terminated'
}

/** What to throw for a shard that has no result. */
export function failureOf(exit: ShardExit, name: string): RuntimeError {
  const cause = 'error' in exit ? exit.error : undefined
  return new RuntimeError(
    'ERR_SHARD_FAILED',
    `Cannot take the result of shard '${name}' as it must have returned: it ${describeExit(exit)}`,
    cause === undefined ? undefined : { cause },
  )
}

/** What to throw for a shard that ended before its function was called. */
export function errorOf(exit: ShardExit): unknown {
  return 'error' in exit
    ? exit.error
    : new RuntimeError('ERR_SHARD_FAILED', `it ${describeExit(exit)} before it was ready`)
}

/** How it ended, in words: `threw Error: no`. */
export function describeExit(exit: ShardExit): string {
  switch (exit.reason) {
    case 'threw':
      return `threw ${describeError(exit.error)}`
    case 'outOfMemory':
      return 'ran out of memory, by the limits of its heap'
    case 'exit':
      return `exited with code ${exit.exitCode}`
    case 'terminated':
      return 'was terminated'
    case 'stopped':
      return 'was stopped'
    case 'returned':
      return 'returned'
  }
}

export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}

function isOfShard(error: ErrorRecord): boolean {
  return error.kind === 'error' && error.details.code === 'ERR_SHARD_FAILED'
}

function isOutOfMemory(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ERR_WORKER_OUT_OF_MEMORY'
}
