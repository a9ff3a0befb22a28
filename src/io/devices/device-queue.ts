import { isPowerOfTwo } from '../../base/index.ts'

/** What reads small text files; see `Kernel.readTextFile()`. */
export interface TextFiles {
  readTextFile(path: string): string | number
}

/** A block device by its numbers. */
export interface DeviceNumbers {
  readonly major: number
  readonly minor: number
}

/** ABI: SECTOR_SIZE of linux/blkdev.h, below which no device has blocks. */
const BLOCK_BYTES_MIN = 512
/** Nor has any larger ones: beyond it the kernel's answer is not understood. */
const BLOCK_BYTES_MAX: number = 1024 * 1024

/**
 * What sysfs says of the queue of a block device, or null where it says nothing. Blocks, for a small file.
 *
 * A partition has the queue of its disk, in whose folder it lies; a mapped device has one of its own, which tells of all below it.
 */
export function readDeviceQueue(
  files: TextFiles,
  { major, minor }: DeviceNumbers,
  name: string,
): string | null {
  const folder = `/sys/dev/block/${major}:${minor}`
  for (const path of [`${folder}/queue/${name}`, `${folder}/../queue/${name}`]) {
    const text = files.readTextFile(path)
    if (typeof text === 'string') return text.trim()
  }
  return null
}

/**
 * What direct I/O on a device must be aligned to, positions as well as memory: its logical blocks. Null where that is not known, as
 * of what has no block device of its own: overlays, btrfs, files of a network.
 */
export function readBlockBytes(files: TextFiles, device: DeviceNumbers): number | null {
  const text = readDeviceQueue(files, device, 'logical_block_size')
  const blockBytes = text === null || !/^\d+$/.test(text) ? 0 : Number(text)
  const isSound = blockBytes >= BLOCK_BYTES_MIN && blockBytes <= BLOCK_BYTES_MAX
  return isSound && isPowerOfTwo(blockBytes) ? blockBytes : null
}
