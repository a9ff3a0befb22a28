import { threadId } from 'node:worker_threads'
import {
  assert,
  NS_PER_MS,
  optionNames,
  Runnable,
  RuntimeError,
  validateDurationMs,
  validateFunction,
  validateOptions,
} from '../base/index.ts'
import {
  type Directory,
  DOUBLE_NOW_NS,
  DOUBLE_STALL_BUDGET_NS,
  type ExecutorId,
  HEADER_CAPTURING,
  type LoopControl,
  WORD_STALL_REPORTED,
  WORD_THREAD,
  WORD_TURN_SEQUENCE,
} from '../kernel/index.ts'
import type { DoorbellPort } from '../reactor/index.ts'
import { StallGuard } from './stall-guard.ts'
import {
  CAPTURE_KEY,
  formatStall,
  NO_STACK,
  type Stall,
  type StallOptions,
} from './stall-report.ts'
import type { TaskQueue } from './task-queue.ts'

const ACTION = 'detect stalls'
const BUDGET_MS_MIN = 1
/** What a turn may take beyond its slice. */
const THRESHOLD_MS = 10
const FRAMES_MAX = 64
const DISCONNECT_MS_MAX = 50

const NAMES = optionNames<StallOptions>({ budgetMs: true, onStall: true })

/** Stall options that are known to be good. */
export interface CheckedStallOptions {
  readonly budgetMs: number
  readonly onStall: (stall: Stall) => void
}

/** @throws {TypeError | RangeError} for anything but {@link StallOptions}. */
export function validateStallOptions(options: StallOptions, sliceNs: number): CheckedStallOptions {
  validateOptions(ACTION, options, NAMES, 'detectStalls')
  const { budgetMs = sliceNs / NS_PER_MS + THRESHOLD_MS, onStall = writeStall } = options
  validateDurationMs(ACTION, 'budgetMs', budgetMs)
  if (budgetMs < BUDGET_MS_MIN) {
    throw new RangeError(
      `Cannot ${ACTION} as budgetMs must be at least ${BUDGET_MS_MIN}: current value is ${budgetMs}`,
    )
  }
  validateFunction(ACTION, 'onStall', onStall)
  return { budgetMs, onStall }
}

/** {@link StallOptions}, checked, and the block in which the hook counts turns. */
interface StallDetectorOptions extends CheckedStallOptions {
  readonly reactor: {
    readonly control: LoopControl
    readonly host: { readonly id: ExecutorId }
    readonly doorbell: DoorbellPort
    readonly kernel: { readonly directory: Directory }
  }
}

/** The executor whose turns are watched. */
export interface StallSubject {
  readonly name: string
  readonly defaultQueue: TaskQueue
  readonly kernel: { readonly name: string }
  /** The queue whose turn has not been charged yet, or null. */
  readonly runningQueue: TaskQueue | null
  taskQueues(): TaskQueue[]
  /** Charges the last turn now, which is over, rather than with the next one. */
  settleTurn(): void
  nowNs(): number
}

/**
 * Reports turns that take longer than they may, once each.
 *
 * A turn that ends is measured by the thread itself, as it is for the shares anyway. The watchdog of the process, a
 * thread, sees from the control block that a turn is over its budget while it runs, and has the stuck thread
 * take its own stack: V8 runs what the inspector asks for at the next loop or call, whatever
 * JavaScript is doing. Nothing is paused, and no debugger is enabled. The watchdog also writes the
 * report of a turn that does not come back.
 *
 * Source: glommio's stall detector, which tells of a stuck task once it is no longer stuck.
 */
export class StallDetector {
  readonly #subject: StallSubject
  readonly #budgetMs: number
  readonly #onStall: (stall: Stall) => void
  readonly #control: LoopControl
  readonly #words: Int32Array
  readonly #header: Int32Array
  readonly #guard: StallGuard
  /** Reports whose turn is still to come. */
  readonly #reports = new Set<Report>()
  #stack = ''
  #stackSequence = 0
  // Those of the turn before: it is reported as the next one begins, which may be stuck by then.
  #lastStack = ''
  #lastStackSequence = 0

