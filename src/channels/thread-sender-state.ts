import { assert, RuntimeError } from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'
import { type Directory, type ExecutorId, hasEnded } from '../kernel/index.ts'
import type { BatchProgress } from './batch-progress.ts'
import { ItemQueue } from './item-queue.ts'
import { Lot } from './lot.ts'
import {
  CONSUMER_WORDS,
  DETACHED,
  hasPeerEnded,
  INBOX_NOTIFIED,
  PRODUCER_WORDS,
  ringEnd,
} from './peers.ts'
import { WORD_ROOM_WANTED } from './shared/index.ts'
import { interruptedError, type Refusal, refusalError, SEND_ACTION } from './shared-sender-state.ts'
import type { ValueWriter } from './value-writer.ts'

const LOT_MAX = 32
/** How often a sender that waits looks whether the receiver's thread is still there. */
const LOOK_MS = 100
/** The longest that a timer of Node's can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1
/** How often it looks for room where nobody can tell it of that. */
const POLL_MS = 2
/** So many that have given up may stand in line, whoever else does. */
const LEFT_MAX = 16
/** So many sends at once, before whatever else the thread has to do. */
const ROUND_MAX = 256

/** What a thread without an executor sends from. */
export interface ThreadSenderParts<T> {
  readonly directory: Directory
  /** Of the thread. */
  readonly id: ExecutorId
  readonly writer: ValueWriter<T, unknown>
  /** The executor that is to attach as the receiver, if that is known. */
  readonly expectedId: ExecutorId | undefined
}

/** The sending end of a ring on a thread without an executor: promises, timers and `Atomics.waitAsync()`. */
export class ThreadSenderState<T> {
  readonly writer: ValueWriter<T, unknown>
  /** Whether the receiver's thread has ended, without a close. */
  isPeerEnded = false
  readonly #directory: Directory
  readonly #expectedId: ExecutorId
  readonly #lot: Lot
  readonly #waiting = new ItemQueue<ThreadSend<T>>()
  /** How many of those have given up. */
  #leftCount = 0
  #isClosing = false
  /** Looks now and then, and keeps the thread alive: there while somebody waits. */
  #timer: NodeJS.Timeout | null = null
  /** Goes on with a round that was cut. */
  #later: NodeJS.Immediate | null = null
  /** Whether this thread is told of room by the ring's memory: at most once at a time. */
  #isListening = false

