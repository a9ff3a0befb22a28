import {
  MIB,
  NS_PER_MS,
  NS_PER_US,
  nextPowerOfTwo,
  optionNames,
  validateBoolean,
  validateInteger,
  validateOptions,
  validateString,
} from '../base/index.ts'
import { type Kernel, UringKernel } from '../kernel/index.ts'
import type { SpinLimits } from '../reactor/index.ts'
import { type CheckedHostOptions, type HostOptions, validateHostOptions } from './host-queue.ts'
import { type DeviceProperties, type IoProperties, loadIoProperties } from './io-properties.ts'
import { type CheckedStallOptions, validateStallOptions } from './stall-detector.ts'
import type { StallOptions } from './stall-report.ts'

/** How a thread's executor is set up. */
export interface ExecutorOptions {
  /** For statistics and messages; `unnamed` if not given. */
  readonly name?: string
  /** Submission entries of each ring, 8 … 32,768, rounded up to a power of two; 1024 if not given. */
  readonly ringDepth?: number
  /** I/O memory to register with the rings, in bytes, rounded up to a power of two; 16 MiB if not given. */
  readonly ioMemoryBytes?: number
  /**
   * What I/O memory may grow to, in bytes; 1 GiB if not given. Buffers that sockets receive into take three
   * quarters of it at most; another 1 MiB is percore's own, so that files and sockets go on whoever holds
   * the rest.
   */
  readonly ioMemoryBytesMax?: number
  /** The slice of a task queue without a latency class, in milliseconds; 10 if not given. */
  readonly preemptTimerMs?: number
  /** Node's own event loop beside the task queues: its shares, and how long its events may wait. */
  readonly host?: HostOptions
  /**
   * How long to poll before the thread sleeps, in microseconds: 0, the default, saves power; Infinity for always.
   *
   * What other threads send, and the kernel completes, is then found within a microsecond instead of the 5 to 40 that it
   * takes to wake a thread. It polls only while there is a CPU for it: not while more executors of the process do not
   * sleep than it has CPUs (those its threads may run on, or as many as its control group's quota of time allows), nor while
   * another one is bound to the same CPU and does not sleep. What other processes want of these CPUs it does not know.
   */
  readonly spinBeforeParkUs?: number
  /**
   * The same, but until for so long nothing has come from the kernel or another thread, up to 60,000,000 microseconds; 0 if not given.
   *
   * Timers alone do not begin it anew: a thread that nothing has come to for so long sleeps between its ticks, where `spinBeforeParkUs`
   * polls before each of them. Not together with `spinBeforeParkUs`.
   */
  readonly spinUntilQuietUs?: number
  /** Reports turns that take too long, see {@link Executor.detectStalls}; off if not given. */
  readonly detectStalls?: StallOptions | null
  /**
   * Counts pauses of the garbage collector; false if not given, and in simulation. Node tells of each by an object and a callback, which
   * cost about as much as a short pause takes.
   */
  readonly measureGc?: boolean
  /**
   * What the devices of files can do: the path of a file that `percore iotune` has saved, or what is in it; the environment variable
   * `PERCORE_IO_PROPERTIES` if not given. Task queues then share these devices for direct I/O by their shares, with those of other
   * threads; without, every device takes what comes.
   */
  readonly ioProperties?: string | IoProperties
  /** The kernel driver; the real one if not given. */
  readonly kernel?: Kernel
}

const NAMES = optionNames<ExecutorOptions>({
  name: true,
  ringDepth: true,
  ioMemoryBytes: true,
  ioMemoryBytesMax: true,
  preemptTimerMs: true,
  host: true,
  spinBeforeParkUs: true,
  spinUntilQuietUs: true,
  detectStalls: true,
  measureGc: true,
  ioProperties: true,
  kernel: true,
})

const SPIN_US_MAX = 60_000_000

