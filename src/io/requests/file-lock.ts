import { optionNames, showAs, validateBoolean, validateOptions } from '../../base/index.ts'
import { checkCancellation, Deadline, type WaitOptions } from '../../executor/index.ts'
import { EAGAIN, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN } from '../../kernel/index.ts'
import { sleep } from '../../time/index.ts'
import { type AsideCall, callAside, callShielded } from './aside.ts'
import type { Descriptor } from './descriptor.ts'

/** How a file is locked. */
export interface LockOptions extends WaitOptions {
  /** Whether others may have it locked so as well; false if not given: nobody else then has a lock. */
  readonly shared?: boolean | undefined
}

const NAMES = optionNames<LockOptions>({ shared: true, signal: true, timeoutMs: true })
const ACTION = 'lock a file'
/** How long to wait between two attempts: at first, and at most. */
const PAUSE_MS_MIN = 1
const PAUSE_MS_MAX = 50
const DESCRIPTORS_MAX_FIRST = 8

/**
 * The lock that one open file has, for all tasks: the kernel would take a second one for a change of the first. It is that of
 * all its descriptors, and goes with the last of them.
 */
export class FileLocks {
  readonly #descriptors = new Set<Descriptor>()
  /** How many there may be before closed ones are dropped. */
  #descriptorsMax = DESCRIPTORS_MAX_FIRST
  #mode: 'shared' | 'exclusive' | null = null
  #holderCount = 0
  /** Whether a call is under way that changes the mode. */
  #isChanging = false

  constructor(descriptor: Descriptor) {
    this.#descriptors.add(descriptor)
  }

  /** The same locks, for one more descriptor of the open file. */
  sharedBy(descriptor: Descriptor): this {
    const descriptors = this.#descriptors
    if (descriptors.size >= this.#descriptorsMax) {
      for (const other of descriptors) if (other.fd === -1) descriptors.delete(other)
      this.#descriptorsMax = Math.max(DESCRIPTORS_MAX_FIRST, descriptors.size * 2)
    }
    descriptors.add(descriptor)
    return this
  }

  /** Whether the kernel's lock can be there still. */
  get isOpen(): boolean {
    return this.#findOpen() !== null
  }

  /** Tries once; null if somebody has a lock that excludes it. */
  async try(descriptor: Descriptor, options: LockOptions): Promise<FileLock | null> {
    const { isShared, steps } = check(descriptor, options)
    const refusal = descriptor.refusal(ACTION)
    if (refusal !== null) return refusal
    return this.#attempt(descriptor, isShared, steps)
  }

  /** Tries again and again: a thread that waited in the kernel could not be cancelled. */
  async take(descriptor: Descriptor, options: LockOptions): Promise<FileLock> {
    const { isShared, steps } = check(descriptor, options)
    const { signal } = options
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)) {
      const refusal = descriptor.refusal(ACTION)
      if (refusal !== null) return refusal
      const lock = await this.#attempt(descriptor, isShared, steps)
      if (lock !== null) return lock
      const leftMs = steps.next()?.timeoutMs ?? Infinity
      await sleep(Math.min(pauseMs, leftMs), { signal })
    }
  }

  async #attempt(
    descriptor: Descriptor,
    isShared: boolean,
    steps: Deadline,
  ): Promise<FileLock | null> {
    checkCancellation(descriptor.executor, steps.next(), ACTION)
    if (this.#isChanging) return null
    if (this.#mode !== null) {
      if (!isShared || this.#mode !== 'shared') return null
      this.#holderCount++
      return new FileLock(this, 'shared')
    }
    this.#isChanging = true
    try {
      const operation = (isShared ? LOCK_SH : LOCK_EX) | LOCK_NB
      await callAside(descriptor, callOf(descriptor, operation), steps.next())
      this.#mode = isShared ? 'shared' : 'exclusive'
      this.#holderCount = 1
      return new FileLock(this, this.#mode)
    } catch (error) {
      if ((error as { errno?: number }).errno !== -EAGAIN) throw error
      return null
    } finally {
      this.#isChanging = false
    }
  }

  /** @internal */
  async release(): Promise<void> {
    if (--this.#holderCount > 0) return
    this.#isChanging = true
    try {
      // Whichever it is, as the lock is that of all. Where all are closed the kernel has let it go.
      const descriptor = this.#findOpen()
      if (descriptor !== null) await callShielded(descriptor, callOf(descriptor, LOCK_UN))
    } finally {
      this.#mode = null
      this.#isChanging = false
    }
  }

  #findOpen(): Descriptor | null {
    for (const descriptor of this.#descriptors) {
      if (!descriptor.isClosed) return descriptor
      // One that is leaving for another thread may yet stay.
      if (descriptor.fd === -1) this.#descriptors.delete(descriptor)
    }
    return null
  }
}

function check(
  { executor }: Descriptor,
  options: LockOptions,
): { readonly isShared: boolean; readonly steps: Deadline } {
  validateOptions(ACTION, options, NAMES)
  const { shared = false, signal, timeoutMs } = options
  validateBoolean(ACTION, 'shared', shared)
  return { isShared: shared, steps: new Deadline(executor, ACTION, { signal, timeoutMs }) }
}

function callOf({ executor }: Descriptor, operation: number): AsideCall {
  const { aside } = executor.kernel
  const begin: AsideCall['begin'] = (fd, done) => aside.lock(fd, operation, done)
  return { action: ACTION, syscall: 'flock', begin }
}

/** A lock on a file; released by {@link release}, by its disposal, or with the last of the file and its `dup()`s. */
export class FileLock implements AsyncDisposable {
  static {
    showAs(FileLock, (lock) => `FileLock ${lock.mode} ${lock.isHeld ? 'held' : 'released'}`)
  }

  readonly mode: 'shared' | 'exclusive'
  readonly #locks: FileLocks
  #releasing: Promise<void> | null = null

  /** @internal */
  constructor(locks: FileLocks, mode: 'shared' | 'exclusive') {
    this.#locks = locks
    this.mode = mode
  }

  /** Whether it excludes others still. */
  get isHeld(): boolean {
    return this.#releasing === null && this.#locks.isOpen
  }

  /** Lets others have the file, and resolves once they may. Again waits for the same. It can't be cancelled. */
  release(): Promise<void> {
    this.#releasing ??= this.#locks.release()
    return this.#releasing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}
