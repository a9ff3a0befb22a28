import { AssertionError, count } from '../base/index.ts'
import { ChannelError } from './channel-error.ts'
import { NONE, type ValueReader } from './value-reader.ts'

/**
 * Takes all that is left in a ring whose consumer uses it no more, the oldest first.
 *
 * @throws {ChannelError} `ERR_VALUE_UNREADABLE` where the codec refuses some: the others are its value.
 */
export function takeLeft<T>(reader: ValueReader<T>): T[] {
  const left: T[] = []
  const unreadable: unknown[] = []
  for (let isMore = true; isMore; ) {
    try {
      const value = reader.take()
      if (value === NONE) isMore = false
      else left.push(value)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      unreadable.push(error)
    }
  }
  reader.consumer.release()
  if (unreadable.length > 0) throw unreadableError(left, unreadable)
  return left
}

function unreadableError<T>(
  left: readonly T[],
  errors: readonly unknown[],
): ChannelError<readonly T[]> {
  const what = `Cannot take back all that was sent as the codec must decode it: it refuses ${count(errors.length, 'value')}`
  const cause = new AggregateError(errors, what)
  return new ChannelError('ERR_VALUE_UNREADABLE', what, left, { cause })
}