/** {@link ExecutorOptions}, checked, rounded and in the units of the runtime. */
export interface CheckedOptions {
  readonly name: string
  readonly kernel: Kernel
  readonly ringEntryCount: number
  readonly memoryBytes: number
  readonly memoryBytesMax: number
  readonly sliceNs: number
  readonly host: CheckedHostOptions
  readonly spin: SpinLimits
  readonly stalls: CheckedStallOptions | null
  readonly measuresGc: boolean
  readonly ioProperties: readonly DeviceProperties[]
}

/** @throws {TypeError | RangeError} for options of the wrong kind. */
export function checkExecutorOptions(options: ExecutorOptions): CheckedOptions {
  const action = 'attach an executor'
  validateOptions(action, options, NAMES)
  const name = options.name ?? 'unnamed'
  validateString(action, 'name', name)
  const ringDepth = options.ringDepth ?? 1024
  validateInteger(action, 'ringDepth', ringDepth, { min: 8, max: 32_768 })
  const memoryBytes = options.ioMemoryBytes ?? 16 * MIB
  validateInteger(action, 'ioMemoryBytes', memoryBytes, { min: 64 * 1024, max: 2 ** 30 })
  const memoryBytesMax = options.ioMemoryBytesMax ?? 1024 * MIB
  const min = nextPowerOfTwo(memoryBytes)
  validateInteger(action, 'ioMemoryBytesMax', memoryBytesMax, { min, max: 2 ** 40 })
  const sliceMs = options.preemptTimerMs ?? 10
  if (!(sliceMs > 0 && sliceMs <= 60_000)) {
    throw new RangeError(
      `Cannot ${action} as preemptTimerMs must be above 0 and at most 60000: current value is ${sliceMs}`,
    )
  }
  const spin = checkSpin(action, options)
  const sliceNs = sliceMs * NS_PER_MS
  const stalls = options.detectStalls ?? null
  const measuresGc = options.measureGc ?? false
  validateBoolean(action, 'measureGc', measuresGc)
  const kernel = options.kernel ?? new UringKernel()
  return {
    name,
    kernel,
    ringEntryCount: nextPowerOfTwo(ringDepth),
    memoryBytes: nextPowerOfTwo(memoryBytes),
    memoryBytesMax,
    sliceNs,
    host: validateHostOptions(action, options.host ?? {}),
    spin,
    stalls: stalls === null ? null : validateStallOptions(stalls, sliceNs),
    measuresGc: measuresGc && kernel.name !== 'sim',
    ioProperties: loadIoProperties(kernel, options.ioProperties),
  }
}

function checkSpin(
  action: string,
  { spinBeforeParkUs = 0, spinUntilQuietUs = 0 }: ExecutorOptions,
): SpinLimits {
  const isForATime = spinBeforeParkUs >= 0 && spinBeforeParkUs <= SPIN_US_MAX
  if (!isForATime && spinBeforeParkUs !== Number.POSITIVE_INFINITY) {
    throw new RangeError(
      `Cannot ${action} as spinBeforeParkUs must be from 0 to ${SPIN_US_MAX}, or Infinity: current value is ${spinBeforeParkUs}`,
    )
  }
  if (!(spinUntilQuietUs >= 0 && spinUntilQuietUs <= SPIN_US_MAX)) {
    throw new RangeError(
      `Cannot ${action} as spinUntilQuietUs must be from 0 to ${SPIN_US_MAX}: current value is ${spinUntilQuietUs}`,
    )
  }
  if (spinBeforeParkUs > 0 && spinUntilQuietUs > 0) {
    throw new RangeError(
      `Cannot ${action} as spinUntilQuietUs must be 0 where spinBeforeParkUs is not: current values are ${spinUntilQuietUs} and ${spinBeforeParkUs}`,
    )
  }
  return { forNs: spinBeforeParkUs * NS_PER_US, quietNs: spinUntilQuietUs * NS_PER_US }
}
