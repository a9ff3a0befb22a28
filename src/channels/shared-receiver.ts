import { showAs, validateInteger, wrongType } from '../base/index.ts'
import { answerReady, checkCancellation, refuse, type WaitOptions } from '../executor/index.ts'
import { RECEIVE_ACTION, type ReceiverState, ReceiveWaiter } from './receiver-state.ts'
import { NONE, type ValueTarget } from './value-reader.ts'

type Item<T> = IteratorResult<T, undefined>

const END = { done: true, value: undefined } as const
const BATCH_DEFAULT = 256
const BATCH_MAX = 2 ** 20
const TARGET_KIND = 'an array, or a Float64Array of a channel of numbers,'

/**
 * The end of a shared channel that values come out of, each once; any number of tasks of its thread may use it.
 *
 * Made by {@link attachReceiver}. Leaving a `for await` over it early does not close it: somebody else may go on
 * receiving.
 */
export class SharedReceiver<T> implements AsyncIterable<T, undefined>, Disposable {
  static {
    showAs(SharedReceiver, (receiver) => {
      const state = receiver.isEnded ? 'ended' : 'open'
      return `SharedReceiver ${receiver.length} of ${receiver.capacity}, ${state}`
    })
  }

  /** How many values there is room for, of each sender. */
  readonly capacity: number
  readonly #state: ReceiverState<T>

  /** @internal Use {@link attachReceiver}. */
  constructor(state: ReceiverState<T>, capacity: number) {
    this.#state = state
    this.capacity = capacity
  }

