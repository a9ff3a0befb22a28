import { assert, RuntimeError, reviveError } from '../base/index.ts'
import { createDeferred, type Deferred } from '../executor/index.ts'
import type { FromPort, OpenedPort, PortProgram, ToPort } from './port-messages.ts'

/** What a port is to be told of one of its drivers. */
export interface PortEvents {
  onConnectionFailed(error: unknown): void
  /** A thread has taken the place of the driver's last one: it serves nothing yet. */
  onStartedAgain(): void
}

interface OpenPort {
  readonly events: PortEvents
  /** While it is being opened by the present thread. */
  opening: Deferred<OpenedPort> | null
  /** While it is being closed. */
  closing: Deferred<void> | null
  /** Whether the present thread has it open. */
  isOpen: boolean
  /** Whether any of its threads has had it open: the next one is to open it again. */
  wasOpen: boolean
}

/** The ports of one driver, as its runtime sees them: O(1) each. Belongs to the pool's thread. */
export class PortBoard {
  readonly #post: (message: ToPort) => void
  readonly #ports = new Map<number, OpenPort>()

  /** @param post - Sends to the driver that runs now; throws for what cannot be cloned. */
  constructor(post: (message: ToPort) => void) {
    this.#post = post
  }

  /** Has the driver open a port, for the first time or again. */
  open(port: number, program: PortProgram, events: PortEvents): Promise<OpenedPort> {
    let entry = this.#ports.get(port)
    if (entry === undefined) {
      entry = { events, opening: null, closing: null, isOpen: false, wasOpen: false }
      this.#ports.set(port, entry)
    }
    assert(!entry.isOpen && entry.opening === null, 'a thread opens a port once')
    entry.opening = createDeferred()
    const { promise } = entry.opening
    this.#post({ kind: 'openPort', port, program })
    return promise
  }

  /** Whether the thread that runs now has the port open. */
  isOpen(port: number): boolean {
    return this.#ports.get(port)?.isOpen === true
  }

  /** Has the driver accept; nothing if it has been replaced since it opened the port. */
  serve(port: number): void {
    if (this.isOpen(port)) this.#post({ kind: 'servePort', port })
  }

  /** Resolves once the driver has nothing of the port any more. */
  close(port: number, cutAfterMs: number): Promise<void> {
    const entry = this.#ports.get(port)
    if (entry === undefined) return Promise.resolve()
    if (entry.closing !== null) return entry.closing.promise
    if (!entry.isOpen) {
      // Its thread has ended, and the next one is not to open it; one that is just doing so is told as it says so.
      this.#ports.delete(port)
      entry.opening?.reject(
        new RuntimeError(
          'ERR_HANDLE_CLOSED',
          'Cannot open a port as it must be wanted: it was closed',
        ),
      )
      return Promise.resolve()
    }
    entry.closing = createDeferred()
    this.#post({ kind: 'closePort', port, cutAfterMs })
    return entry.closing.promise
  }

  hear(message: FromPort): void {
    const entry = this.#ports.get(message.port)
    if (entry === undefined) {
      // It was closed while it was being opened. Or this is a failure that comes behind the end of its port.
      if (message.kind === 'portOpened') {
        this.#post({ kind: 'closePort', port: message.port, cutAfterMs: 0 })
      }
      return
    }
    switch (message.kind) {
      case 'portOpened':
        entry.isOpen = true
        entry.wasOpen = true
        entry.opening!.resolve(message.opened)
        entry.opening = null
        return
      case 'portRefused':
        this.#refuse(message.port, entry, reviveError(message.error))
        return
      case 'portClosed':
        // Also by a stop of the driver, which nobody waits for here.
        this.#ports.delete(message.port)
        entry.closing?.resolve()
        return
      case 'connectionFailed':
        entry.events.onConnectionFailed(reviveError(message.error))
    }
  }

  /** The thread has ended, and its sockets with it. */
  endAll(name: string, how: string): void {
    for (const [port, entry] of [...this.#ports]) {
      entry.isOpen = false
      if (entry.opening !== null) {
        const ended = new RuntimeError(
          'ERR_SHARD_FAILED',
          `Cannot open a port as '${name}' must go on until it is open: it ${how}`,
        )
        this.#refuse(port, entry, ended)
      }
      if (entry.closing === null) continue
      this.#ports.delete(port)
      entry.closing.resolve()
    }
  }

  /** Another thread runs in its place. */
  startAgain(): void {
    for (const { events } of [...this.#ports.values()]) events.onStartedAgain()
  }

  #refuse(port: number, entry: OpenPort, error: unknown): void {
    assert(entry.opening !== null, 'only what is being opened is refused')
    const { opening } = entry
    entry.opening = null
    if (!entry.wasOpen) this.#ports.delete(port)
    opening.reject(error)
  }
}
