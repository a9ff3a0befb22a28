import { RuntimeError } from '../base/index.ts'
import type { Addon } from './addon.ts'
import {
  type Directory,
  type DirectorySlot,
  type ExecutorId,
  HEADER_USED_COUNT,
  viewSlot,
} from './directory.ts'
import { ENOMEM } from './errno.ts'
import { WORD_HOLDER } from './loop-control.ts'
import { PUBLISHED_FOLDER } from './published.ts'

/** Whether other processes of the same user see the directory. */
const PUBLISH_VARIABLE = 'PERCORE_METRICS_FILE'
const OFF = ['off', 'no', 'false', '0']

function isPublishing(value: string | undefined): boolean {
  return value === undefined || !OFF.includes(value.toLowerCase())
}

/** The directory of the process, by views of one thread. */
export class UringDirectory implements Directory {
  static #own: UringDirectory | undefined

  static ofThread(addon: Addon): UringDirectory {
    UringDirectory.#own ??= new UringDirectory(addon)
    return UringDirectory.#own
  }

  readonly #addon: Addon
  readonly #slots: DirectorySlot[] = []
  #outsiderId: ExecutorId = 0

  private constructor(addon: Addon) {
    this.#addon = addon
    // Where it can't be published it is private, which is no reason to refuse anything.
    if (isPublishing(process.env[PUBLISH_VARIABLE])) addon.directoryPublish(PUBLISHED_FOLDER)
  }

  /** @throws {RangeError | RuntimeError} as {@link slot}. */
  get usedCount(): number {
    return Atomics.load(this.slot(0).words, HEADER_USED_COUNT)
  }

  /** @throws {RangeError} where there is no memory; {@link RuntimeError} `ERR_UNSUPPORTED` where V8 takes none. */
  slot(index: number): DirectorySlot {
    let slot = this.#slots[index]
    if (slot === undefined) {
      slot = viewSlot(this.#map(index))
      this.#slots[index] = slot
    }
    return slot
  }

  wake(index: number): void {
    this.#addon.directoryWake(index)
  }

  join(): ExecutorId {
    if (this.#outsiderId > 0) return this.#outsiderId
    const index = this.#addon.directoryJoin()
    if (index < 0) return index
    this.#outsiderId = Atomics.load(this.slot(index).words, WORD_HOLDER)
    return this.#outsiderId
  }

  #map(index: number): ArrayBuffer {
    const memory = this.#addon.directorySlot(index)
    if (typeof memory !== 'number') return memory
    if (memory === -ENOMEM) {
      throw new RangeError('Cannot map the directory of executors as there must be memory left')
    }
    throw hostTakesNoMemory()
  }
}

/** The error where this host of JavaScript takes no memory from outside of its own. */
export function hostTakesNoMemory(): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    'Cannot start: this host of V8 takes no memory from outside of its own (V8 sandbox, as in Electron); run percore in Node.js',
  )
}