  /** @throws {RuntimeError} `ERR_UNSUPPORTED` on a simulated kernel, whose clock is not the watchdog's. */
  constructor(subject: StallSubject, options: StallDetectorOptions) {
    const { reactor, budgetMs, onStall } = options
    if (subject.kernel.name === 'sim') {
      throw new RuntimeError(
        'ERR_UNSUPPORTED',
        `Cannot ${ACTION} as the kernel must be a real one: time is simulated here`,
      )
    }
    this.#subject = subject
    this.#budgetMs = budgetMs
    this.#onStall = onStall
    this.#control = reactor.control
    this.#words = reactor.control.words
    const { directory } = reactor.kernel
    this.#header = directory.slot(0).words
    this.#words[WORD_THREAD] = threadId
    this.#control.doubles[DOUBLE_STALL_BUDGET_NS] = budgetMs * NS_PER_MS
    const { doorbell } = reactor
    this.#guard = new StallGuard({
      directory,
      doorbell,
      id: reactor.host.id,
      threadNumber: threadId,
    })
    this.#guard.begin()
    // A property of its global is all that can be named from outside of a thread.
    Object.defineProperty(globalThis, Symbol.for(CAPTURE_KEY), {
      value: this.#capture,
      configurable: true,
    })
    process.on('exit', this.#onExit)
  }

  /** Ends it; reports on their way still arrive. */
  stop(): void {
    const budgetNs = this.#control.doubles[DOUBLE_STALL_BUDGET_NS]!
    assert(budgetNs > 0, 'an executor is watched until that is stopped')
    process.off('exit', this.#onExit)
    Reflect.deleteProperty(globalThis, Symbol.for(CAPTURE_KEY))
    this.#control.doubles[DOUBLE_STALL_BUDGET_NS] = 0
    this.#guard.end()
  }

  beginTurn(): void {
    this.#guard.check()
  }

  /** The turn numbered `sequence` has ended. */
  endTurn(queue: TaskQueue, sequence: number, elapsedNs: number): void {
    if (elapsedNs <= this.#budgetMs * NS_PER_MS) return
    const stall = this.#describe(queue.name, sequence, elapsedNs, false)
    const report = new Report(this.#subject.defaultQueue, () => this.#deliver(report, stall))
    this.#reports.add(report)
    report.home.push(report)
  }

  #deliver(report: Report, stall: Stall): void {
    // At exit all are delivered at once.
    if (!this.#reports.delete(report)) return
    try {
      this.#onStall(stall)
    } catch (error) {
      // A turn has no business with it: an exception of nobody's, as one in a listener.
      queueMicrotask(() => {
        throw error
      })
    }
  }

  #describe(queue: string, sequence: number, elapsedNs: number, ongoing: boolean): Stall {
    // ORDER: the thread that exchanges first reports to standard error; paired with the watchdog's.
    const isWritten = Atomics.exchange(this.#words, WORD_STALL_REPORTED, sequence) === sequence
    return {
      executor: this.#subject.name,
      queue,
      durationMs: elapsedNs / NS_PER_MS,
      budgetMs: this.#budgetMs,
      stack: this.#stackOf(sequence),
      ongoing,
      isWritten,
    }
  }

  #stackOf(sequence: number): string {
    if (this.#stackSequence === sequence) return this.#stack
    return this.#lastStackSequence === sequence ? this.#lastStack : NO_STACK
  }

  /**
   * Takes the stack of the turn numbered `sequence`, if it has not ended. The watchdog has this thread
   * call it between any two instructions, so that it may touch nothing but the fields of stacks.
   */
  readonly #capture = (sequence: number): string | null => {
    if (this.#words[WORD_TURN_SEQUENCE] !== sequence) return null
    if (this.#stackSequence !== sequence) {
      this.#lastStack = this.#stack
      this.#lastStackSequence = this.#stackSequence
    }
    this.#stack = takeStack(this.#capture)
    this.#stackSequence = sequence
    return this.#stack
  }

  readonly #onExit = (): void => {
    this.#awaitCapture()
    const { doubles } = this.#control
    const sequence = this.#words[WORD_TURN_SEQUENCE]!
    if (sequence % 2 === 0) this.#subject.settleTurn()
    for (const report of this.#reports) report.run()
    if (sequence % 2 === 0) return
    const elapsedNs = this.#subject.nowNs() - doubles[DOUBLE_NOW_NS]!
    const queue = this.#subject.runningQueue
    if (queue === null || elapsedNs <= this.#budgetMs * NS_PER_MS) return
    this.#onStall(this.#describe(queue.name, sequence, elapsedNs, true))
  }

  /** Node writes to standard error that it waits for a debugger, if one is connected at its end. */
  #awaitCapture(): void {
    const cell = new Int32Array(new SharedArrayBuffer(4))
    for (let ms = 0; ms < DISCONNECT_MS_MAX; ms++) {
      if (Atomics.load(this.#header, HEADER_CAPTURING) <= 0) return
      Atomics.wait(cell, 0, 0, 1)
    }
  }
}

/** Calls the handler: user code, hence a runnable of its own. */
class Report extends Runnable {
  readonly #deliver: () => void

  constructor(home: TaskQueue, deliver: () => void) {
    super(home, true)
    this.#deliver = deliver
  }

  override run(): void {
    this.#deliver()
  }
}

function writeStall(stall: Stall): void {
  if (!stall.isWritten) process.stderr.write(formatStall(stall))
}

function takeStack(above: (sequence: number) => string | null): string {
  const { stackTraceLimit } = Error
  const holder: { stack?: unknown } = {}
  try {
    Error.stackTraceLimit = FRAMES_MAX
    Error.captureStackTrace(holder, above)
    // The first line is the message, the next what the inspector evaluates.
    const lines = String(holder.stack).split('\n').slice(1)
    if (/at <anonymous>(?::1:\d+)?$/.test(lines[0] ?? '')) lines.shift()
    return lines.join('\n')
  } catch (error) {
    return `(no stack: ${String(error)})`
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
