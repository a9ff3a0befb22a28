import { Worker } from 'node:worker_threads'
import {
  type Directory,
  type ExecutorId,
  HEADER_WATCHDOG,
  hasEnded,
  slotOf,
  WATCHDOG_FAILED,
  WORD_THREAD,
} from '../kernel/index.ts'
import type { DoorbellPort } from '../reactor/index.ts'
import { LOOK, type WatchdogData, type WatchdogMessage } from './stall-report.ts'

const NOBODY = 0
const MAIN_THREAD = 0

/** Whom a {@link StallGuard} acts for. */
export interface GuardParts {
  readonly directory: Directory
  readonly doorbell: DoorbellPort
  readonly id: ExecutorId
  /** Node's number of this thread. */
  readonly threadNumber: number
}

/** The watchdog that this thread has started, if any. */
let started: Worker | null = null

/**
 * Sees to it, for one executor, that the process has a watchdog.
 *
 * The directory's header names the executor on whose thread it was started, with which it ends. Each executor that is
 * watched knows of one, and hears of its end; and looks once a turn whether it is still that one. So whoever is first
 * to run after the watchdog has ended starts the next. The main thread takes it over, as that ends last.
 *
 * Whoever is watched says so in its slot before it looks at the header; the watchdog gives the header back before it looks
 * through the slots for the last time. One of the two sees the other.
 */
export class StallGuard {
  readonly #parts: GuardParts
  readonly #header: Int32Array
  /** On whose thread the watchdog runs, as far as is known. */
  #owner: ExecutorId = NOBODY
  #unwatch: (() => void) | null = null

  constructor(parts: GuardParts) {
    this.#parts = parts
    this.#header = parts.directory.slot(0).words
  }

  /** The executor is watched from now on: another attempt where the watchdog has failed before. */
  begin(): void {
    // ORDER: an exchange, as no load would be: what was said in the slot is there before.
    Atomics.compareExchange(this.#header, HEADER_WATCHDOG, WATCHDOG_FAILED, NOBODY)
    this.#engage()
  }

  /** Looks whether the watchdog is the one that is known; once a turn. */
  check(): void {
    if (this.#header[5 /* HEADER_WATCHDOG */] !== this.#owner) this.#engage()
  }

  /** The executor is no longer watched. */
  end(): void {
    this.#unwatch?.()
    this.#unwatch = null
    started?.postMessage(LOOK satisfies WatchdogMessage)
  }

  #engage(): void {
    const { id, doorbell } = this.#parts
    this.#unwatch?.()
    this.#unwatch = null
    for (;;) {
      const owner = Atomics.load(this.#header, HEADER_WATCHDOG)
      this.#owner = owner
      if (owner === id || owner === WATCHDOG_FAILED) return
      if (!this.#isToReplace(owner)) {
        this.#unwatch = doorbell.onPeerEnded(owner, () => this.#engage())
        return
      }
      if (Atomics.compareExchange(this.#header, HEADER_WATCHDOG, owner, id) !== owner) continue
      this.#owner = id
      started = startWatchdog(id, this.#header)
      return
    }
  }

  #isToReplace(owner: ExecutorId): boolean {
    const { directory, threadNumber } = this.#parts
    if (owner === NOBODY || hasEnded(directory, owner)) return true
    // Where it ends just now the word may be another's, and this thread then takes over or hears of the end.
    const ownersThread = directory.slot(slotOf(owner)).words[WORD_THREAD]
    return threadNumber === MAIN_THREAD && ownersThread !== MAIN_THREAD
  }
}

function startWatchdog(ownerId: ExecutorId, header: Int32Array): Worker {
  // Neither preloaded modules nor flags of the program are meant for it.
  const watchdog = new Worker(new URL('./stall-watchdog.js', import.meta.url), {
    name: 'percore-stall-watchdog',
    workerData: { ownerId } satisfies WatchdogData,
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
  })
  watchdog.on('error', (error) => {
    Atomics.compareExchange(header, HEADER_WATCHDOG, ownerId, WATCHDOG_FAILED)
    process.emitWarning(`Stalls are no longer detected as the watchdog failed: ${error.message}`)
  })
  watchdog.on('exit', () => {
    if (started === watchdog) started = null
  })
  watchdog.unref()
  return watchdog
}
