import { RuntimeError } from '../base/index.ts'
import type { UdpSocket } from '../net/index.ts'
import { decideRestart } from './restart-policy.ts'

/** For ever: a client does not see that nobody receives any more. What fails at once each time is called a few times a second. */
const AGAIN = { limit: 1_000_000, withinMs: 1000, backoffMs: 1, backoffMsMax: 500 }

/** What serving a socket needs of the port that it is of. */
export interface SocketHost {
  /** Aborted when the port is closed. */
  readonly signal: AbortSignal
  /** Whether the port is closed, or its driver about to end. */
  readonly isOver: boolean
  /** Calls the function of the port. */
  call(socket: UdpSocket): unknown
  /** Another socket of the same port. */
  reopen(): Promise<UdpSocket>
  /** The function has ended: with an error, or null as it returned. */
  tellEnd(error: unknown): void
  nowMs(): number
  setTimer(delayMs: number, callback: () => void): () => void
}

/**
 * A UDP socket and the function that serves it, which is called again when it ends before the port is closed: one
 * datagram that it cannot read must not silence the port. What has come meanwhile is there for the next call.
 */
export class ServedSocket {
  readonly #host: SocketHost
  #socket: UdpSocket
  #failures: readonly number[] = []

  constructor(socket: UdpSocket, host: SocketHost) {
    this.#socket = socket
    this.#host = host
  }

  /** Resolves once the port is closed, and so is the socket. Never rejects. */
  async serve(): Promise<void> {
    const host = this.#host
    try {
      for (;;) {
        await this.#callOnce()
        if (host.isOver) return
        await this.#pause()
        if (host.isOver) return
        await this.#renew()
      }
    } finally {
      await this.#socket.close()
    }
  }

  /** Hands out what has come, then ends the loops of its function; answers can be sent on. */
  endReceiving(): void {
    this.#socket.endReceiving()
  }

  close(): Promise<void> {
    return this.#socket.close()
  }

  async #callOnce(): Promise<void> {
    let error: unknown = null
    try {
      await this.#host.call(this.#socket)
    } catch (thrown) {
      error = thrown ?? new Error(`Cannot tell why a function has ended: it threw ${thrown}`)
    }
    // A consumption serves the port by itself, be its function there or not.
    const consumed = this.#socket.whenConsumed()
    // A read that was left behind would take what the next call is to get.
    if (consumed === null) this.#socket.endRead(leftBehind())
    if (error !== null) this.#host.tellEnd(error)
    await consumed
    if (error === null || consumed !== null) this.#host.tellEnd(null)
  }

  /** A socket that its function has closed, or that something which it has left behind reads on, is replaced. */
  async #renew(): Promise<void> {
    const host = this.#host
    while (!host.isOver && (this.#socket.isClosed || this.#socket.isRead)) {
      await this.#socket.close()
      try {
        this.#socket = await host.reopen()
        // Who closed the port meanwhile, or cut it, has closed the one before.
        if (host.isOver) await this.#socket.close()
      } catch (error) {
        if (host.isOver) return
        host.tellEnd(error)
        await this.#pause()
      }
    }
  }

  #pause(): Promise<void> {
    const { signal } = this.#host
    const { delayMs, failures } = decideRestart(AGAIN, this.#failures, this.#host.nowMs())
    this.#failures = failures
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const cancel = this.#host.setTimer(delayMs!, end)
      signal.addEventListener('abort', end)
      if (signal.aborted) end()
    })
  }
}

function leftBehind(): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    'Cannot receive as the function that serves the port must be running: it has ended, and this read was left behind',
  )
}
