import {
  GIB,
  isAbortSignal,
  optionNames,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'

/** What the streams that are made for Node may be told. */
export interface NodeStreamOptions {
  /** How many bytes Node holds before it stops reading, or asks writers to wait; Node's default if not given. */
  readonly highWaterMark?: number
  /** Aborting it destroys the stream with its reason. */
  readonly signal?: AbortSignal
}

const NAMES = optionNames<NodeStreamOptions>({ highWaterMark: true, signal: true })

/** @throws {TypeError | RangeError} */
export function readNodeOptions(action: string, options: NodeStreamOptions): NodeStreamOptions {
  validateOptions(action, options, NAMES)
  const { highWaterMark, signal } = options
  if (highWaterMark !== undefined) {
    validateInteger(action, 'highWaterMark', highWaterMark, { min: 0, max: GIB })
  }
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(action, 'signal', 'an AbortSignal', signal)
  }
  return options
}
