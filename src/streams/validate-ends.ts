import { wrongType } from '../base/index.ts'
import type { ByteSink } from './byte-sink.ts'
import type { ByteSource } from './byte-source.ts'

/** @throws {TypeError} unless it has the methods of a source; what it may be instead is named. */
export function validateSource(action: string, value: unknown): asserts value is ByteSource {
  if (hasMethods(value, ['pull', 'close'])) return
  const error = wrongType(action, 'source', 'a ByteSource', value)
  if (hasMethods(value, ['getReader'])) error.message += '; use fromWebReadable(stream)'
  else if (hasMethods(value, ['read', 'pipe'])) error.message += '; use fromNodeReadable(stream)'
  else if (hasMethods(value, ['stream'])) error.message += '; use its stream()'
  throw error
}

/** @throws {TypeError} unless it has the methods of a sink; what it may be instead is named. */
export function validateSink(action: string, value: unknown): asserts value is ByteSink {
  if (hasMethods(value, ['push', 'end'])) {
    // A Readable of Node has a push() of another kind.
    if (!hasMethods(value, ['write', 'pipe'])) return
  }
  const error = wrongType(action, 'sink', 'a ByteSink', value)
  if (hasMethods(value, ['getWriter'])) error.message += '; use fromWebWritable(stream)'
  else if (hasMethods(value, ['write', 'once'])) error.message += '; use fromNodeWritable(stream)'
  else if (hasMethods(value, ['writer'])) error.message += '; use its writer()'
  throw error
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
}
