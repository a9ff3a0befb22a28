import { assert, RuntimeError } from '../base/index.ts'
import {
  type Directory,
  type ExecutorId,
  hasEnded,
  type Kernel,
  type LoopControl,
  type LoopHost,
  SLEEP_PARKED,
  SLOT_FOREIGN,
  slotOf,
  WORD_DOORBELL,
  WORD_GENERATION,
  WORD_HOLDER,
  WORD_RING_FD,
  WORD_RING_TOKEN,
  WORD_SLEEPING,
} from '../kernel/index.ts'
import { encodeMessageRing, encodeNop, type Ring } from '../ring/index.ts'
import { COUNTER_WAKES } from '../stats/index.ts'
import { Peers } from './peers.ts'

/** Bits of the doorbell word, each for a group of words of inboxes. */
const GROUP_COUNT = 32
const GROUP_WORDS = 4
const GROUP_INBOXES: number = GROUP_WORDS * 32

/** Where others leave things for one executor: all that its {@link Doorbell} can tell apart. One is its own. */
export const INBOX_COUNT_MAX: number = GROUP_COUNT * GROUP_INBOXES

/** The inbox that all other executors ring when they have ended. */
const INBOX_PEERS = 0

/** How another thread reaches an executor: by its number, which may stand in shared words. */
export type DoorbellAddress = ExecutorId

/** By which an executor hears from other threads, and they from it. */
export interface DoorbellPort {
  /** For other threads to ring. */
  readonly address: DoorbellAddress
  /**
   * Gives an inbox its number, which its sender rings.
   *
   * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` where the executor has 4,095 of them.
   */
  add(inbox: Inbox): number
  /**
   * Nobody listens any more; the number may be another's, who may hear what was rung for this one. Called once
   * its sender has ended: one that rings meanwhile may be terminated in the middle of that.
   */
  remove(number: number): void
  /**
   * Gives an inbox its number, for any number of senders; it stays. One that finds the inbox rung already leaves the waking to the one
   * that rang it: should that be terminated before it does so, the end of its thread is what is heard.
   *
   * @throws as {@link add}.
   */
  addForMany(inbox: Inbox): number
  /**
   * Tells another executor that something was left in one of its inboxes, and wakes its thread if that sleeps. One that
   * has ended is not told, nor who has its slot now.
   */
  ring(address: DoorbellAddress, number: number): void
  /** Whether an executor has left its loop, in whatever way: from then on it takes nothing. */
  isEnded(address: DoorbellAddress): boolean
  /**
   * Calls `listener`, once, in a turn of no task queue, when that executor has ended: by `close()`, by itself, by
   * `terminate()` at any moment. Also where it had ended before this call. It runs no user code. What is returned takes
   * the listener back.
   */
  onPeerEnded(address: DoorbellAddress, listener: () => void): () => void
  /**
   * Calls `listener`, likewise, each time that some executor of the process may have ended, whichever: for who waits for one
   * that it does not know. What is returned takes the listener back.
   */
  onAnyEnded(listener: () => void): () => void
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
 * O(1) for each inbox that was rung, and for each group of 128 with one; 4,095 inboxes. Whoever has ended is rung by
 * nobody, and rings all others by their inbox 0: the hook does that (native/directory.c), since nothing else of a thread
 * may be left by then.
 *
 * Source: Seastar's smp queues; Glommio's sleep notifiers.
 */
export class Doorbell implements DoorbellPort {
  readonly address: DoorbellAddress
  readonly #control: LoopControl
  readonly #directory: Directory
  readonly #main: Ring
  readonly #peers: Peers
  /**
   * The number of the first inbox: another for each executor that has had the slot. Who rang the one before in vain
   * may go on with that much later, or be terminated there, and rings no inbox of this one then.
   */
  readonly #firstNumber: number
  /** By their numbers, counted from the first. */
  readonly #listeners: (Inbox | undefined)[] = []
  readonly #free: number[] = []
  readonly #ofMany: { readonly number: number; readonly inbox: Inbox }[] = []

