import { optionNames, validateBoolean, validateInteger, validateOptions } from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import {
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
} from '../../kernel/index.ts'
import { FILE_BYTES_MAX, validateOffset } from '../values/offset.ts'
import { changeAlone, type LockedFile } from './change-alone.ts'
import { Allocate } from './file-operations.ts'

/** Options of {@link BaseFile.allocate}. */
export interface AllocateOptions extends WaitOptions {
  /** Where the space begins; 0 if not given. */
  readonly offsetBytes?: number | undefined
  /** Whether the file keeps its size, though space beyond it is reserved. */
  readonly keepSize?: boolean | undefined
}

/** Options of {@link BaseFile.zero}. */
export interface ZeroOptions extends WaitOptions {
  /** Whether the file keeps its size, though what is to be zero ends beyond it. */
  readonly keepSize?: boolean | undefined
}

const ALLOCATE_NAMES = optionNames<AllocateOptions>({
  offsetBytes: true,
  keepSize: true,
  signal: true,
  timeoutMs: true,
})
const ZERO_NAMES = optionNames<ZeroOptions>({ keepSize: true, signal: true, timeoutMs: true })

/** What `fallocate(2)` does to a stretch of a file. */
interface SpaceChange {
  readonly action: string
  readonly mode: number
  /** Whether it moves, or makes, what is behind as well. */
  readonly reachesEnd: boolean
}

interface Stretch {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** Gives space back. */
export const PUNCH: SpaceChange = {
  action: 'punch a hole in a file',
  mode: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
  reachesEnd: false,
}

/** Takes a stretch out. */
export const COLLAPSE: SpaceChange = {
  action: 'take a stretch out of a file',
  mode: FALLOC_FL_COLLAPSE_RANGE,
  reachesEnd: true,
}

/** Puts a hole in. */
export const INSERT: SpaceChange = {
  action: 'insert a hole into a file',
  mode: FALLOC_FL_INSERT_RANGE,
  reachesEnd: true,
}

/** Takes space up. */
export function allocate(
  file: LockedFile,
  lengthBytes: number,
  options: AllocateOptions,
): Promise<void> {
  const action = 'allocate space in a file'
  validateOptions(action, options, ALLOCATE_NAMES)
  const { offsetBytes = 0, ...rest } = options
  return takeSpace(file, { action, mode: 0 }, { offsetBytes, lengthBytes }, rest)
}

/** Makes a stretch zero, taking space up. */
export function zero(file: LockedFile, stretch: Stretch, options: ZeroOptions): Promise<void> {
  const action = 'zero a stretch of a file'
  validateOptions(action, options, ZERO_NAMES)
  return takeSpace(file, { action, mode: FALLOC_FL_ZERO_RANGE }, stretch, options)
}

function takeSpace(
  file: LockedFile,
  { action, mode }: Omit<SpaceChange, 'reachesEnd'>,
  stretch: Stretch,
  { keepSize = false, signal, timeoutMs }: ZeroOptions,
): Promise<void> {
  validateBoolean(action, 'keepSize', keepSize)
  const change = {
    action,
    mode: mode | (keepSize ? FALLOC_FL_KEEP_SIZE : 0),
    // What may grow the file is alone behind, where a write that fails cuts it to the size that it has found.
    reachesEnd: !keepSize,
  }
  return changeSpace(file, change, stretch, { signal, timeoutMs })
}

/** Changes the space of a stretch, while nobody else of this executor changes what it reaches. */
export async function changeSpace(
  file: LockedFile,
  { action, mode, reachesEnd }: SpaceChange,
  { offsetBytes, lengthBytes }: Stretch,
  options: WaitOptions | undefined,
): Promise<void> {
  validateInteger(action, 'lengthBytes', lengthBytes, { min: 1, max: FILE_BYTES_MAX })
  validateOffset(action, offsetBytes, lengthBytes)
  const { descriptor } = file
  const refusal = descriptor.refusal(action)
  if (refusal !== null) return refusal
  const endBytes = reachesEnd ? Infinity : offsetBytes + lengthBytes
  const range = { startBytes: offsetBytes, endBytes, isExclusive: true }
  const args = { offsetBytes, lengthBytes, mode }
  return changeAlone(file, range, action, options, (wait) => {
    return new Allocate(descriptor, args).start(wait, action)
  })
}
