import { optionNames, validateInteger, validateOptions, wrongType } from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import { type AdviseArgs, encodeAdvise, type Ring } from '../../ring/index.ts'
import { validateOffset } from '../values/offset.ts'
import type { Descriptor } from './descriptor.ts'
import { FileOperation } from './file-operation.ts'

/** How a stretch of a file is going to be used, as `posix_fadvise(2)` has it. */
export type FileAdvice = 'normal' | 'random' | 'sequential' | 'willNeed' | 'dontNeed' | 'noReuse'

/** Options of {@link BaseFile.advise}. */
export interface AdviseOptions extends WaitOptions {
  /** Where the stretch begins; 0 if not given. */
  readonly offsetBytes?: number | undefined
  /** How long it is, less than 4 GiB; up to the end of the file if not given. */
  readonly lengthBytes?: number | undefined
}

const NAMES = optionNames<AdviseOptions>({
  offsetBytes: true,
  lengthBytes: true,
  signal: true,
  timeoutMs: true,
})
const ACTION = 'give advice on a file'
// ABI: POSIX_FADV_…, by their numbers.
const ADVICE: readonly FileAdvice[] = [
  'normal',
  'random',
  'sequential',
  'willNeed',
  'dontNeed',
  'noReuse',
]
const LENGTH_BYTES_MAX: number = 2 ** 32 - 1

/** Tells the page cache what to expect. */
export async function advise(
  descriptor: Descriptor,
  advice: FileAdvice,
  options: AdviseOptions,
): Promise<void> {
  const number = ADVICE.indexOf(advice)
  if (number < 0) {
    const expected = ADVICE.map((word) => `'${word}'`).join(', ')
    throw wrongType(ACTION, 'advice', `one of ${expected}`, advice)
  }
  validateOptions(ACTION, options, NAMES)
  const { offsetBytes = 0, lengthBytes, signal, timeoutMs } = options
  if (lengthBytes !== undefined) {
    validateInteger(ACTION, 'lengthBytes', lengthBytes, { min: 1, max: LENGTH_BYTES_MAX })
  }
  validateOffset(ACTION, offsetBytes, lengthBytes ?? 0)
  const refusal = descriptor.refusal(ACTION)
  if (refusal !== null) return refusal
  const args = { offsetBytes, lengthBytes: lengthBytes ?? 0, advice: number }
  return new Advise(descriptor, args).start({ signal, timeoutMs })
}

/** `posix_fadvise(2)` */
class Advise extends FileOperation<void> {
  readonly #args: Omit<AdviseArgs, 'file'>

  constructor(descriptor: Descriptor, args: Omit<AdviseArgs, 'file'>) {
    super(descriptor)
    this.#args = args
  }

  get action(): string {
    return ACTION
  }

  get syscall(): string {
    return 'fadvise64'
  }

  protected override encode(ring: Ring, base: number): void {
    encodeAdvise(ring.sqes, base, { file: this.descriptor.targetOn(ring), ...this.#args })
  }

  protected override interpret(): void {}
}