  constructor({ kernel, host, main }: DoorbellParts) {
    const { words } = host.control
    assert(host.id > 0, 'an executor has an id')
    assert(main.role === 'park', 'a thread is woken by the ring that it parks in')
    this.address = host.id
    this.#control = host.control
    this.#directory = kernel.directory
    this.#main = main
    this.#peers = new Peers(kernel.directory)
    main.onMessageRefused = (index) => this.#wakeOtherwise(index)
    this.#firstNumber = (words[WORD_GENERATION]! % GROUP_COUNT) * GROUP_INBOXES
    words[WORD_RING_TOKEN] = main.foreignToken
    // ORDER: last. The thread has not slept before, and is woken by what is there from now on.
    Atomics.store(words, WORD_RING_FD, main.memory.fd)
  }

  /** Whether it has rung since {@link answer}. */
  get hasRung(): boolean {
    return Atomics.load(this.#control.words, WORD_DOORBELL) !== 0
  }

  add(inbox: Inbox): number {
    const number = this.#free.pop() ?? this.#nextNumber()
    assert(number !== INBOX_PEERS, 'the ends of peers have an inbox of their own')
    // Who had the number may have been terminated between the inbox's bit and the doorbell's. Nobody takes such a
    // bit, and whoever finds it set rings no more.
    Atomics.and(this.#control.inboxes, number >> 5, ~(1 << (number & 31)))
    const index = this.#indexOf(number)
    assert(this.#listeners[index] === undefined, "the number of a new inbox is nobody else's")
    this.#listeners[index] = inbox
    return number
  }

  addForMany(inbox: Inbox): number {
    const number = this.add(inbox)
    this.#ofMany.push({ number, inbox })
    return number
  }

  remove(number: number): void {
    const index = this.#indexOf(number)
    assert(number !== INBOX_PEERS, 'the inbox of the ends of peers stays')
    assert(this.#listeners[index] !== undefined, 'an inbox is removed once')
    this.#listeners[index] = undefined
    this.#free.push(number)
  }

  ring(address: DoorbellAddress, number: number): void {
    const slot = this.#directory.slot(slotOf(address))
    // ORDER: before anything is left there. It may end right after: then this rings its slot, where it is heard for nothing.
    if (Atomics.load(slot.words, WORD_HOLDER) !== address) return
    if (ringDoorbell(slot, number)) this.#wake(slotOf(address))
  }

  isEnded(address: DoorbellAddress): boolean {
    return hasEnded(this.#directory, address)
  }

  onPeerEnded(address: DoorbellAddress, listener: () => void): () => void {
    const takeBack = this.#peers.add(address, listener)
    // Its ringing may have been answered before; if it ends from now on it rings again.
    if (hasEnded(this.#directory, address)) ringDoorbell(this.#control, INBOX_PEERS)
    return takeBack
  }

  onAnyEnded(listener: () => void): () => void {
    return this.#peers.addAny(listener)
  }

  /** Has every inbox that was rung look at what was left. */
  answer(): void {
    takeRung(this.#control, (number) => {
      if (number === INBOX_PEERS) this.#collectEnds()
      else this.#listeners[this.#indexOf(number)]?.collect()
    })
  }

  #collectEnds(): void {
    this.#peers.collect()
    for (const { number, inbox } of this.#ofMany) {
      // ORDER: before it is looked into. Who set it may have ended before it rang, and others that find it set do not ring.
      Atomics.and(this.#control.inboxes, number >> 5, ~(1 << (number & 31)))
      inbox.collect()
    }
  }

  #nextNumber(): number {
    const listeners = this.#listeners
    if (this.#numberOf(listeners.length) === INBOX_PEERS) listeners.push(undefined)
    if (listeners.length < INBOX_COUNT_MAX) return this.#numberOf(listeners.length)
    throw new RuntimeError(
      'ERR_LIMIT_EXCEEDED',
      `Cannot receive from another thread as an executor must have at most ${INBOX_COUNT_MAX - 1} inboxes: it has`,
    )
  }

  #numberOf(index: number): number {
    return (this.#firstNumber + index) % INBOX_COUNT_MAX
  }

  #indexOf(number: number): number {
    return (number - this.#firstNumber + INBOX_COUNT_MAX) % INBOX_COUNT_MAX
  }

  /** Posts into the ring of a thread that sleeps: now, since this turn may be long. */
  #wake(index: number): void {
    const ring = this.#main
    if (ring.isClosed) return
    const base = ring.tryBegin()
    if (base < 0) {
      this.#wakeOtherwise(index)
      return
    }
    // Looked up last: making room takes a while, in which a descriptor may become another's.
    const sleeper = sleeperOf(this.#directory.slot(index))
    if (sleeper === null) encodeNop(ring.sqes, base)
    else {
      const { ringFd, token } = sleeper
      const args = { ringFd, result: 0, userDataLow: SLOT_FOREIGN, userDataHigh: token }
      encodeMessageRing(ring.sqes, base, args)
      this.#control.counters[COUNTER_WAKES]!++
    }
    ring.commitMessage(index)
    ring.submit()
  }

  /** Checks which inboxes are whose. O(inboxes): for audits. */
  audit(): void {
    const { words } = this.#control
    const listeners = this.#listeners
    assert(listeners.length <= INBOX_COUNT_MAX, 'an executor has so many inboxes at most')
    assert(new Set(this.#free).size === this.#free.length, 'the number of an inbox is free once')
    for (const number of this.#free) {
      assert(number !== INBOX_PEERS, 'the number of the ends of peers is never free')
      assert(listeners[this.#indexOf(number)] === undefined, "a free number is nobody's")
    }
    for (const { number, inbox } of this.#ofMany) {
      assert(listeners[this.#indexOf(number)] === inbox, 'an inbox of many senders stays')
    }
    assert(words[WORD_HOLDER] === this.address, 'an executor lives where it is rung')
    assert(words[WORD_RING_FD] === this.#main.memory.fd, 'an executor is woken by its own ring')
  }

  /**
   * The kernel takes no message, or could not deliver one for want of memory. It must be woken all the same: its inbox's bit is
   * set, so that nobody rings it again.
   */
  #wakeOtherwise(index: number): void {
    assert(index > 0, 'nobody lives in the first slot')
    const { words } = this.#directory.slot(index)
    // Whoever is awake looks at its doorbell by itself.
    if (Atomics.load(words, WORD_SLEEPING) === SLEEP_PARKED) this.#directory.wake(index)
  }
}

/** What a {@link Doorbell} is of. */
export interface DoorbellParts {
  readonly kernel: Pick<Kernel, 'directory'>
  readonly host: Pick<LoopHost, 'id' | 'control'>
  /** The ring that the thread parks in. */
  readonly main: Ring
}

/** The ring by which a thread is woken, and what tells it from one that gets its descriptor later. */
export interface Sleeper {
  readonly ringFd: number
  readonly token: number
}

/**
 * By what to wake the thread that has a slot, or null if there is none. By now that may be another than has rung for it:
 * it was rung for as well then, and has to look.
 */
export function sleeperOf(
  { words }: Pick<DoorbellWords, 'words'>,
  atomics: Pick<typeof Atomics, 'load'> = Atomics,
): Sleeper | null {
  for (;;) {
    const holder = atomics.load(words, WORD_HOLDER)
    if (holder <= 0) return null
    const ringFd = atomics.load(words, WORD_RING_FD)
    const token = atomics.load(words, WORD_RING_TOKEN)
    // ORDER: sequential, so that both are those of the holder seen before and after.
    if (atomics.load(words, WORD_HOLDER) !== holder) continue
    // Before it has a ring it does not sleep.
    return ringFd < 0 ? null : { ringFd, token }
  }
}

/** {@link Doorbell.ring} of a thread without an executor, and of whoever must not wait for his own: a system call where that sleeps. */
export function ringFromAnywhere(
  directory: Directory,
  address: DoorbellAddress,
  number: number,
): void {
  const index = slotOf(address)
  const slot = directory.slot(index)
  // ORDER: as in Doorbell.ring().
  if (Atomics.load(slot.words, WORD_HOLDER) !== address) return
  if (ringDoorbell(slot, number)) directory.wake(index)
}

/** What others write to: part of an executor's slot in the directory. */
export type DoorbellWords = Pick<LoopControl, 'words' | 'inboxes'>

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
  assert(number >= 0 && number < INBOX_COUNT_MAX, 'an inbox is one of those of an executor')
  const bit = 1 << (number & 31)
  // Where it is set the executor has yet to take it, and looks into the inbox after that: this sender, the only
  // one of the inbox, has rung for it before.
  if ((atomics.load(inboxes, number >> 5) & bit) !== 0) return false
  atomics.or(inboxes, number >> 5, bit)
  atomics.or(words, WORD_DOORBELL, 1 << Math.floor(number / GROUP_INBOXES))
  // ORDER: sequential, as all Atomics are: published first, looked then. Every sender looks, since one that has rung
  // may be terminated before it wakes anybody.
  return atomics.load(words, WORD_SLEEPING) === SLEEP_PARKED
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
