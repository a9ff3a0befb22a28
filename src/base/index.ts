export { AssertionError, assert, unreachable } from './assert.ts'
export { DeadlineHeap } from './deadline-heap.ts'
export { isDebugging } from './debug.ts'
export { type ErrorRecord, recordError, reviveError } from './error-record.ts'
export {
  isPeerGone,
  KernelError,
  type KernelErrorContext,
  RuntimeError,
  type RuntimeErrorCode,
} from './errors.ts'
export { findExport } from './find-export.ts'
export { Heap, type HeapEntry } from './heap.ts'
export { count, showAs } from './inspect.ts'
export { allocateBytes, copyBytes } from './new-bytes.ts'
export {
  formatNumberList,
  maskOfNumbers,
  numbersOfMask,
  parseNumberList,
} from './number-list.ts'
export { Prng } from './prng.ts'
export { adoptPromise, isPlainPromise, isPromiseLike } from './promise-like.ts'
export { isAbortSignal, isBytes, isUrl, wrongBytes } from './realm.ts'
export { NO_QUEUE, Runnable, RunQueue } from './run-queue.ts'
export {
  alignDown,
  alignUp,
  formatBytes,
  formatNs,
  GIB,
  isPowerOfTwo,
  KIB,
  MIB,
  NS_PER_MS,
  NS_PER_S,
  NS_PER_US,
  nextPowerOfTwo,
} from './units.ts'
export {
  type IntegerBounds,
  type OptionNames,
  optionNames,
  validateBoolean,
  validateDurationMs,
  validateFunction,
  validateInteger,
  validateOptions,
  validateString,
  wrongType,
} from './validate.ts'
