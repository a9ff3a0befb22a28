import type { KernelErrorContext } from '../../base/index.ts'
import { AwaitedOperation, type WaitOptions } from '../../executor/index.ts'
import { ENOTCONN, SHUT_WR } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { encodeConnect, encodeShutdown, type Ring, type Target } from '../../ring/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import { type Address, formatAddress } from '../values/address.ts'

/** A socket as its own operations know it. */
export interface OperatedSocket extends Target {
  readonly net: NetRing
  /** Operations of neither side. */
  otherCount: number
  describe(syscall: string): KernelErrorContext
  /** Told that an operation has had its terminal completion. */
  ended(): void
}

/** An operation of neither side of a socket, which keeps it from being closed. */
export abstract class SocketOperation extends AwaitedOperation<void> {
  protected readonly socket: OperatedSocket

  constructor(socket: OperatedSocket) {
    super(socket.net.executor)
    this.socket = socket
  }

  protected abstract encode(ring: Ring, base: number): void

  /** Submits it; throwing leaves nothing behind. */
  start(options: WaitOptions | undefined, action: string): Promise<void> {
    const { ring } = this.socket.net
    try {
      this.bind(options, action)
      this.encode(ring, ring.begin())
    } catch (error) {
      this.unbind()
      this.finish()
      throw error
    }
    ring.commit(this)
    this.socket.otherCount++
    return this.promise
  }

  override complete(result: number, flags: number): void {
    this.socket.otherCount--
    super.complete(result, flags)
    this.socket.ended()
  }

  protected override interpret(): void {}
}

/** Connects a socket to an address, which lies in `buffer`: that is released with its end. */
export class ConnectOperation extends SocketOperation {
  readonly #address: Address
  readonly #buffer: Lease

  constructor(socket: OperatedSocket, address: Address, buffer: Lease) {
    super(socket)
    this.#address = address
    this.#buffer = buffer
  }

  protected override encode(ring: Ring, base: number): void {
    const { address, lengthBytes } = this.#buffer
    encodeConnect(ring.sqes, base, { target: this.socket, address, addressBytes: lengthBytes })
  }

  protected override describe(): KernelErrorContext {
    return { syscall: 'connect', address: formatAddress(this.#address) }
  }

  protected override finish(): void {
    this.#buffer.release()
  }
}

/** Sends the end of a stream. If the peer has left already that is nothing: there is nobody to be told. */
export class ShutdownOperation extends SocketOperation {
  protected override encode(ring: Ring, base: number): void {
    encodeShutdown(ring.sqes, base, { target: this.socket, how: SHUT_WR })
  }

  override complete(result: number, flags: number): void {
    super.complete(result === -ENOTCONN ? 0 : result, flags)
  }

  protected override describe(): KernelErrorContext {
    return this.socket.describe('shutdown')
  }
}
