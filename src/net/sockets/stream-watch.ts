import {
  NO_QUEUE,
  NS_PER_MS,
  optionNames,
  RuntimeError,
  validateDurationMs,
  validateOptions,
} from '../../base/index.ts'
import { Timer, type TimerPort } from '../../reactor/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import type { Receiver } from '../receiving/receiver.ts'
import type { Sender } from '../sending/sender.ts'

/** For how long a stream may be without progress, in milliseconds; null for as long as it takes, as streams are made. */
export interface StreamTimeouts {
  /** How long a read, a step of an iteration or a consumer waits for data. */
  readonly readMs?: number | null
  /** How long writes wait while the peer takes nothing. */
  readonly writeMs?: number | null
  /** How long no byte may go in either direction. */
  readonly idleMs?: number | null
}

const NAMES = optionNames<StreamTimeouts>({ readMs: true, writeMs: true, idleMs: true })
const ACTION = 'set timeouts'
/** What is watched by counts of bytes is looked at so often within its limit. */
const LOOKS = 4

/** Of a wait that ends with the first byte: there is nothing to count. */
const NO_COUNT = 0

/** The socket that is watched. */
export interface WatchedSocket {
  readonly net: NetRing
  readonly receiver: Receiver | null
  readonly sender: Sender | null
  readonly bytesRead: number
  readonly bytesWritten: number
  breakOff(reason: RuntimeError): void
}

/** One limit, and since when there was no progress, as a count says. */
class Limit {
  limitNs = Number.POSITIVE_INFINITY
  sinceNs = 0
  count = 0

  begin(nowNs: number, count: number): void {
    this.sinceNs = nowNs
    this.count = count
  }

  /** In how many nanoseconds to look again; 0 if it is over, and then it begins anew for what waits after that. */
  look(nowNs: number, count: number): number {
    if (count !== this.count) this.begin(nowNs, count)
    const leftNs = this.sinceNs + this.limitNs - nowNs
    if (leftNs > 0) return Math.min(leftNs, this.limitNs / LOOKS)
    this.begin(nowNs, count)
    return 0
  }

  get limitMs(): number {
    return this.limitNs / NS_PER_MS
  }
}

/**
 * Watches a stream that has time limits: one timer, which looks at counts of bytes rather than being armed for each of its
 * operations. A limit is kept by up to a quarter of itself late, and never early. Keeps no program alive.
 */
export class StreamWatch extends Timer {
  readonly #socket: WatchedSocket
  readonly #read = new Limit()
  readonly #write = new Limit()
  readonly #idle = new Limit()
  /** When it looks, while it is armed. */
  #deadlineNs = 0

  constructor(socket: WatchedSocket) {
    super(NO_QUEUE, { keepsAlive: false })
    this.#socket = socket
  }

