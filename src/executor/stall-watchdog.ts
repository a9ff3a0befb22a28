/**
 * The watchdog of one executor: a thread that looks whether the executor's turns end.
 *
 * It reads the control block and, but for the moment in which a stack is taken, touches nothing of the
 * thread that it watches.
 */
import { writeSync } from 'node:fs'
import type { Session } from 'node:inspector'
import { parentPort, workerData } from 'node:worker_threads'
import { NS_PER_MS } from '../base/index.ts'
import {
  currentKernel,
  DOUBLE_NOW_NS,
  hasEnded,
  slotOf,
  WORD_QUEUE,
  WORD_STALL_REPORTED,
  WORD_TURN_SEQUENCE,
} from '../kernel/index.ts'
import {
  CAPTURE_KEY,
  END,
  formatStall,
  NO_STACK_YET,
  type QueueName,
  type WatchdogData,
  type WatchdogMessage,
} from './stall-report.ts'

const STDERR = 2
/** How long after its budget a turn counts as one that may never end. */
const PATIENCE_MS = 1000
const POLL_MS_MAX = 100

// Some builds of Node have none; the reports then are without a stack.
const inspector = await import('node:inspector').catch(() => null)
const data = workerData as WatchdogData
const { directory } = currentKernel()
const { words, doubles } = directory.slot(slotOf(data.executorId))
const names = new Map<number, string>()
// Twice per budget, so that no turn that is over it goes unseen.
const pollMs = Math.max(1, Math.min(POLL_MS_MAX, data.budgetMs / 2))

/** The turn seen last, and the stalled one. */
let seen = 0
let stalled = 0
let queue = -1
let stack = NO_STACK_YET
/** The last turn whose report was written here. */
let written = 0
let session: Session | null = null

for (const name of data.queues) learnName(name)
// It also keeps this thread alive, until the executor's ends or no longer needs it.
let timer: NodeJS.Timeout | undefined
parentPort!.on('message', (message: WatchdogMessage) => {
  if (message === END) end()
  else learnName(message)
})
look()

function learnName({ number, name }: QueueName): void {
  if (name === null) names.delete(number)
  else names.set(number, name)
}

function look(): void {
  // Its slot may be another's.
  if (hasEnded(directory, data.executorId)) return
  timer = setTimeout(look, observe())
}

/** Leaves nothing to wait for: the thread ends. */
function end(): void {
  clearTimeout(timer)
  endCapture()
  parentPort!.close()
}

/** Looks once; returns when to look again, in milliseconds. */
function observe(): number {
  // ORDER: the hook writes the time before the sequence. What a reader on another thread sees may
  // lag all the same, hence no judgement on a turn at its first sight.
  const sequence = Atomics.load(words, WORD_TURN_SEQUENCE)
  if (sequence !== stalled) endCapture()
  if (sequence % 2 === 0) return pollMs
  const overdueMs = (nowNs() - doubles[DOUBLE_NOW_NS]!) / NS_PER_MS - data.budgetMs
  if (sequence === stalled) {
    if (overdueMs >= PATIENCE_MS) writeOnce(sequence, overdueMs + data.budgetMs)
    return pollMs
  }
  const isFirstSight = sequence !== seen
  seen = sequence
  if (isFirstSight || overdueMs < 0) return Math.max(1, Math.min(pollMs, Math.ceil(-overdueMs)))
  stalled = sequence
  queue = words[WORD_QUEUE]!
  if (queue >= 0) report(sequence)
  return pollMs
}

function report(sequence: number): void {
  stack = NO_STACK_YET
  try {
    capture(sequence)
  } catch (error) {
    stack = `(no stack: ${(error as Error).message})`
  }
  parentPort!.postMessage(null)
}

/** Writes the report of a turn that may never end, unless its thread reports it just now. */
function writeOnce(sequence: number, durationMs: number): void {
  // ORDER: the thread that exchanges first reports to standard error; paired with the executor's.
  if (queue < 0 || Atomics.exchange(words, WORD_STALL_REPORTED, sequence) === sequence) return
  written = sequence
  write(durationMs)
}

function write(durationMs: number): void {
  const stall = {
    executor: data.executor,
    queue: names.get(queue) ?? `number ${queue}`,
    durationMs,
    budgetMs: data.budgetMs,
    stack,
    ongoing: true,
    isWritten: true,
  }
  try {
    writeSync(STDERR, formatStall(stall))
  } catch {
    // Standard error is closed or full: nobody reads it.
  }
}

function endCapture(): void {
  if (session === null) return
  session.disconnect()
  session = null
  Atomics.store(data.capturing, 0, 0)
  Atomics.notify(data.capturing, 0)
}

/** Has the stuck thread take its stack. Answered soon, or once a native call has returned. */
function capture(sequence: number): void {
  endCapture()
  if (inspector === null) throw new Error('this Node has no inspector')
  // Connected no longer than needed: a process that exits would wait for it, and say so.
  const opened = new inspector.Session()
  opened.connectToMainThread()
  session = opened
  Atomics.store(data.capturing, 0, 1)
  const keep = (answer: Evaluation | undefined): void => {
    const text = answer?.result?.value
    if (typeof text === 'string') {
      stack = text
      // A busy machine may answer after the report was due: it is written again, with the stack.
      if (written === sequence) write((nowNs() - doubles[DOUBLE_NOW_NS]!) / NS_PER_MS)
    }
    if (session === opened) endCapture()
  }
  const request = {
    expression: `globalThis[Symbol.for(${JSON.stringify(CAPTURE_KEY)})]?.(${sequence})`,
    returnByValue: true,
    silent: true,
  }
  if (data.threadId === 0) {
    opened.post('Runtime.evaluate', request, (_, answer) => keep(answer as Evaluation | undefined))
  } else {
    evaluateInWorker(opened, request, keep)
  }
}

interface Evaluation {
  readonly result?: { readonly value?: unknown }
}

/** Goes through the main thread, which hands on messages even while it is busy. */
function evaluateInWorker(
  opened: Session,
  params: object,
  keep: (answer: Evaluation | undefined) => void,
): void {
  const title = `[worker ${data.threadId}]`
  opened.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
    if (!workerInfo.title.startsWith(title)) return
    const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params })
    opened.post('NodeWorker.sendMessageToWorker', { sessionId, message })
  })
  opened.on('NodeWorker.receivedMessageFromWorker', ({ params: { message } }) => {
    const answer = JSON.parse(message) as { id?: number; result?: Evaluation }
    if (answer.id === 1) keep(answer.result)
  })
  opened.post('NodeWorker.enable', { waitForDebuggerOnStart: false })
}

/** The clock of the loop hook: both are CLOCK_MONOTONIC. */
function nowNs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e9 + nanoseconds
}
