import { assert, RuntimeError } from '../base/index.ts'
import type { Executor } from '../executor/index.ts'
import type { Directory } from '../kernel/index.ts'
import { type DoorbellAddress, type Inbox, ringFromAnywhere } from '../reactor/index.ts'
import {
  abandonEnd,
  END_ABANDONED,
  OWNER_UNNAMED,
  type SharedWords,
  WORD_CONSUMER_CLAIM,
  WORD_CONSUMER_EXECUTOR,
  WORD_CONSUMER_INBOX,
  WORD_PRODUCER_CLAIM,
  WORD_PRODUCER_EXECUTOR,
  WORD_PRODUCER_INBOX,
  WORD_ROOM_WANTED,
} from './shared/index.ts'

/** Nobody has attached to the end yet. */
const NOBODY = 0
/** Stands in a header in the place of an executor that has detached: it listens, and rings, no more. */
export const DETACHED = -1
/** Stands in the place of an inbox where the sender is on a thread without an executor: it listens to the wish for room. */
export const INBOX_NOTIFIED = -1
/** How many ends that have detached are looked at for each that attaches or detaches. */
const SWEEP_COUNT = 2

/** Where the header of something shared tells of one end: whose it is, then its executor, and its inbox there. */
export interface EndWords {
  readonly claim: number
  readonly executor: number
  readonly inbox: number
}

export const PRODUCER_WORDS: EndWords = {
  claim: WORD_PRODUCER_CLAIM,
  executor: WORD_PRODUCER_EXECUTOR,
  inbox: WORD_PRODUCER_INBOX,
}
export const CONSUMER_WORDS: EndWords = {
  claim: WORD_CONSUMER_CLAIM,
  executor: WORD_CONSUMER_EXECUTOR,
  inbox: WORD_CONSUMER_INBOX,
}

/** What an end of something shared hands its {@link PeerLink}. */
export interface PeerListener {
  /** The peer may have left something; called in a turn of no task queue. */
  collect(): void
  /** The peer's executor has ended without a close: nothing will come from it any more. */
  peerEnded(): void
}

/** Whose header it is, and which end of it this is. */
export interface LinkParts {
  readonly words: SharedWords
  readonly self: EndWords
  readonly peer: EndWords
  /** The executor that is to attach to the other end, if that is known: it is waited for no longer than it lives. */
  readonly expectedId?: DoorbellAddress | undefined
}

/**
 * One end of something shared, as the other one reaches it, and the other way round.
 *
 * Making one takes all that may be refused; {@link open} follows, or {@link cancel}. Attaching needs no answer: each end writes its number and inbox into the header, looks there for the other's, and rings
 * it, so that it looks as well. Belongs to the executor that it was made on.
 */
export class PeerLink implements Inbox {
  /** Whether the peer has ended: what it left before is there, and nothing follows. */
  isPeerEnded = false
  readonly #home: Executor
  readonly #parts: LinkParts
  readonly #listener: PeerListener
  readonly #inbox: number
  /** Takes back what listens for the peer's end; null before the peer is known. */
  #unwatch: (() => void) | null = null
  /** Takes back what listens for everybody's, while the peer is not known. */
  #unwatchAny: (() => void) | null = null
  #isDetached = false
  /** The peer as this end was made, or detached: who may still ring here after that. */
  #ringerId: DoorbellAddress

  constructor(home: Executor, parts: LinkParts, listener: PeerListener) {
    this.#home = home
    this.#parts = parts
    this.#listener = listener
    this.#ringerId = this.#peerId
    this.#inbox = Lingering.of(home).addInbox(this, this.#ringerId)
  }

  /** Tells the peer of this end, and has each listen for the other's. */
  open(): void {
    this.listen()
    this.ring()
  }

