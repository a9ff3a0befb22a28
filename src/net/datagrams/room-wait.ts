import { NO_QUEUE, NS_PER_MS, type RuntimeError } from '../../base/index.ts'
import { POLLOUT } from '../../kernel/index.ts'
import { RetryTimer } from '../../reactor/index.ts'
import { encodePoll, Operation } from '../../ring/index.ts'
import type { DatagramPort, DatagramSide } from './datagram-port.ts'

const DELAY_NS_MIN: number = NS_PER_MS
const DELAY_NS_MAX: number = 64 * NS_PER_MS

/** Who sends again once there may be room. */
export interface RoomUser {
  goOn(): void
  executorCloses(reason: RuntimeError): void
}

/**
 * Waits until a datagram that was refused for want of room may be sent again.
 *
 * By a poll, where the kernel tells; it does not for a Unix receiver that the socket is not connected to: that one is tried again
 * after a millisecond, then after twice as long, up to 64 ms.
 */
export class RoomWait extends Operation implements DatagramSide {
  readonly #port: DatagramPort
  readonly #user: RoomUser
  readonly #timer: RetryTimer
  #delayNs = DELAY_NS_MIN
  #isPolling = false
  #isEnding = false

  constructor(port: DatagramPort, user: RoomUser) {
    super(NO_QUEUE)
    this.#port = port
    this.#user = user
    this.#timer = new RetryTimer(() => user.goOn(), {
      keepsAlive: true,
      onClose: (reason) => user.executorCloses(reason),
    })
    port.sides.push(this)
  }

  get isBusy(): boolean {
    return this.#isPolling
  }

  get isWaiting(): boolean {
    return this.#isPolling || this.#timer.isArmed
  }

  begin(isTold: boolean): void {
    if (this.isWaiting) return
    if (isTold && this.#poll()) return
    this.#timer.schedule(this.#port.net.executor.timers, this.#delayNs)
    this.#delayNs = Math.min(this.#delayNs * 2, DELAY_NS_MAX)
  }

  /** Something was sent: the next one that finds no room tries again soon. */
  noteSent(): void {
    this.#delayNs = DELAY_NS_MIN
  }

  /** Who waited has given up. */
  end(): void {
    if (!this.#isPolling) {
      this.#port.net.executor.timers.disarm(this.#timer)
    } else if (!this.#isEnding) {
      this.#isEnding = true
      this.#port.cancelOperation(this)
    }
  }

  close(): void {
    this.end()
  }

  // Whatever it says: who sends is told by the kernel what is wrong.
  override complete(): void {
    this.#isPolling = false
    this.#isEnding = false
    this.#user.goOn()
    this.#port.ended()
  }

  override executorCloses(reason: RuntimeError): void {
    this.#user.executorCloses(reason)
  }

  override run(): void {}

  /** False where the ring takes no more for now. */
  #poll(): boolean {
    const { ring } = this.#port.net
    let base: number
    try {
      base = ring.begin()
    } catch {
      return false
    }
    encodePoll(ring.sqes, base, { target: this.#port, events: POLLOUT, multishot: false })
    ring.commit(this)
    this.#isPolling = true
    return true
  }
}
