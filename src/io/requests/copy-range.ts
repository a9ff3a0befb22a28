import {
  MIB,
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
} from '../../base/index.ts'
import { Deadline, type WaitOptions } from '../../executor/index.ts'
import { EINVAL, ENOSYS, EOPNOTSUPP, EXDEV } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { FILE_BYTES_MAX, validateOffset } from '../values/offset.ts'
import { decodeSize, type FileIdentity, isSameIdentity } from '../values/status.ts'
import { type AsideCall, callAside } from './aside.ts'
import type { LockedFile } from './change-alone.ts'
import { Statx } from './file-operations.ts'
import { PIECE_BYTES } from './pieces.ts'

/** Options of {@link BaseFile.copyFrom}. */
export interface CopyOptions extends WaitOptions {
  /** Where to begin in the source; 0 if not given. */
  readonly fromBytes?: number | undefined
  /** Where to write; 0 if not given. */
  readonly offsetBytes?: number | undefined
  /** How much; up to the end of the source if not given. */
  readonly lengthBytes?: number | undefined
}

/** What is copied from, and to. */
export interface CopyEnd extends LockedFile {
  readonly identity: FileIdentity
  /** Reads any stretch, less of it where the file ends. */
  readStretch(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<Lease>
  /** Writes all of a lease at any position. */
  writeStretch(data: Lease, offsetBytes: number, options?: WaitOptions): Promise<number>
}

const NAMES = optionNames<CopyOptions>({
  fromBytes: true,
  offsetBytes: true,
  lengthBytes: true,
  signal: true,
  timeoutMs: true,
})
const ACTION = 'copy from a file'
/** Between some file systems, and within others, the kernel does not; nor what is not aligned, of direct files. */
const REFUSALS: readonly number[] = [-EXDEV, -EOPNOTSUPP, -ENOSYS, -EINVAL]
/** Between pieces of that it can be cancelled. */
const CALL_BYTES_MAX: number = 16 * MIB

/** Copies a stretch of one file to another; resolves with how much it was. */
export async function copyRange(
  source: CopyEnd,
  target: CopyEnd,
  options: CopyOptions,
): Promise<number> {
  validateOptions(ACTION, options, NAMES)
  const { fromBytes = 0, offsetBytes = 0, lengthBytes, signal, timeoutMs } = options
  if (lengthBytes !== undefined) {
    validateInteger(ACTION, 'lengthBytes', lengthBytes, { min: 0, max: FILE_BYTES_MAX })
  }
  validateOffset(ACTION, fromBytes, lengthBytes ?? 0, 'fromBytes')
  validateOffset(ACTION, offsetBytes, lengthBytes ?? 0)
  const wholeBytes = lengthBytes ?? FILE_BYTES_MAX - Math.max(fromBytes, offsetBytes)
  const isSame = isSameIdentity(source.identity, target.identity)
  if (isSame && Math.abs(fromBytes - offsetBytes) < wholeBytes) {
    throw new RangeError(
      `Cannot ${ACTION} as stretches of one file must not overlap: ${wholeBytes} bytes from ${fromBytes} to ${offsetBytes}`,
    )
  }
  const refusal = target.descriptor.refusal(ACTION) ?? source.descriptor.refusal(ACTION)
  if (refusal !== null) return refusal
  const wait = { signal, timeoutMs }
  const steps = new Deadline(target.descriptor.executor, ACTION, wait)
  const job = new Copying(source, target, steps)
  source.descriptor.enter()
  target.descriptor.enter()
  try {
    // A file that is copied to its own end would else have no end: it grows as it is copied. Not none, which would refuse nothing.
    const leftBytes = isSame ? (await job.size()) - fromBytes : wholeBytes
    return await job.run(fromBytes, offsetBytes, Math.min(wholeBytes, Math.max(leftBytes, 1)))
  } finally {
    target.descriptor.leave()
    source.descriptor.leave()
  }
}

class Copying {
  readonly #source: CopyEnd
  readonly #target: CopyEnd
  readonly #steps: Deadline
  #isByKernel = true

  constructor(source: CopyEnd, target: CopyEnd, steps: Deadline) {
    this.#source = source
    this.#target = target
    this.#steps = steps
  }

  size(): Promise<number> {
    return new Statx(this.#source.descriptor, decodeSize).start(this.#steps.next(), ACTION)
  }

  async run(fromBytes: number, toBytes: number, lengthBytes: number): Promise<number> {
    let doneBytes = 0
    while (doneBytes < lengthBytes) {
      const leftBytes = lengthBytes - doneBytes
      const copiedBytes = await this.#piece(fromBytes + doneBytes, toBytes + doneBytes, leftBytes)
      if (copiedBytes === 0) break
      doneBytes += copiedBytes
    }
    return doneBytes
  }

  async #piece(fromBytes: number, toBytes: number, leftBytes: number): Promise<number> {
    if (this.#isByKernel) {
      try {
        return await this.#call(fromBytes, toBytes, Math.min(leftBytes, CALL_BYTES_MAX))
      } catch (error) {
        if (!REFUSALS.includes((error as { errno?: number }).errno ?? 0)) throw error
        this.#isByKernel = false
      }
    }
    return await this.#move(fromBytes, toBytes, Math.min(leftBytes, PIECE_BYTES))
  }

  async #call(fromBytes: number, toBytes: number, lengthBytes: number): Promise<number> {
    const { descriptor, ranges } = this.#target
    const from = this.#source.descriptor
    const range = { startBytes: toBytes, endBytes: toBytes + lengthBytes, isExclusive: false }
    const hold = await ranges.acquire(range, ACTION, this.#steps.next())
    try {
      const { aside } = descriptor.executor.kernel
      const call: AsideCall = {
        action: ACTION,
        syscall: 'copy_file_range',
        begin: (toFd, done) =>
          aside.copyRange({ fromFd: from.fd, fromBytes, toFd, toBytes, lengthBytes }, done),
      }
      return await callAside(descriptor, call, this.#steps.next())
    } finally {
      ranges.release(hold)
    }
  }

  async #move(fromBytes: number, toBytes: number, lengthBytes: number): Promise<number> {
    using lease = await this.#source.readStretch(fromBytes, lengthBytes, this.#steps.next())
    const movedBytes = lease.lengthBytes
    if (movedBytes > 0) await this.#target.writeStretch(lease, toBytes, this.#steps.next())
    return movedBytes
  }
}

/** @throws {RuntimeError} `ERR_UNSUPPORTED` */
export function refuseAppending(): never {
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${ACTION} as the target must not be opened for appending: the kernel would ignore the position`,
  )
}
