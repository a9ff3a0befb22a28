import { optionNames, validateInteger, validateOptions } from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import { encodeSplice, type Ring } from '../../ring/index.ts'
import { validateOffset } from '../values/offset.ts'
import type { Descriptor } from './descriptor.ts'
import { FileOperation } from './file-operation.ts'
import { withWorker } from './open-workers.ts'
import { NO_POSITION } from './transfer-plan.ts'

/** Options of {@link BufferedFile.spliceFrom}. */
export interface SpliceOptions extends WaitOptions {
  /** Where to begin in a source that has positions; 0 if not given. */
  readonly fromBytes?: number | undefined
  /** Where to write in a target that has positions; 0 if not given. */
  readonly offsetBytes?: number | undefined
}

/** One end of a splice. */
export interface SpliceEnd {
  readonly descriptor: Descriptor
  readonly isSeekable: boolean
}

const NAMES = optionNames<SpliceOptions>({
  fromBytes: true,
  offsetBytes: true,
  signal: true,
  timeoutMs: true,
})
const ACTION = 'splice files'
const LENGTH_BYTES_MAX: number = 2 ** 31 - 1

/** Moves bytes between a pipe and a file, or two pipes, once; resolves with how many. */
export async function splice(
  source: SpliceEnd,
  target: SpliceEnd,
  lengthBytes: number,
  options: SpliceOptions,
): Promise<number> {
  validateInteger(ACTION, 'lengthBytes', lengthBytes, { min: 1, max: LENGTH_BYTES_MAX })
  validateOptions(ACTION, options, NAMES)
  const { fromBytes = 0, offsetBytes = 0, signal, timeoutMs } = options
  validateOffset(ACTION, fromBytes, lengthBytes, 'fromBytes')
  validateOffset(ACTION, offsetBytes, lengthBytes)
  const refusal = target.descriptor.refusal(ACTION) ?? source.descriptor.refusal(ACTION)
  if (refusal !== null) return refusal
  const from = source.isSeekable ? fromBytes : NO_POSITION
  const to = target.isSeekable ? offsetBytes : NO_POSITION
  const { executor } = target.descriptor
  // A pipe lets a thread of the kernel's wait for as long as its other end likes.
  return withWorker(executor, true, () => {
    const place = { from, to, lengthBytes }
    return new Splice(source.descriptor, target.descriptor, place).start({ signal, timeoutMs })
  })
}

/** `splice(2)` */
class Splice extends FileOperation<number> {
  readonly #source: Descriptor
  readonly #place: { readonly from: number; readonly to: number; readonly lengthBytes: number }

  constructor(
    source: Descriptor,
    target: Descriptor,
    place: { readonly from: number; readonly to: number; readonly lengthBytes: number },
  ) {
    super(target)
    this.#source = source
    this.#place = place
  }

  get action(): string {
    return ACTION
  }

  get syscall(): string {
    return 'splice'
  }

  protected override prepare(): void {
    this.#source.enter()
  }

  protected override unprepare(): void {
    this.#source.leave()
  }

  protected override encode(ring: Ring, base: number): void {
    const { from, to, lengthBytes } = this.#place
    encodeSplice(ring.sqes, base, {
      from: this.#source.targetOn(ring),
      fromOffsetBytes: from,
      to: this.descriptor.targetOn(ring),
      toOffsetBytes: to,
      lengthBytes,
      flags: 0,
    })
  }

  // What a pipe has given it has no more, and what it has taken is there.
  protected override isIrrevocable(result: number): boolean {
    return result > 0
  }

  protected override interpret(result: number): number {
    return result
  }

  protected override finish(): void {
    super.finish()
    this.#source.leave()
  }
}
