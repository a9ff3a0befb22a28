import { RuntimeError } from '../base/index.ts'
import {
  type Executor,
  type Poll,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
} from '../executor/index.ts'
import { RingSource, type SourceOwner } from './ring-source.ts'
import { SharedWaiter } from './shared-wait.ts'
import { NONE, type None, type ValueReader, type ValueTarget } from './value-reader.ts'

export const RECEIVE_ACTION = 'receive from a shared channel'

/** Somebody who waits for values, in whatever form. */
export abstract class ReceiveWaiter<T, R> extends SharedWaiter<R> {
  /** Why it can take nothing any more, or null. */
  get refusal(): TypeError | null {
    return null
  }

  abstract deliver(value: T): void
  abstract end(): void
}

/** Those who wait for values of other threads, wherever these come from. */
export abstract class ReceiverState<T> implements WaitListOwner {
  readonly home: Executor
  #isClosed = false
  #postponed: { readonly error: unknown } | null = null
  readonly #receivers = new WaitList<ReceiveWaiter<T, unknown>>(this)

  constructor(home: Executor) {
    this.home = home
  }

  /** Whether nothing will come any more: this end is closed, or all others are and all was taken. */
  get isEnded(): boolean {
    return this.#isClosed || this.hasEnded
  }

  /** Takes the oldest value if nobody waits for it; what its codec throws. */
  tryTake(): T | None {
    if (this.#isClosed || this.#receivers.length > 0) return NONE
    return this.#take()
  }

  /**
   * Takes as many values as there are, if nobody waits for them, into the places from `from` up to `to`; returns how
   * many. Throws what a codec does of the first place's; of one that comes after others the next take does.
   */
  tryTakeInto(target: ValueTarget<T>, from: number, to: number): number {
    if (this.#isClosed || this.#receivers.length > 0) return 0
    let next = from
    try {
      this.#throwPostponed()
      for (let count = 1; count > 0 && next < to; next += count) {
        count = this.takeSome(target, next, to)
      }
    } catch (error) {
      if (next === 0) throw error
      this.#postponed = { error }
    }
    return next - from
  }

  /** @throws {RuntimeError} `ERR_PEER_ENDED` where a sender's thread has ended, and nobody was told. */
  assertPeer(): void {
    const error = this.takePeerError()
    if (error !== null) throw error
  }

  /** Waits in line; throws as binding does. */
  wait<R>(waiter: ReceiveWaiter<T, R>, options: WaitOptions | undefined): Promise<R> {
    waiter.bindListed(this.home, options, RECEIVE_ACTION)
    this.#receivers.push(waiter as ReceiveWaiter<T, unknown>)
    if (this.#receivers.length === 1) this.pump()
    return waiter.promise
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.closeSources()
    const receivers = this.#receivers
    for (let receiver = receivers.shift(); receiver !== null; receiver = receivers.shift())
      receiver.end()
  }

  // Values are given as they come: what a waiter leaves behind nobody waits for.
  waiterLeft(): void {}

  /** Whether a Float64Array can take what is received. */
  abstract get isOfNumbers(): boolean
  /** About how full it is, in parts of a ring. */
  abstract countFilled(): number

  /** Whether all senders have closed and all was taken. */
  protected abstract get hasEnded(): boolean
  /** Takes a value, from whichever sender. */
  protected abstract takeNext(): T | None
  /** Takes some, one at least if there is one, into the places from `from` up to `to`; returns how many. */
  protected abstract takeSome(target: ValueTarget<T>, from: number, to: number): number
  /** Has the senders tell of what comes next; true if there may be something already. */
  protected abstract requestNext(): boolean
  /** The error of a sender whose thread has ended, and whose values were all taken; or null. */
  protected abstract takePeerError(): RuntimeError | null
  protected abstract closeSources(): void

  protected get hasWaiters(): boolean {
    return this.#receivers.length > 0
  }

  /** Gives values to those who wait for them, and has the senders tell of more. */
  protected pump(): void {
    if (this.#isClosed) return
    const receivers = this.#receivers
    for (let first = receivers.first; first !== null; first = receivers.first) {
      const { refusal } = first
      if (refusal !== null) {
        receivers.shift()!.fail(refusal)
        continue
      }
      let value: T | None
      try {
        value = this.#take()
      } catch (error) {
        receivers.shift()!.fail(error)
        continue
      }
      if (value !== NONE) {
        receivers.shift()!.deliver(value)
        continue
      }
      const error = this.takePeerError()
      if (error !== null) receivers.shift()!.fail(error)
      else if (this.hasEnded) receivers.shift()!.end()
      else if (!this.requestNext()) return
    }
  }

  #take(): T | None {
    if (this.#postponed !== null) this.#throwPostponed()
    return this.takeNext()
  }

  #throwPostponed(): void {
    const postponed = this.#postponed
    if (postponed === null) return
    this.#postponed = null
    throw postponed.error
  }
}

/** Receives from one sender. */
export class SingleReceiverState<T> extends ReceiverState<T> implements SourceOwner<T>, Poll {
  readonly #source: RingSource<T>
  /** Whether the turn looks for what comes: until it ends the sender need not tell. */
  #isPolled = false
  #mayPoll = true

  /** Takes the end, or nothing: it is left to others where an executor has no inbox for it. */
  constructor(home: Executor, openReader: () => ValueReader<T>, expectedId?: number) {
    super(home)
    const make = (reader: ValueReader<T>) => new RingSource(home, reader, this, { expectedId })
    this.#source = takeSource(openReader(), make)
    this.#source.open()
  }

  override get isOfNumbers(): boolean {
    return this.#source.isOfNumbers
  }

  override countFilled(): number {
    return this.#source.isClosed ? 0 : this.#source.filledPart
  }

  sourceHasNews(): void {
    this.pump()
  }

  get hasNews(): boolean {
    return !this.hasWaiters || this.#source.isClosed || this.#source.hasItems
  }

  goOn(): void {
    this.#isPolled = false
    this.pump()
  }

  ask(): void {
    this.#isPolled = false
    this.#mayPoll = false
    this.pump()
    this.#mayPoll = true
  }

  protected override get hasEnded(): boolean {
    return this.#source.isEnded
  }

  protected override takeNext(): T | None {
    return this.#source.take()
  }

  protected override takeSome(target: ValueTarget<T>, from: number, to: number): number {
    return this.#source.takeInto(target, from, to)
  }

  protected override requestNext(): boolean {
    if (this.#isPolled) return false
    this.#isPolled = this.#mayPoll && this.home.followUps.polls.add(this)
    return !this.#isPolled && this.#source.requestItem()
  }

  protected override takePeerError(): RuntimeError | null {
    const source = this.#source
    return source.isPeerEnded && !source.isEnded ? peerEndedError() : null
  }

  protected override closeSources(): void {
    this.#source.close()
  }
}

/** Makes the source of an end that was attached to; one that is refused what it needs leaves the end to others. */
export function takeSource<T>(
  reader: ValueReader<T>,
  make: (reader: ValueReader<T>) => RingSource<T>,
): RingSource<T> {
  try {
    return make(reader)
  } catch (error) {
    reader.consumer.unclaim()
    throw error
  }
}

/** The error of who waits for a sender whose thread has ended without a close. */
export function peerEndedError(subject = 'the sender'): RuntimeError {
  return new RuntimeError(
    'ERR_PEER_ENDED',
    `Cannot ${RECEIVE_ACTION} as the thread of ${subject} must go on until it has closed: it has ended`,
  )
}
