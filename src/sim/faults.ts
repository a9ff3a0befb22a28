import { type OptionNames, optionNames, validateOptions } from '../base/index.ts'
import {
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINTR,
  EIO,
  EMFILE,
  ENOMEM,
  ENOSPC,
  ETIMEDOUT,
} from '../kernel/index.ts'

/** The errors that a simulated kernel can be told to inject. */
export type SimErrorName =
  | 'EIO'
  | 'EAGAIN'
  | 'EINTR'
  | 'ENOSPC'
  | 'ENOMEM'
  | 'EMFILE'
  | 'ECONNRESET'
  | 'ECONNREFUSED'
  | 'ETIMEDOUT'

/** Their numbers. */
export const ERRNO_OF: Readonly<Record<SimErrorName, number>> = {
  EIO,
  EAGAIN,
  EINTR,
  ENOSPC,
  ENOMEM,
  EMFILE,
  ECONNRESET,
  ECONNREFUSED,
  ETIMEDOUT,
}

/**
 * How often what goes wrong: probabilities from 0 to 1, each decided by the seed; all 0 if not given.
 *
 * Only what Linux may do as well: a program that breaks under any of these is wrong.
 */
export interface SimFaults {
  /** A read or receive delivers less than it could. */
  readonly shortRead?: number
  /** A write or send takes less than it could. */
  readonly shortWrite?: number
  /** An operation that can fail so, does. */
  readonly errors?: Readonly<Partial<Record<SimErrorName, number>>>
  /** An operation takes up to a thousand times as long. */
  readonly delay?: number
  /** An operation is overtaken by those submitted after it. */
  readonly reorder?: number
  /** A completion finds the queue full, and waits until the thread asks for it. */
  readonly cqOverflow?: number
  /** A multishot operation ends with a completion that would not have been its last. */
  readonly multishotEnd?: number
  /** A cancel comes too late: it answers -EALREADY, and the operation completes. */
  readonly lateCancel?: number
  /** A provided-buffer ring looks empty. */
  readonly noBuffers?: number
  /** io_uring_enter answers -EBUSY and takes nothing. */
  readonly enterBusy?: number
  /** A datagram of UDP is lost. */
  readonly datagramLoss?: number
  /** It comes twice. */
  readonly datagramDuplicate?: number
  /** It is overtaken by those sent after it. */
  readonly datagramReorder?: number
  /** What a ring posts into that of another thread, as doorbells do, arrives later. */
  readonly lateMessage?: number
  /** A thread that could go on gets no processor for up to 20 ms, and others overtake it. */
  readonly threadPause?: number
}

const NAMES = optionNames<SimFaults>({
  shortRead: true,
  shortWrite: true,
  errors: true,
  delay: true,
  reorder: true,
  cqOverflow: true,
  multishotEnd: true,
  lateCancel: true,
  noBuffers: true,
  enterBusy: true,
  datagramLoss: true,
  datagramDuplicate: true,
  datagramReorder: true,
  lateMessage: true,
  threadPause: true,
})
const ERROR_NAMES: OptionNames = new Set(Object.keys(ERRNO_OF))

type FaultProbabilities = Required<Omit<SimFaults, 'errors'>>

/** A fault plan with nothing left out. */
export interface CheckedFaults extends FaultProbabilities {
  readonly errors: ReadonlyMap<SimErrorName, number>
}

const NONE: FaultProbabilities = {
  shortRead: 0,
  shortWrite: 0,
  delay: 0,
  reorder: 0,
  cqOverflow: 0,
  multishotEnd: 0,
  lateCancel: 0,
  noBuffers: 0,
  enterBusy: 0,
  datagramLoss: 0,
  datagramDuplicate: 0,
  datagramReorder: 0,
  lateMessage: 0,
  threadPause: 0,
}

/** @throws {TypeError} for an unknown fault; {@link RangeError} for a probability outside of 0 … 1. */
export function checkFaults(faults: SimFaults = {}): CheckedFaults {
  const action = 'simulate faults'
  validateOptions(action, faults, NAMES, 'faults')
  const { errors = {}, ...rest } = faults
  validateOptions(action, errors, ERROR_NAMES, 'faults.errors')
  const all = [...Object.entries(rest), ...Object.entries(errors)]
  for (const [name, probability] of all) {
    if (!(probability >= 0 && probability <= 1)) {
      throw new RangeError(
        `Cannot ${action} as ${name} must be a probability from 0 to 1: current value is ${probability}`,
      )
    }
  }
  const entries = Object.entries(errors) as [SimErrorName, number][]
  return { ...NONE, ...rest, errors: new Map(entries.filter(([, probability]) => probability > 0)) }
}
