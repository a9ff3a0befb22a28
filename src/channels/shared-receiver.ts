import { showAs, validateInteger } from '../base/index.ts'
import { answerReady, checkCancellation, refuse, type WaitOptions } from '../executor/index.ts'
import { RECEIVE_ACTION, type ReceiverState, ReceiveWaiter } from './receiver-state.ts'
import { NONE } from './value-reader.ts'

type Item<T> = IteratorResult<T, undefined>

const END = { done: true, value: undefined } as const
const BATCH_DEFAULT = 256
const BATCH_MAX = 2 ** 20

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
    try {
      validateInteger(RECEIVE_ACTION, 'countMax', countMax, { min: 1, max: BATCH_MAX })
      checkCancellation(home, options, RECEIVE_ACTION)
      const first = state.tryTake()
      if (first !== NONE) return answerReady(home, takeMore(state, first, countMax))
      if (state.isEnded) return answerReady(home, [])
      state.assertPeer()
      return state.wait(new BatchWaiter<T>(state, countMax), options)
    } catch (error) {
      return refuse(error)
    }
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

class BatchWaiter<T> extends ReceiveWaiter<T, T[]> {
  readonly #state: ReceiverState<T>
  readonly #countMax: number

  constructor(state: ReceiverState<T>, countMax: number) {
    super(state.home)
    this.#state = state
    this.#countMax = countMax
  }

  override deliver(value: T): void {
    this.fulfil(takeMore(this.#state, value, this.#countMax))
  }

  override end(): void {
    this.fulfil([])
  }
}

/** Takes what there is beside a first one, unless others wait for it. */
function takeMore<T>(state: ReceiverState<T>, first: T, countMax: number): T[] {
  const values = [first]
  try {
    while (values.length < countMax) {
      const value = state.tryTake()
      if (value === NONE) break
      values.push(value)
    }
  } catch (error) {
    state.postpone(error)
  }
  return values
}