  /** About how many values wait here, those that take more room than others counted as several. O(senders). */
  get length(): number {
    return Math.ceil(this.#state.countFilled() * this.capacity)
  }

  /** Whether nothing will come any more: this end is closed, or the other is and all was received. */
  get isEnded(): boolean {
    return this.#state.isEnded
  }

  /**
   * Waits for a value, first come, first served; resolves with undefined at the end.
   *
   * Where undefined is a value too, iterate instead. Rejects with `ERR_PEER_ENDED` if the sender's thread has ended
   * without a close, once all that it had published is received; with what the codec throws, the value being lost; and
   * as {@link WaitOptions} say: the value then goes to the next who asks. O(1); answered at once while there are
   * values, within the turn's budget. Who waits keeps the program alive.
   */
  receive(options?: WaitOptions): Promise<T | undefined> {
    const state = this.#state
    const { home } = state
    try {
      checkCancellation(home, options, RECEIVE_ACTION)
      const value = state.tryTake()
      if (value !== NONE) return answerReady(home, value)
      if (state.isEnded) return answerReady(home, undefined)
      state.assertPeer()
      return state.wait(new ValueWaiter<T>(home), options)
    } catch (error) {
      return refuse(error)
    }
  }

  /** Takes a value if there is one; undefined tells nothing about the end: {@link isEnded} does. O(1). */
  tryReceive(): T | undefined {
    const value = this.#state.tryTake()
    return value === NONE ? undefined : value
  }

  /**
   * Waits for a value, and takes as many as there are then, up to `countMax` (256 if not given); resolves with none at
   * the end. Rejects as {@link receive}. O(values).
   */
  receiveBatch(countMax: number = BATCH_DEFAULT, options?: WaitOptions): Promise<T[]> {
    const state = this.#state
    const { home } = state
    const values: T[] = []
    try {
      validateInteger(RECEIVE_ACTION, 'countMax', countMax, { min: 1, max: BATCH_MAX })
      checkCancellation(home, options, RECEIVE_ACTION)
      const count = state.tryTakeInto(values, 0, countMax)
      if (count > 0 || state.isEnded) return answerReady(home, values)
      state.assertPeer()
      return state.wait(new BatchWaiter<T>(state, values, countMax), options)
    } catch (error) {
      return refuse(error)
    }
  }

  /** Takes as many values as there are, up to `countMax` (256 if not given): none tells nothing about the end. O(values). */
  tryReceiveBatch(countMax: number = BATCH_DEFAULT): T[] {
    validateInteger(RECEIVE_ACTION, 'countMax', countMax, { min: 1, max: BATCH_MAX })
    const values: T[] = []
    this.#state.tryTakeInto(values, 0, countMax)
    return values
  }

  /**
   * Waits for a value, and puts as many as there are then into `target`, which has places: an array, or of numbers a
   * Float64Array, into which they are copied all at once. Resolves with how many; 0 at the end.
   *
   * What is behind those in `target` stays as it was, and all of it is the receiver's until then. Rejects as {@link receive}.
   * O(values); allocates nothing for them.
   */
  receiveInto(target: ValueTarget<T>, options?: WaitOptions): Promise<number> {
    const state = this.#state
    const { home } = state
    try {
      this.#assertTarget(target)
      checkCancellation(home, options, RECEIVE_ACTION)
      const count = state.tryTakeInto(target, 0, target.length)
      if (count > 0 || state.isEnded) return answerReady(home, count)
      state.assertPeer()
      return state.wait(new TargetWaiter<T>(state, target, target.length), options)
    } catch (error) {
      return refuse(error)
    }
  }

  /** Puts as many values as there are into `target`, as {@link receiveInto}; returns how many: 0 tells nothing about the end. */
  tryReceiveInto(target: ValueTarget<T>): number {
    this.#assertTarget(target)
    return this.#state.tryTakeInto(target, 0, target.length)
  }

  /**
   * Receives until the end; `next()` rejects with `ERR_TASK_CANCELLED` when its task is cancelled, with
   * `ERR_PEER_ENDED` as {@link receive} does.
   */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return new SharedIterator(this.#state)
  }

  /**
   * Closes the channel: sends that wait fail with their values, and what was not received the sender can take back.
   * Again is nothing.
   */
  close(): void {
    this.#state.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #assertTarget(target: ValueTarget<T>): void {
    const found: unknown = target
    const isTarget =
      Array.isArray(found) || (this.#state.isOfNumbers && found instanceof Float64Array)
    if (!isTarget) throw wrongType(RECEIVE_ACTION, 'target', TARGET_KIND, found)
    validateInteger(RECEIVE_ACTION, 'target.length', target.length, { min: 1, max: 2 ** 32 })
  }
}

class SharedIterator<T> implements AsyncIterator<T, undefined> {
  readonly #state: ReceiverState<T>

  constructor(state: ReceiverState<T>) {
    this.#state = state
  }

  next(): Promise<Item<T>> {
    const state = this.#state
    const { home } = state
    try {
      checkCancellation(home, undefined, RECEIVE_ACTION)
      const value = state.tryTake()
      if (value !== NONE) return answerReady<Item<T>>(home, { done: false, value })
      if (state.isEnded) return answerReady<Item<T>>(home, END)
      state.assertPeer()
      return state.wait(new ItemWaiter<T>(home), undefined)
    } catch (error) {
      return refuse(error)
    }
  }
}

class ValueWaiter<T> extends ReceiveWaiter<T, T | undefined> {
  override deliver(value: T): void {
    this.fulfil(value)
  }

  override end(): void {
    this.fulfil(undefined)
  }
}

class ItemWaiter<T> extends ReceiveWaiter<T, Item<T>> {
  override deliver(value: T): void {
    this.fulfil({ done: false, value })
  }

  override end(): void {
    this.fulfil(END)
  }
}

/** Takes the first value, and what there is beside it. */
abstract class ManyWaiter<T, R> extends ReceiveWaiter<T, R> {
  protected readonly target: ValueTarget<T>
  readonly #state: ReceiverState<T>
  readonly #countMax: number

  constructor(state: ReceiverState<T>, target: ValueTarget<T>, countMax: number) {
    super(state.home)
    this.#state = state
    this.target = target
    this.#countMax = countMax
  }

  override deliver(value: T): void {
    this.target[0] = value
    this.answer(1 + this.#state.tryTakeInto(this.target, 1, this.#countMax))
  }

  override end(): void {
    this.answer(0)
  }

  protected abstract answer(count: number): void
}

class BatchWaiter<T> extends ManyWaiter<T, T[]> {
  protected override answer(): void {
    this.fulfil(this.target as T[])
  }
}

class TargetWaiter<T> extends ManyWaiter<T, number> {
  // What is written into memory that was transferred is lost.
  override get refusal(): TypeError | null {
    if (Array.isArray(this.target) || this.target.length > 0) return null
    const why = 'target must keep its memory until then: it was transferred'
    return new TypeError(`Cannot ${RECEIVE_ACTION} as ${why}`)
  }

  protected override answer(count: number): void {
    this.fulfil(count)
  }
}
