import { assert, RuntimeError, reviveError } from '../base/index.ts'
import { createDeferred, type Deferred } from '../executor/index.ts'
import type { FromPort, OpenedPort, PortProgram, ToPort } from './port-messages.ts'

/** What a port is to be told of one of its drivers. */
export interface PortEvents {
  /** What was thrown for some connections, and for how many more. */
  onConnectionsFailed(errors: readonly unknown[], skippedCount: number): void
  /** The driver's thread has ended, whether it had the port open or was about to. Whether another follows is not decided yet. */
  onThreadEnded(): void
  /** A thread has taken the place of the driver's last one: it serves nothing yet. */
  onStartedAgain(): void
}

interface Port {
  readonly id: number
  readonly events: PortEvents
  /** Whether any of the driver's threads has had it open: the next one is to open it again. */
  wasOpen: boolean
  /** What its present thread has of it, or is about to; null if that is nothing. */
  opening: Opening | null
}

/** What one thread was asked to open, once. It may still be closing when the port is opened again. */
interface Opening {
  /** By which the driver knows it: no other has the same, so that what is said late of one is not taken for the next one's. */
  readonly number: number
  readonly port: Port
  readonly opened: Deferred<OpenedPort>
  isOpen: boolean
  /** Null while it is wanted. */
  closing: Closing | null
}

/** The end of what a thread has of a port. */
interface Closing {
  /** It has no socket of it. */
  readonly shut: Deferred<void>
  /** It has no connection either. */
  readonly closed: Deferred<void>
}

/** How a port is closed on one driver. */
export interface PortClosing {
  /** The driver has no socket of it any more. */
  readonly shut: Promise<void>
  /** It has nothing of it any more, but for what it opens just then, which it closes. */
  readonly closed: Promise<void>
}

const NOTHING_OPEN: PortClosing = { shut: Promise.resolve(), closed: Promise.resolve() }

/** The ports of one driver, as its runtime sees them: O(1) each. Belongs to the pool's thread. */
export class PortBoard {
  readonly #post: (message: ToPort) => void
  readonly #ports = new Map<number, Port>()
  /** By their numbers: those of {@link #ports}, and those that are closing. */
  readonly #openings = new Map<number, Opening>()
  #lastNumber = 0

  /** @param post - Sends to the driver that runs now; throws for what cannot be cloned. */
  constructor(post: (message: ToPort) => void) {
    this.#post = post
  }

  /** Has the driver open a port, for the first time or again. @throws as posting does. */
  open(id: number, program: PortProgram, events: PortEvents): Promise<OpenedPort> {
    const port: Port = this.#ports.get(id) ?? { id, events, wasOpen: false, opening: null }
    assert(port.opening === null, 'a thread opens a port once')
    const number = ++this.#lastNumber
    const opened = createDeferred<OpenedPort>()
    this.#post({ kind: 'openPort', port: number, program })
    port.opening = { number, port, opened, isOpen: false, closing: null }
    this.#ports.set(id, port)
    this.#openings.set(number, port.opening)
    return opened.promise
  }

  /** Whether the thread that runs now has the port open. */
  isOpen(id: number): boolean {
    return this.#ports.get(id)?.opening?.isOpen === true
  }

  /** Has the driver accept; nothing if it has been replaced since it opened the port. */
  serve(id: number): void {
    const opening = this.#ports.get(id)?.opening
    if (opening?.isOpen) this.#post({ kind: 'servePort', port: opening.number })
  }

  /** Has the driver close it. */
  close(id: number, cutAfterMs: number): PortClosing {
    const port = this.#ports.get(id)
    if (port === undefined) return NOTHING_OPEN
    // From now on it may be opened again, and no thread that comes is to do so by itself.
    this.#ports.delete(id)
    const { opening } = port
    // Its thread has ended.
    if (opening === null) return NOTHING_OPEN
    const closing: Closing = { shut: createDeferred(), closed: createDeferred() }
    opening.closing = closing
    if (opening.isOpen) this.#post({ kind: 'closePort', port: opening.number, cutAfterMs })
    else {
      // The driver is told as it says that it has opened it. Nobody waits for that.
      closing.closed.resolve()
      opening.opened.reject(
        new RuntimeError(
          'ERR_HANDLE_CLOSED',
          'Cannot open a port as it must be wanted: it was closed',
        ),
      )
    }
    return { shut: closing.shut.promise, closed: closing.closed.promise }
  }

  hear(message: FromPort): void {
    const { port: number } = message
    const opening = this.#openings.get(number)
    // A connection that was cut may fail behind the end of its port.
    if (opening === undefined) return
    const { port } = opening
    switch (message.kind) {
      case 'portOpened':
        opening.isOpen = true
        if (opening.closing === null) {
          port.wasOpen = true
          opening.opened.resolve(message.opened)
        } else this.#post({ kind: 'closePort', port: number, cutAfterMs: 0 })
        return
      case 'portRefused':
        this.#refuse(opening, reviveError(message.error))
        return
      case 'portShut':
        opening.closing?.shut.resolve()
        return
      case 'portClosed':
        // Also by a stop of the driver, which nobody waits for here.
        this.#openings.delete(number)
        if (this.#ports.get(port.id) === port) this.#ports.delete(port.id)
        endClosing(opening)
        return
      case 'connectionsFailed': {
        const { errors, skippedCount } = message
        port.events.onConnectionsFailed(errors.map(reviveError), skippedCount)
        this.#post({ kind: 'failuresTaken', port: number })
      }
    }
  }

  /** The thread has ended, and its sockets with it. */
  endAll(name: string, how: string): void {
    for (const opening of [...this.#openings.values()]) {
      if (!opening.isOpen) {
        const ended = new RuntimeError(
          'ERR_SHARD_FAILED',
          `Cannot open a port as '${name}' must go on until it is open: it ${how}`,
        )
        this.#refuse(opening, ended)
        continue
      }
      this.#openings.delete(opening.number)
      opening.port.opening = null
      endClosing(opening)
    }
    for (const { events } of [...this.#ports.values()]) events.onThreadEnded()
  }

  /** Another thread runs in its place. */
  startAgain(): void {
    for (const { events } of [...this.#ports.values()]) events.onStartedAgain()
  }

  #refuse(opening: Opening, error: unknown): void {
    assert(!opening.isOpen, 'only what is being opened is refused')
    const { number, port } = opening
    this.#openings.delete(number)
    port.opening = null
    // Closed meanwhile, and perhaps opened again: that is another of the same number.
    if (!port.wasOpen && this.#ports.get(port.id) === port) this.#ports.delete(port.id)
    // To a promise that is settled already, where it was closed, that is nothing.
    opening.opened.reject(error)
    endClosing(opening)
  }
}

function endClosing({ closing }: Opening): void {
  closing?.shut.resolve()
  closing?.closed.resolve()
}