  /** The same, for a peer that nobody rings; where it has not attached yet, it is listened for once it rings. */
  listen(): void {
    const { words, self } = this.#parts
    words.store(self.inbox, this.#inbox)
    // ORDER: the inbox first. Whoever sees the number rings there.
    words.store(self.executor, this.#home.doorbell.address)
    this.#meet()
  }

  /** Gives back what {@link open} needs, instead of it: the peer has not heard of this end. */
  cancel(): void {
    assert(!this.#isDetached, 'an end is given back once')
    this.#isDetached = true
    // The peer may be ringing an end that had the inbox before.
    Lingering.of(this.#home).add(this)
  }

  /** Tells the peer to look, if it has attached and listens. */
  ring(): void {
    const peerId = this.#peerId
    if (peerId <= NOBODY) return
    const { words, peer } = this.#parts
    const inbox = words.load(peer.inbox)
    if (inbox === INBOX_NOTIFIED) words.notify?.(WORD_ROOM_WANTED)
    else this.#home.doorbell.ring(peerId, inbox)
  }

  /** Has this end look, in a later turn: what it does in one would be too long. */
  ringSelf(): void {
    const { doorbell } = this.#home
    doorbell.ring(doorbell.address, this.#inbox)
  }

  /** The doorbell rang for this end. */
  collect(): void {
    if (this.#isDetached) return
    this.#meet()
    this.#listener.collect()
  }

  /** The last that this end does: it has said what it had to, and rings no more. Again is nothing. */
  detach(): void {
    if (this.#isDetached) return
    this.#isDetached = true
    this.#unwatch?.()
    this.#stopExpecting()
    const { words, self } = this.#parts
    // ORDER: before the look at the peer. One that attaches now sees it, and never rings.
    words.store(self.executor, DETACHED)
    this.#ringerId = this.#peerId
    Lingering.of(this.#home).add(this)
  }

  /** @internal Whether nobody rings here any more, so that the inbox can be another's. */
  get isFree(): boolean {
    if (this.#ringerId <= NOBODY || this.#peerId <= NOBODY) return true
    return this.#home.doorbell.isEnded(this.#ringerId)
  }

  /** @internal The executor that may still ring here, which had attached as this end detached; 0 or less for none. */
  get ringerId(): DoorbellAddress {
    return this.#ringerId
  }

  /** @internal */
  get inbox(): number {
    return this.#inbox
  }

  /** The number of the peer's executor; 0 before it has attached, negative once it has detached. */
  get #peerId(): number {
    const { words, peer } = this.#parts
    return words.load(peer.executor)
  }

  #meet(): void {
    if (this.#unwatch !== null) return
    const peerId = this.#peerId
    if (peerId === NOBODY) {
      this.#expect()
      return
    }
    this.#stopExpecting()
    if (peerId < NOBODY) return
    this.#unwatch = this.#home.doorbell.onPeerEnded(peerId, () => {
      // One that has detached has closed before: it owes nothing.
      if (this.#isDetached || this.#peerId === DETACHED) return
      this.isPeerEnded = true
      this.#listener.peerEnded()
    })
  }

  /** Nobody has attached to the other end yet: looks, now and whenever an executor ends, whether anybody still may. */
  #expect(): void {
    if (this.isPeerEnded) return
    this.#unwatchAny ??= this.#home.doorbell.onAnyEnded(() => this.#meet())
    const { doorbell } = this.#home
    if (!isInVain(this.#parts, (id) => doorbell.isEnded(id))) return
    this.isPeerEnded = true
    this.#stopExpecting()
    // In a later turn, as the end of one that has attached.
    this.ringSelf()
  }

  /**
   * Whether the peer has ended, by a look: for one that has detached, too, which nobody tells any more, and before this
   * turn of its thread is over.
   */
  lookForPeer(): boolean {
    const { doorbell } = this.#home
    this.isPeerEnded ||= hasPeerEnded(this.#parts, (id) => doorbell.isEnded(id))
    return this.isPeerEnded
  }

  #stopExpecting(): void {
    this.#unwatchAny?.()
    this.#unwatchAny = null
  }
}

/** Has whoever has attached to that end look, if anybody has, and listens. From any thread, which needs no executor. */
export function ringEnd(directory: Directory, words: SharedWords, end: EndWords): void {
  const id = words.load(end.executor)
  if (id <= NOBODY) return
  const inbox = words.load(end.inbox)
  if (inbox === INBOX_NOTIFIED) words.notify?.(WORD_ROOM_WANTED)
  else ringFromAnywhere(directory, id, inbox)
}

/** Whether the other end's executor has ended without a close, or will never attach. */
export function hasPeerEnded(
  parts: Omit<LinkParts, 'self'>,
  isEnded: (id: DoorbellAddress) => boolean,
): boolean {
  const { words, peer } = parts
  const id = words.load(peer.executor)
  if (id === NOBODY) return isInVain(parts, isEnded)
  // One that has detached before it ended has closed.
  return id > NOBODY && isEnded(id) && words.load(peer.executor) !== DETACHED
}

/** Whether nobody will attach to the other end, to which nobody had; abandons it where the thread that was to has ended. */
export function isInVain(
  { words, peer, expectedId = NOBODY }: Omit<LinkParts, 'self'>,
  isEnded: (id: DoorbellAddress) => boolean,
): boolean {
  if (expectedId !== NOBODY && isEnded(expectedId)) abandonEnd(words, peer.claim)
  const ownerId = words.load(peer.claim)
  if (ownerId === END_ABANDONED) return true
  // A thread may be terminated once it has the end, and before it tells of itself.
  const hasOwnerEnded = ownerId > OWNER_UNNAMED && isEnded(ownerId)
  return hasOwnerEnded && words.load(peer.executor) === NOBODY
}

const LINGERING = new WeakMap<Executor, Lingering>()

/** The ends of one executor that have detached while their peers might still ring. */
class Lingering {
  readonly #home: Executor
  /** The oldest first. */
  readonly #links = new Set<PeerLink>()
  /** The same, by the executors that may still ring them. */
  readonly #byRinger = new Map<DoorbellAddress, Set<PeerLink>>()

  static of(home: Executor): Lingering {
    let lingering = LINGERING.get(home)
    if (lingering === undefined) {
      lingering = new Lingering(home)
      LINGERING.set(home, lingering)
    }
    return lingering
  }

  private constructor(home: Executor) {
    this.#home = home
  }

  /**
   * Gives a link its inbox: that of one which the same peer rings, if any has detached. One that outlives all that
   * attaches to it, as the writer of a watch does, would use all of them up otherwise.
   *
   * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` where all inboxes are in use.
   */
  addInbox(link: PeerLink, peerId: DoorbellAddress): number {
    const { doorbell } = this.#home
    this.#sweep(SWEEP_COUNT)
    // Should the peer be terminated in the middle of ringing, the link that has the inbox then learns of its end.
    const [old] = this.#byRinger.get(peerId) ?? []
    if (old !== undefined) this.#free(old)
    try {
      return doorbell.add(link)
    } catch (error) {
      const isFull = error instanceof RuntimeError && error.code === 'ERR_LIMIT_EXCEEDED'
      if (!isFull || this.#sweep(this.#links.size) === 0) throw error
      return doorbell.add(link)
    }
  }

  add(link: PeerLink): void {
    assert(!this.#links.has(link), 'an end detaches once')
    this.#links.add(link)
    const { ringerId } = link
    if (ringerId > NOBODY) {
      const ofRinger = this.#byRinger.get(ringerId)
      if (ofRinger === undefined) this.#byRinger.set(ringerId, new Set([link]))
      else ofRinger.add(link)
    }
    this.#sweep(SWEEP_COUNT)
  }

  /** Frees inboxes of the oldest, of so many as are looked at; returns how many. */
  #sweep(countMax: number): number {
    let freed = 0
    let looked = 0
    for (const link of this.#links) {
      if (looked++ >= countMax) break
      if (link.isFree) {
        this.#free(link)
        freed++
      } else {
        this.#links.delete(link)
        this.#links.add(link)
      }
    }
    return freed
  }

  #free(link: PeerLink): void {
    this.#links.delete(link)
    const ofRinger = this.#byRinger.get(link.ringerId)
    ofRinger?.delete(link)
    if (ofRinger?.size === 0) this.#byRinger.delete(link.ringerId)
    this.#home.doorbell.remove(link.inbox)
  }
}