  constructor({ directory, id, writer, expectedId = 0 }: ThreadSenderParts<T>) {
    this.#directory = directory
    this.#expectedId = expectedId
    this.writer = writer
    this.#lot = new Lot(LOT_MAX, () => {
      this.flush()
      return true
    })
    const { words } = writer.producer
    words.store(PRODUCER_WORDS.inbox, INBOX_NOTIFIED)
    // ORDER: after how it is told. Whoever sees the number tells it so.
    words.store(PRODUCER_WORDS.executor, id)
    this.#ring()
  }

  /** Why nothing can be sent any more, or null. */
  get refusal(): Refusal | null {
    if (this.#isClosing) return 'sender'
    this.lookForPeer()
    if (this.isPeerEnded) return 'peer'
    return this.writer.producer.isConsumerClosed ? 'receiver' : null
  }

  get hasWaiters(): boolean {
    return this.#waiting.length > 0
  }

  /** @throws {ChannelError} */
  assertSendable(value: T): void {
    const { refusal } = this
    if (refusal !== null) throw refusalError(refusal, value)
  }

  /** Stages a value, if nobody is before it and there is room. */
  tryStage(packed: unknown): boolean {
    if (this.hasWaiters || !this.writer.stage(packed)) return false
    this.#lot.add()
    return true
  }

  /** Stages the first ones of a batch, likewise; returns how many. */
  tryStageBatch(packed: ArrayLike<unknown>): number {
    if (this.hasWaiters) return 0
    const count = this.writer.stageBatch(packed, 0)
    if (count > 0) this.flush()
    return count
  }

  /** Waits in line. */
  wait(send: ThreadSend<T>, options: WaitOptions): Promise<void> {
    const { promise } = send
    send.bind(options, () => this.#leave())
    this.#waiting.push(send)
    if (this.#waiting.length === 1) this.#pump()
    return promise
  }

  /** Publishes what is staged, and tells the receiver if it waits for that. */
  flush(): void {
    const { producer } = this.writer
    if (producer.isClosed) return
    producer.publish()
    if (producer.takeItemRequest()) this.#ring()
  }

  close(): void {
    if (this.#isClosing) return
    this.#isClosing = true
    this.#pump()
  }

  /** Whether the receiver's thread has ended without a close, or will never attach, by a look. */
  lookForPeer(): boolean {
    const { words } = this.writer.producer
    const parts = { words, peer: CONSUMER_WORDS, expectedId: this.#expectedId }
    this.isPeerEnded ||= hasPeerEnded(parts, (id) => hasEnded(this.#directory, id))
    return this.isPeerEnded
  }

  /** Sends for those who wait, as far as there is room, and sees to it that this goes on. */
  #pump(): void {
    const { producer } = this.writer
    if (producer.isClosed) return
    this.lookForPeer()
    let left = ROUND_MAX
    for (let first = this.#waiting.first; first !== undefined; first = this.#waiting.first) {
      if (left-- === 0) {
        this.#pumpLater()
        return
      }
      if (first.isSettled) {
        this.#waiting.shift()
        this.#leftCount--
        continue
      }
      if (this.isPeerEnded || producer.isConsumerClosed) {
        this.#waiting.shift()
        first.refuse(this.isPeerEnded ? 'peer' : 'receiver')
        continue
      }
      if (first.stageMore(this.writer)) {
        this.#waiting.shift()
        first.fulfil()
        continue
      }
      this.flush()
      if (producer.requestRoom(first.cellsWanted(this.writer))) continue
      this.#listen()
      return
    }
    this.flush()
    this.#stopLooking()
    if (this.#isClosing) this.#end()
  }

  /** Goes on once the event loop has been round: a receiver that takes as fast as this one sends would hold this thread for as long. */
  #pumpLater(): void {
    this.flush()
    this.#later ??= setImmediate(() => {
      this.#later = null
      this.#pump()
    })
  }

  /** One has given up. It stays in line until it is its turn, but for many: these are not kept, however long the first waits. */
  #leave(): void {
    this.#leftCount++
    this.#pump()
    if (this.#leftCount <= LEFT_MAX || this.#leftCount * 2 <= this.#waiting.length) return
    for (let count = this.#waiting.length; count > 0; count--) {
      const send = this.#waiting.shift()
      if (!send.isSettled) this.#waiting.push(send)
    }
    this.#leftCount = 0
  }

  #listen(): void {
    const memory = this.writer.producer.words.notified
    const canListen = memory !== undefined && typeof waitAsync === 'function'
    this.#timer ??= setInterval(() => this.#pump(), canListen ? LOOK_MS : POLL_MS)
    if (!canListen || this.#isListening) return
    // ORDER: the wish is 1 until the receiver takes it, which tells of that after. Taken before: no wait.
    const { async: isWaiting, value } = waitAsync(memory, WORD_ROOM_WANTED, 1)
    if (!isWaiting) {
      queueMicrotask(() => this.#pump())
      return
    }
    this.#isListening = true
    void (value as Promise<unknown>).then(() => {
      this.#isListening = false
      this.#pump()
    })
  }

  #stopLooking(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    // What is left of listening would hold this sender for as long as the memory lives.
    if (this.#isListening) this.writer.producer.words.notify?.(WORD_ROOM_WANTED)
  }

  #end(): void {
    const { producer } = this.writer
    assert(this.#waiting.length === 0, 'what waits is sent before the end')
    producer.close()
    if (producer.takeItemRequest()) this.#ring()
    producer.words.store(PRODUCER_WORDS.executor, DETACHED)
  }

  #ring(): void {
    ringEnd(this.#directory, this.writer.producer.words, CONSUMER_WORDS)
  }
}

/** One send, or a batch, that waits for room. */
export class ThreadSend<T> {
  readonly promise: Promise<void>
  isSettled = false
  readonly #progress: BatchProgress<T, unknown>
  readonly #isBatch: boolean
  #resolve!: () => void
  #reject!: (reason: unknown) => void
  #unbind: () => void = () => {}

  /** Of a value, or of a batch, whose error has an array. */
  constructor(progress: BatchProgress<T, unknown>, isBatch: boolean) {
    this.#progress = progress
    this.#isBatch = isBatch
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Lets the wait be ended early, which is told of by `onLeave`. */
  bind({ signal, timeoutMs }: WaitOptions, onLeave: () => void): void {
    const leave = (reason: unknown): void => {
      if (this.isSettled) return
      this.#fail(this.#isBatch ? interruptedError(this.#progress.takeRest(), reason) : reason)
      onLeave()
    }
    const onAbort = (): void => leave(signal!.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    let timer: NodeJS.Timeout | null = null
    const count = (leftMs: number): void => {
      const next = () =>
        leftMs > TIMER_MS_MAX ? count(leftMs - TIMER_MS_MAX) : leave(timeoutError(timeoutMs!))
      timer = setTimeout(next, Math.min(leftMs, TIMER_MS_MAX))
    }
    if (timeoutMs !== undefined) count(timeoutMs)
    this.#unbind = () => {
      signal?.removeEventListener('abort', onAbort)
      if (timer !== null) clearTimeout(timer)
    }
  }

  /** Stages what there is room for; whether that was the last. */
  stageMore(writer: ValueWriter<T, unknown>): boolean {
    return this.#progress.stageMore(writer)
  }

  cellsWanted(writer: ValueWriter<T, unknown>): number {
    return this.#progress.cellsWanted(writer)
  }

  fulfil(): void {
    this.#settle()
    this.#resolve()
  }

  refuse(refusal: Refusal): void {
    const rest = this.#progress.takeRest()
    this.#fail(refusalError<unknown>(refusal, this.#isBatch ? rest : rest[0]))
  }

  #fail(reason: unknown): void {
    this.#settle()
    this.#reject(reason)
  }

  #settle(): void {
    assert(!this.isSettled, 'a send ends once')
    this.isSettled = true
    this.#unbind()
  }
}

function timeoutError(timeoutMs: number): RuntimeError {
  const why = `it must be done within ${timeoutMs} ms: it was not`
  return new RuntimeError('ERR_TASK_TIMEOUT', `Cannot ${SEND_ACTION} as ${why}`)
}

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { readonly async: boolean; readonly value: unknown }

/** Of V8 since Node 16; not in the library that this is compiled against. */
const { waitAsync } = Atomics as unknown as { readonly waitAsync?: WaitAsync }