  /** @throws {TypeError | RangeError} for timeouts of the wrong kind; nothing has changed then. */
  set(timeouts: StreamTimeouts): void {
    validateTimeouts(timeouts)
    const nowNs = this.#timers.nowNs()
    for (const [limit, timeoutMs, count] of [
      [this.#read, timeouts.readMs, NO_COUNT],
      [this.#write, timeouts.writeMs, this.#socket.bytesWritten],
      [this.#idle, timeouts.idleMs, this.#movedBytes],
    ] as const) {
      // Who sets one often does not put off the others.
      if (timeoutMs === undefined) continue
      limit.limitNs = timeoutMs === null ? Number.POSITIVE_INFINITY : timeoutMs * NS_PER_MS
      limit.begin(nowNs, count)
    }
    this.#look(nowNs)
  }

  /** How long a reader may wait that receives by itself; undefined for as long as it takes. */
  get readMs(): number | undefined {
    const { limitMs } = this.#read
    return limitMs === Number.POSITIVE_INFINITY ? undefined : limitMs
  }

  /** A reader begins to wait, or a consumer does again. */
  readBegins(): void {
    if (this.#read.limitNs === Number.POSITIVE_INFINITY) return
    const nowNs = this.#timers.nowNs()
    this.#read.begin(nowNs, NO_COUNT)
    this.#lookBy(nowNs + this.#read.limitNs)
  }

  /** A write has begun; unless others are under way it is the one that is watched. */
  writeBegins(isFirst: boolean): void {
    if (this.#write.limitNs === Number.POSITIVE_INFINITY) return
    const nowNs = this.#timers.nowNs()
    if (isFirst) this.#write.begin(nowNs, this.#socket.bytesWritten)
    this.#lookBy(nowNs + this.#write.limitNs / LOOKS)
  }

  /** The socket is closed, or another thread's. */
  end(): void {
    this.#timers.disarm(this)
  }

  override expire(): void {
    this.#look(this.#timers.nowNs())
  }

  override run(): void {}

  get #timers(): TimerPort {
    return this.#socket.net.executor.timers
  }

  get #movedBytes(): number {
    return this.#socket.bytesRead + this.#socket.bytesWritten
  }

  #lookBy(deadlineNs: number): void {
    // It may be armed for a limit that is longer.
    if (this.isArmed && this.#deadlineNs <= deadlineNs) return
    this.#timers.disarm(this)
    this.#deadlineNs = deadlineNs
    this.#timers.arm(this, deadlineNs)
  }

  /** Ends what is over, and looks again when the next limit may be. */
  #look(nowNs: number): void {
    const socket = this.#socket
    this.#timers.disarm(this)
    const idleNs = this.#idle.look(nowNs, this.#movedBytes)
    if (idleNs === 0) {
      breakOff(socket, this.#idle.limitMs)
      return
    }
    let nextNs = idleNs
    if (socket.receiver?.hasWaitingReader === true) {
      const readNs = this.#read.look(nowNs, NO_COUNT)
      if (readNs === 0) socket.receiver.cancel(readTimeout(this.#read.limitMs))
      else nextNs = Math.min(nextNs, readNs)
    }
    const { sender } = socket
    if (sender?.hasWaitingWrite === true) {
      // What stands in line for memory does not wait for the peer.
      if (!sender.isArmed) this.#write.begin(nowNs, socket.bytesWritten)
      const writeNs = this.#write.look(nowNs, socket.bytesWritten)
      // As where the executor closes: each is withdrawn, or cut where a part of it was sent.
      if (writeNs === 0) sender.executorCloses(writeTimeout(this.#write.limitMs))
      else nextNs = Math.min(nextNs, writeNs)
    }
    if (nextNs < Number.POSITIVE_INFINITY) this.#lookBy(nowNs + nextNs)
  }
}

function breakOff(socket: WatchedSocket, limitMs: number): void {
  const reason = new RuntimeError(
    'ERR_TASK_TIMEOUT',
    `Cannot keep a stream open as a byte must go over it within idleMs, ${limitMs} ms: none did`,
  )
  // By itself: what is closed here is told to a consumer as no failure.
  socket.receiver?.cancel(reason)
  socket.breakOff(reason)
}

function readTimeout(limitMs: number): RuntimeError {
  return new RuntimeError(
    'ERR_TASK_TIMEOUT',
    `Cannot read as data must come within readMs, ${limitMs} ms: none did`,
  )
}

function writeTimeout(limitMs: number): RuntimeError {
  return new RuntimeError(
    'ERR_TASK_TIMEOUT',
    `Cannot write as the peer must take a byte within writeMs, ${limitMs} ms: it took none`,
  )
}

function validateTimeouts(timeouts: StreamTimeouts): void {
  validateOptions(ACTION, timeouts, NAMES)
  for (const name of ['readMs', 'writeMs', 'idleMs'] as const) {
    const value = timeouts[name]
    if (value === undefined || value === null) continue
    validateDurationMs(ACTION, name, value)
    if (value > 0) continue
    throw new RangeError(`Cannot ${ACTION} as ${name} must be above 0 ms, or null: it is ${value}`)
  }
}
