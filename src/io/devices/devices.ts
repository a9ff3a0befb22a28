import type { Executor } from '../../executor/index.ts'
import type { DeviceNumbers, TextFiles } from './device-queue.ts'
import { DEVICE_WORDS, shareWords } from './device-share.ts'
import { Dispatcher } from './dispatcher.ts'

const MINOR_BITS = 20

/**
 * Which disk a device is a part of, itself if of none: a partition has a number of its own, but no time of its own. Asks sysfs,
 * which blocks for some microseconds.
 */
export function diskOf(kernel: TextFiles, device: DeviceNumbers): DeviceNumbers {
  const folder = `/sys/dev/block/${device.major}:${device.minor}`
  if (typeof kernel.readTextFile(`${folder}/partition`) !== 'string') return device
  const text = kernel.readTextFile(`${folder}/../dev`)
  const match = typeof text === 'string' ? /^(\d+):(\d+)\s*$/.exec(text) : null
  return match === null ? device : { major: Number(match[1]), minor: Number(match[2]) }
}

/** The dispatchers of one executor, one for each device that it has opened files of. */
export class Devices {
  /** For descriptors whose device is not known yet. */
  readonly unknown: Dispatcher
  readonly #executor: Executor
  readonly #byNumber = new Map<number, Dispatcher>()
  readonly #byDisk = new Map<number, Dispatcher>()

  constructor(executor: Executor) {
    this.#executor = executor
    this.unknown = new Dispatcher(executor, { limits: null, words: shareNothing() })
  }

  /** The dispatcher of the disk that a device is, or is a part of; found out once, where disks have properties. */
  dispatcherOf(device: DeviceNumbers): Dispatcher {
    const number = numberOf(device)
    const known = this.#byNumber.get(number)
    if (known !== undefined) return known
    const { kernel, ioProperties } = this.#executor
    // Without properties nothing depends on which disk it is, and no file is to wait for sysfs.
    const disk = ioProperties.length === 0 ? device : diskOf(kernel, device)
    const dispatcher = this.#byDisk.get(numberOf(disk)) ?? this.#create(disk)
    this.#byNumber.set(number, dispatcher)
    return dispatcher
  }

  #create(disk: DeviceNumbers): Dispatcher {
    const { kernel, ioProperties } = this.#executor
    const name = `${disk.major}:${disk.minor}`
    const limits = ioProperties.find(({ device }) => device === name) ?? null
    // No other device has it: neither number is above 2^11 and 2^20.
    const key = numberOf(disk) + 1
    const { memory } = kernel.directory.slot(0)
    const words = limits === null || key >= 2 ** 31 ? shareNothing() : shareWords(memory, key)
    const dispatcher = new Dispatcher(this.#executor, { limits, words })
    this.#byDisk.set(numberOf(disk), dispatcher)
    return dispatcher
  }
}

const devices = new WeakMap<Executor, Devices>()

/** Those of an executor. */
export function devicesOf(executor: Executor): Devices {
  let own = devices.get(executor)
  if (own === undefined) {
    own = new Devices(executor)
    devices.set(executor, own)
  }
  return own
}

function numberOf({ major, minor }: DeviceNumbers): number {
  return major * 2 ** MINOR_BITS + minor
}

function shareNothing(): Int32Array {
  return new Int32Array(DEVICE_WORDS)
}
