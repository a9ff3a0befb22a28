import { KernelError, RuntimeError } from '../../base/index.ts'
import type { Executor } from '../../executor/index.ts'
import type { Ring } from '../../ring/index.ts'
import type { DeviceNumber } from '../values/status.ts'
import { readDeviceQueue, type TextFiles } from './device-queue.ts'

/**
 * Whether reads and writes of a direct file are polled for, rather than told of by interrupts: `'auto'` where its device has
 * queues for that, `'always'` or not at all, `'never'`.
 */
export type PollMode = 'auto' | 'never' | 'always'

/** {@link PollMode}, to check options by. */
export const POLL_MODES: readonly PollMode[] = ['auto', 'never', 'always']

/** ABI: magic numbers of file systems whose files can be polled: ext4, XFS, F2FS, zonefs, GFS2. */
const FILE_SYSTEMS: readonly number[] = [0xef53, 0x58465342, 0xf2f52010, 0x5a4f4653, 0x01161970]

/** That a file's transfers go to the ring that polls. */
export class Polling {
  readonly ring: Ring
  readonly #isRequired: boolean
  readonly #hasWrites: boolean
  readonly #refuse: () => void

  constructor(ring: Ring, traits: PollingTraits) {
    this.ring = ring
    this.#isRequired = traits.isRequired
    this.#hasWrites = traits.hasWrites
    this.#refuse = traits.refuse
  }

  /**
   * Whether a transfer for that queue is polled for. All are where the file was opened so. Else those are not whose completion
   * a running turn is to see: nobody looks for a polled one while JavaScript is busy. Nor are writes into a file system, which
   * come by interrupts all the same (all of them since Linux 6.6, before that such as extend the file): the thread
   * would stay awake for nothing.
   */
  takes(queue: { readonly isLatencySensitive: boolean }, isWrite: boolean): boolean {
    return this.#isRequired || (!queue.isLatencySensitive && (this.#hasWrites || !isWrite))
  }

  /** The device takes no polled request after all. Whether the file goes on without. */
  giveUp(): boolean {
    if (!this.#isRequired) this.#refuse()
    return !this.#isRequired
  }
}

interface PollingTraits {
  /** Whether whatever is moved has to be polled for. */
  readonly isRequired: boolean
  /** Whether writes gain by it. */
  readonly hasWrites: boolean
  /** Notes that the device takes none. */
  readonly refuse: () => void
}

/** What decides about the polling of a file. */
export interface PollableFile {
  readonly executor: Executor
  readonly fd: number
  readonly path: string
  readonly device: DeviceNumber | null
  readonly isDirect: boolean
}

/** What is known of devices, by executor: each is asked once. */
const known = new WeakMap<Executor, Map<string, string | null>>()

/**
 * How transfers of a file that was opened directly are polled for; null where they are not.
 *
 * The device is asked, not the file: a read of an empty one would succeed anywhere.
 *
 * @throws {RuntimeError} `ERR_UNSUPPORTED` if the mode is `'always'` and there is no polling; `ERR_URING_UNAVAILABLE`,
 * `ERR_MEMLOCK_LIMIT`
 */
export function choosePolling(file: PollableFile, mode: PollMode): Polling | null {
  if (mode === 'never') return null
  const { executor, fd, path, device, isDirect } = file
  const isRequired = mode === 'always'
  const refuse = (reason: string): null => {
    if (!isRequired) return null
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot open '${path}' with poll: 'always' as ${reason}; use poll: 'auto'`,
    )
  }
  if (!isDirect) return refuse('its I/O must be direct: it goes through the page cache')
  if (device === null) return refuse('it must be a file or a block device: it is neither')
  const devices = known.get(executor) ?? new Map<string, string | null>()
  known.set(executor, devices)
  const key = `${device.major}:${device.minor}`
  const remembered = devices.get(key)
  const isAsked = isRequired || remembered === undefined
  const obstacle = isAsked ? findObstacle(executor.kernel, device) : remembered
  // What the device has refused, whatever /sys says, others are not to try again.
  if (typeof remembered !== 'string') devices.set(key, obstacle)
  if (obstacle !== null) return refuse(obstacle)
  // Only now, and per file: on one device there may be several file systems.
  if (!device.isWhole && !FILE_SYSTEMS.includes(executor.kernel.fileSystemOf(fd))) {
    return refuse('its file system must be able to poll: ext4, XFS, F2FS, zonefs and GFS2 are')
  }
  const ring = isRequired ? executor.io.pollRing() : tryPollRing(executor)
  if (ring === null) return null
  return new Polling(ring, {
    isRequired,
    hasWrites: device.isWhole,
    refuse: () => devices.set(key, 'its device must take polled requests: it has refused one'),
  })
}

/** Null where this kernel, or its memory, has no such ring. */
function tryPollRing({ io }: Executor): Ring | null {
  try {
    return io.pollRing()
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'ERR_EXECUTOR_CLOSED') throw error
    if (error instanceof RuntimeError || error instanceof KernelError) return null
    throw error
  }
}

/** Why a device has no polling, as an error says it, or null if it has. Blocks, for a small file of /sys. */
export function findObstacle(
  kernel: TextFiles,
  { major, minor }: Pick<DeviceNumber, 'major' | 'minor'>,
): string | null {
  const text = readDeviceQueue(kernel, { major, minor }, 'io_poll')
  if (text === '1') return null
  if (text === null) {
    return `its device must be known to have queues to poll: /sys says nothing of ${major}:${minor}`
  }
  return `its device ${major}:${minor} must have queues to poll: it has none (for NVMe: nvme.poll_queues)`
}
