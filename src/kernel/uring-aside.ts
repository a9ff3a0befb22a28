import type { Addon } from './addon.ts'
import type { AsideCalls, CallDone, CopyRangeArgs } from './kernel.ts'

/** What native/aside.c does. */
export class UringAside implements AsideCalls {
  readonly #addon: Addon

  constructor(addon: Addon) {
    this.#addon = addon
  }

  readDirectory(fd: number, target: Uint8Array, done: CallDone): number {
    return this.#addon.asideReadDirectory(fd, target, done)
  }

  readLink(fd: number, target: Uint8Array, done: CallDone): number {
    return this.#addon.asideReadLink(fd, target, done)
  }

  copyRange(args: CopyRangeArgs, done: CallDone): number {
    const { fromFd, fromBytes, toFd, toBytes, lengthBytes } = args
    return this.#addon.asideCopyRange(fromFd, fromBytes, toFd, toBytes, lengthBytes, done)
  }

  lock(fd: number, operation: number, done: CallDone): number {
    return this.#addon.asideLock(fd, operation, done)
  }

  changeMode(fd: number, mode: number, done: CallDone): number {
    return this.#addon.asideChangeMode(fd, mode, done)
  }

  changeOwner(fd: number, userId: number, groupId: number, done: CallDone): number {
    return this.#addon.asideChangeOwner(fd, userId, groupId, done)
  }

  hintExtent(fd: number, sizeBytes: number, done: CallDone): number {
    return this.#addon.asideHintExtent(fd, sizeBytes, done)
  }
}
