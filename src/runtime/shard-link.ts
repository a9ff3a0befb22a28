import { assert } from '../base/index.ts'
import {
  attachSender,
  createFrameSource,
  NONE,
  type RingSource,
  type SharedSender,
  type SourceOwner,
} from '../channels/index.ts'
import type { Executor } from '../executor/index.ts'
import { runForNobody } from './call-context.ts'
import type { LinkEnds } from './service-messages.ts'

/** So many frames before other work of the thread. */
const LOT_COUNT = 64

/** Told of what comes over a link. */
export interface LinkListener {
  receive(frame: Uint8Array): void
  /** The other thread has ended; all that it left was received. */
  linkEnded(): void
}

/** How frames get to a shard. */
export interface Link {
  /** Never waits: what there is no room for goes as there is some, in its order. */
  send(frame: Uint8Array): void
  close(): void
}

/**
 * Two rings, to another shard and back.
 *
 * What comes is always taken out, whatever this shard waits for, so that shards which fill each other's rings go on.
 */
export class ShardLink implements Link, SourceOwner<Uint8Array> {
  readonly #home: Executor
  readonly #listener: LinkListener
  readonly #sender: SharedSender<Uint8Array>
  readonly #source: RingSource<Uint8Array>
  #isClosed = false
  #isDraining = false

  constructor(home: Executor, { outgoing, incoming }: LinkEnds, listener: LinkListener) {
    this.#home = home
    this.#listener = listener
    this.#sender = attachSender(outgoing)
    this.#source = createFrameSource(home, incoming, this)
  }

  /** Begins to receive: also what has come before. */
  open(): void {
    this.#source.open()
    this.#drain()
  }

  send(frame: Uint8Array): void {
    if (this.#isClosed) return
    const sender = this.#sender
    if (!sender.isFull) {
      try {
        sender.trySend(frame)
        return
      } catch {
        // It has too little room for so long a frame, or the other thread has ended, which this one is told.
      }
    }
    // Nobody's wait: a caller that is cancelled must not take half of a frame back.
    runForNobody(() => void sender.send(frame).catch(ignore))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#sender.close()
    this.#source.close()
  }

  sourceHasNews(): void {
    if (!this.#isDraining) this.#drain()
  }

  #drain(): void {
    const source = this.#source
    let left = LOT_COUNT
    for (;;) {
      if (this.#isClosed) return
      const frame = source.take()
      if (frame !== NONE) {
        this.#listener.receive(frame)
        if (--left === 0) {
          this.#drainLater()
          return
        }
      } else if (source.isPeerEnded || source.isEnded) {
        this.#listener.linkEnded()
        return
      } else if (!source.requestItem()) return
    }
  }

  #drainLater(): void {
    assert(!this.#isDraining, 'a link is drained once at a time')
    if (this.#home.isClosing) return
    this.#isDraining = true
    const { defaultQueue } = this.#home
    runForNobody(() =>
      this.#home.spawnInto(defaultQueue, () => this.#goOn(), 'calls').catch(ignore),
    )
  }

  #goOn(): void {
    this.#isDraining = false
    this.#drain()
  }
}

function ignore(): void {}
