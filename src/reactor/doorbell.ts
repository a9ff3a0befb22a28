import { assert, RuntimeError } from '../base/index.ts'
import {
  type LoopControl,
  SLEEP_PARKED,
  SLOT_FOREIGN,
  WORD_DOORBELL,
  WORD_ENDED,
  WORD_SLEEPING,
} from '../kernel/index.ts'
import { encodeMessageRing, type Ring } from '../ring/index.ts'
import { RetryTimer } from './retry-timer.ts'
import type { TimerPort } from './timers.ts'

/** Bits of the doorbell word, each for a group of words of inboxes. */
const GROUP_COUNT = 32
const GROUP_WORDS = 4
const GROUP_INBOXES: number = GROUP_WORDS * 32

/** Where others leave things for one executor: all that its {@link Doorbell} can tell apart. */
export const INBOX_COUNT_MAX: number = GROUP_COUNT * GROUP_INBOXES

/** How another thread reaches an executor. It may be posted to that thread. */
export interface DoorbellAddress {
  /** The control block of the executor. */
  readonly words: Int32Array
  /** A bit per inbox that something has been left in. */
  readonly inboxes: Int32Array
  /** The ring that the thread parks in, */
  readonly ringFd: number
  /** and what tells it from a ring that has got its descriptor later. */
  readonly token: number
}

/** By which an executor hears from other threads, and they from it. */
export interface DoorbellPort {
  /** For other threads to ring. */
  readonly address: DoorbellAddress
  /**
   * Gives an inbox its number, which its sender rings.
   *
   * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` where the executor has 4,096 of them.
   */
  add(inbox: Inbox): number
  /**
   * Nobody listens any more; the number may be another's, who may hear what was rung for this one. Called once
   * its sender has ended: one that rings meanwhile may be terminated in the middle of that.
   */
  remove(number: number): void
  /** Tells another executor that something was left in one of its inboxes, and wakes its thread if that sleeps. */
  ring(address: DoorbellAddress, number: number): void
}

/** A place where one other thread leaves something for an executor. */
export interface Inbox {
  /**
   * Something may have been left; called in a turn of no task queue: wakes waiters, runs no user code. May be
   * called though there is nothing.
   */
  collect(): void
}

/**
 * Tells an executor that other threads have left something for it, and in which of its inboxes.
 *
 * A sender leaves it first, then sets the inbox's bit, then the doorbell word's, and only then looks whether
 * the executor's thread sleeps, in which case it posts into its ring. The thread publishes first that it
 * sleeps, and looks at the doorbell word then (native/loop.c): one of the two sees the other. The executor
 * takes the bits before it looks into inboxes, so that what comes meanwhile rings again.
 *
 * O(1) for each inbox that was rung, and for each group of 128 with one; 4,096 inboxes.
 *
 * Source: Seastar's smp queues; Glommio's sleep notifiers.
 */
export class Doorbell implements DoorbellPort {
  readonly address: DoorbellAddress
  readonly #words: Int32Array
  readonly #main: Ring
  readonly #timers: TimerPort
  readonly #inboxes: Int32Array
  readonly #listeners: (Inbox | undefined)[] = []
  readonly #free: number[] = []

  constructor({ words }: LoopControl, main: Ring, timers: TimerPort) {
    this.#words = words
    this.#main = main
    this.#timers = timers
    this.#inboxes = new Int32Array(new SharedArrayBuffer(INBOX_COUNT_MAX / 8))
    this.address = {
      words,
      inboxes: this.#inboxes,
      ringFd: main.memory.fd,
      token: main.foreignToken,
    }
  }

  /** Whether it has rung since {@link answer}. */
  get hasRung(): boolean {
    return Atomics.load(this.#words, WORD_DOORBELL) !== 0
  }

  add(inbox: Inbox): number {
    const number = this.#free.pop() ?? this.#listeners.length
    if (number >= INBOX_COUNT_MAX) {
      throw new RuntimeError(
        'ERR_LIMIT_EXCEEDED',
        `Cannot receive from another thread as an executor must have at most ${INBOX_COUNT_MAX} inboxes: it has`,
      )
    }
    // Who had the number may have been terminated between the inbox's bit and the doorbell's. Nobody takes such a
    // bit, and whoever finds it set rings no more.
    Atomics.and(this.#inboxes, number >> 5, ~(1 << (number & 31)))
    this.#listeners[number] = inbox
    return number
  }

  remove(number: number): void {
    assert(this.#listeners[number] !== undefined, 'an inbox is removed once')
    this.#listeners[number] = undefined
    this.#free.push(number)
  }

  ring(address: DoorbellAddress, number: number): void {
    if (ringDoorbell(address, number)) this.#wake(address)
  }

  /** Has every inbox that was rung look at what was left. */
  answer(): void {
    takeRung(this.address, (number) => this.#listeners[number]?.collect())
  }

  /** Posts into the ring of a thread that sleeps: now, since this turn may be long; again where the kernel takes no more. */
  #wake(address: DoorbellAddress): void {
    const ring = this.#main
    if (ring.isClosed) return
    const base = ring.tryBegin()
    if (base < 0) {
      new RetryTimer(() => this.#wake(address)).schedule(this.#timers)
      return
    }
    const { ringFd, token } = address
    const args = { ringFd, result: 0, userDataLow: SLOT_FOREIGN, userDataHigh: token }
    encodeMessageRing(ring.sqes, base, args)
    ring.commitUnwatched()
    ring.submit()
  }
}

/** The words of an address. */
export type DoorbellWords = Pick<DoorbellAddress, 'words' | 'inboxes'>

/** `Atomics`, of which these are used; the model checker of the tests has its own. */
export type DoorbellAtomics = Pick<typeof Atomics, 'load' | 'or' | 'exchange'>

/**
 * Says at `address` that something has been left in one of its inboxes. Returns whether its thread sleeps, and it
 * is for the caller to wake it.
 */
export function ringDoorbell(
  { words, inboxes }: DoorbellWords,
  number: number,
  atomics: DoorbellAtomics = Atomics,
): boolean {
  const bit = 1 << (number & 31)
  // Where it is set the executor has yet to take it, and looks into the inbox after that: this sender, the only
  // one of the inbox, has rung for it before.
  if ((atomics.load(inboxes, number >> 5) & bit) !== 0) return false
  atomics.or(inboxes, number >> 5, bit)
  atomics.or(words, WORD_DOORBELL, 1 << Math.floor(number / GROUP_INBOXES))
  // ORDER: sequential, as all Atomics are: published first, looked then. Every sender looks, since one that has rung
  // may be terminated before it wakes anybody.
  return atomics.load(words, WORD_SLEEPING) === SLEEP_PARKED && words[WORD_ENDED] === 0
}

/** Takes what was rung for, and has each of those inboxes looked into. */
export function takeRung(
  { words, inboxes }: DoorbellWords,
  look: (number: number) => void,
  atomics: DoorbellAtomics = Atomics,
): void {
  // ORDER: the doorbell before the inboxes, and these before they are looked into: what is left meanwhile rings again.
  let groups = atomics.exchange(words, WORD_DOORBELL, 0)
  while (groups !== 0) {
    const group = 31 - Math.clz32(groups)
    groups &= ~(1 << group)
    for (let index = group * GROUP_WORDS; index < (group + 1) * GROUP_WORDS; index++) {
      let bits = atomics.exchange(inboxes, index, 0)
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits)
        bits &= ~(1 << bit)
        look(index * 32 + bit)
      }
    }
  }
}
