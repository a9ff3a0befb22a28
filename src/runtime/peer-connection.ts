import { decodeHeader, FRAME_CALL, FRAME_CANCEL } from './call-frames.ts'
import { type CallsHost, IncomingCalls } from './incoming-calls.ts'
import { OutgoingCalls } from './outgoing-calls.ts'
import type { LinkEnds } from './service-messages.ts'
import { type Link, type LinkListener, ShardLink } from './shard-link.ts'

/** What a connection is made for. */
export interface PeerHost extends CallsHost {
  /** Whether it leads to this shard itself. */
  readonly isSelf: boolean
  peerName(): string
  /** Asks the pool for a link. */
  askLink(): void
}

/** The calls between this shard and one other, or within this one, and the link that they go by while there is one. */
export class PeerConnection implements LinkListener {
  readonly outgoing: OutgoingCalls
  readonly #incoming: IncomingCalls
  readonly #host: PeerHost
  #link: Link | null = null

  constructor(id: number, host: PeerHost) {
    this.#host = host
    const owner = { askLink: () => this.#askLink() }
    this.outgoing = new OutgoingCalls(host.home, owner, () => host.peerName())
    this.#incoming = new IncomingCalls(host, id)
  }

  /** A link, also after one whose other thread has ended. */
  connect(ends: LinkEnds): void {
    this.disconnect()
    // Attaching is refused while the executor closes, when nothing is called any more.
    if (this.#host.home.isClosing) return
    const link = new ShardLink(this.#host.home, ends, this)
    this.#use(link)
    link.open()
  }

  /** The pool has none: that shard has no thread. */
  refuse(): void {
    if (this.#link === null) this.outgoing.failAll()
  }

  disconnect(): void {
    const link = this.#link
    if (link === null) return
    this.#link = null
    link.close()
    this.#incoming.cancelAll()
    this.outgoing.failAll()
  }

  receive(frame: Uint8Array): void {
    const { kind } = decodeHeader(frame)
    if (kind === FRAME_CALL) this.#incoming.begin(frame)
    else if (kind === FRAME_CANCEL) this.#incoming.cancel(frame)
    else this.outgoing.answer(frame)
  }

  linkEnded(): void {
    this.disconnect()
  }

  #askLink(): void {
    if (this.#host.isSelf) this.#use(new LoopLink(this))
    else this.#host.askLink()
  }

  #use(link: Link): void {
    this.#link = link
    this.#incoming.setLink(link)
    this.outgoing.setLink(link)
  }
}

/** A shard's way to itself: the same calls, by the same bytes, so that what runs on one shard runs on many. */
class LoopLink implements Link {
  readonly #listener: LinkListener

  constructor(listener: LinkListener) {
    this.#listener = listener
  }

  send(frame: Uint8Array): void {
    this.#listener.receive(frame)
  }

  close(): void {}
}
