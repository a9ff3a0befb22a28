import { MIB, optionNames, validateInteger, validateOptions } from '../base/index.ts'
import { type CheckedFaults, checkFaults, type SimFaults } from './faults.ts'
import type { FileSystem } from './file-system.ts'
import { checkTopology, type SimTopology, simTopology } from './topology.ts'

/** One completion of a simulated kernel. */
export interface SimTraceEntry {
  /** Virtual time. */
  readonly timeNs: number
  /** The thread whose ring it was on, as {@link SimKernel.threadId} says. */
  readonly threadId: number
  /** The opcode's name, without its prefix: `READ`. */
  readonly operation: string
  /** What it was done to: `fd 10001 file '/tmp/a'`, paths, an address; empty where there is nothing. */
  readonly subject: string
  /** Position in the file, or -1 for its cursor; null where there is none. */
  readonly offsetBytes: number | null
  /** What was asked for; null where there is no such number. */
  readonly lengthBytes: number | null
  /** Bytes, a descriptor, or `-errno`. */
  readonly result: number
  /** `IORING_CQE_F_…` */
  readonly flags: number
}

/** What a simulated kernel is like. */
export interface SimKernelOptions {
  /** Decides everything that is not decided otherwise: a whole number; 0 if not given. */
  readonly seed?: number
  readonly faults?: SimFaults
  /** A disk to go on with, such as {@link SimKernel.crash} leaves; an empty one if not given. */
  readonly disk?: FileSystem
  /** What the disk holds, in bytes; 1 GiB if not given. Beyond it writes fail with ENOSPC. */
  readonly diskBytes?: number
  /** Open descriptors at most; 4096 if not given. Beyond it they fail with EMFILE. */
  readonly descriptorCountMax?: number
  /** What a connection holds in each direction, in bytes; 64 KiB if not given. */
  readonly socketBufferBytes?: number
  /** How direct I/O must be aligned, in bytes; 512 if not given. */
  readonly directAlignmentBytes?: number
  /** Whether the disk has queues that are polled rather than interrupt (`queue/io_poll`); false if not given. */
  readonly hasPollQueues?: boolean
  /** How long a device takes, in nanoseconds, from … to; 5,000 … 100,000 if not given. */
  readonly diskLatencyNs?: readonly [number, number]
  /** How long the network takes, in nanoseconds, from … to; 2,000 … 50,000 if not given. */
  readonly networkLatencyNs?: readonly [number, number]
  /** Whether rings without an indirection array exist (Linux 6.6); true if not given. */
  readonly hasNoSqArray?: boolean
  /** Whether deferred task work exists (Linux 6.1); true if not given. */
  readonly hasDeferTaskrun?: boolean
  /** Whether rings can set the size of a file (Linux 6.9); true if not given. */
  readonly hasFtruncate?: boolean
  /** Whether files say how direct I/O must be aligned (Linux 6.1), else only the disk does, in `/sys`; true if not given. */
  readonly hasStatxDioalign?: boolean
  /** Its processors and nodes; four processors on one node if not given. */
  readonly topology?: SimTopology
  /** Called with each completion. */
  readonly trace?: ((entry: SimTraceEntry) => void) | undefined
}

/** The names of {@link SimKernelOptions}, for options with more of them. */
export const SIM_OPTIONS = {
  seed: true,
  faults: true,
  disk: true,
  diskBytes: true,
  descriptorCountMax: true,
  socketBufferBytes: true,
  directAlignmentBytes: true,
  hasPollQueues: true,
  diskLatencyNs: true,
  networkLatencyNs: true,
  hasNoSqArray: true,
  hasDeferTaskrun: true,
  hasFtruncate: true,
  hasStatxDioalign: true,
  topology: true,
  trace: true,
} as const
const NAMES = optionNames<SimKernelOptions>(SIM_OPTIONS)

/** Options with nothing left out. */
export interface CheckedSimOptions {
  readonly seed: number
  readonly faults: CheckedFaults
  readonly disk: FileSystem | null
  readonly diskBytes: number
  readonly descriptorCountMax: number
  readonly socketBufferBytes: number
  readonly directAlignmentBytes: number
  readonly hasPollQueues: boolean
  readonly diskLatencyNs: readonly [number, number]
  readonly networkLatencyNs: readonly [number, number]
  readonly hasNoSqArray: boolean
  readonly hasDeferTaskrun: boolean
  readonly hasFtruncate: boolean
  readonly hasStatxDioalign: boolean
  readonly topology: SimTopology
  readonly trace: ((entry: SimTraceEntry) => void) | null
}

/** @throws {TypeError | RangeError} for options of the wrong kind. */
export function checkOptions(options: SimKernelOptions): CheckedSimOptions {
  validateOptions('simulate', options, NAMES)
  const seed = options.seed ?? 0
  validateInteger('simulate', 'seed', seed, { min: 0, max: Number.MAX_SAFE_INTEGER })
  return {
    seed,
    faults: checkFaults(options.faults),
    disk: options.disk ?? null,
    diskBytes: options.diskBytes ?? 1024 * MIB,
    descriptorCountMax: options.descriptorCountMax ?? 4096,
    socketBufferBytes: options.socketBufferBytes ?? 64 * 1024,
    directAlignmentBytes: options.directAlignmentBytes ?? 512,
    hasPollQueues: options.hasPollQueues ?? false,
    diskLatencyNs: options.diskLatencyNs ?? [5_000, 100_000],
    networkLatencyNs: options.networkLatencyNs ?? [2_000, 50_000],
    hasNoSqArray: options.hasNoSqArray ?? true,
    hasDeferTaskrun: options.hasDeferTaskrun ?? true,
    hasFtruncate: options.hasFtruncate ?? true,
    hasStatxDioalign: options.hasStatxDioalign ?? true,
    topology: options.topology === undefined ? simTopology() : checkTopology(options.topology),
    trace: options.trace ?? null,
  }
}
