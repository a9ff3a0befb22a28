import { type KernelErrorContext, RuntimeError } from '../../base/index.ts'
import { refuse, type WaitOptions, type Waits } from '../../executor/index.ts'
import { EAGAIN, ECANCELED, EINTR, MSG_DONTWAIT, MSG_NOSIGNAL } from '../../kernel/index.ts'
import { encodeSend, encodeSendMessage, encodeSendTo } from '../../ring/index.ts'
import { SendBuffer, type SendMemoryUser, SendMemoryWait } from '../memory/send-memory.ts'
import type { DatagramPort, DatagramSide } from './datagram-port.ts'
import { RoomWait } from './room-wait.ts'
import { type DatagramToSend, SendDatagram, type SendDatagramSide } from './send-datagram.ts'

/**
 * The sending side of a datagram socket: one request for each datagram, several in flight where none waits for its receiver.
 *
 * They reach the kernel in the order of the calls. Memory is as for streams (`SendMemory`): where there is none the socket stands
 * in line, and a send that waits for its receiver is called back, to wait without. To begin one, to withdraw one and to
 * end one are O(1), however many wait.
 */
export class DatagramSender implements SendDatagramSide, SendMemoryUser, DatagramSide {
  closeReason: Error | null = null
  readonly #port: DatagramPort
  #first: SendDatagram | null = null
  #last: SendDatagram | null = null
  #inFlightCount = 0
  /** What was begun last: the only one where one is in flight at a time. */
  #current: SendDatagram | null = null
  #wait: SendMemoryWait | null = null
  #isStarting = false
  readonly #room: RoomWait
  #lastOrder = 0

  constructor(port: DatagramPort) {
    this.#port = port
    this.#room = new RoomWait(port, this)
    port.sides.push(this)
  }

  get isBusy(): boolean {
    return this.#inFlightCount > 0
  }

  get waits(): Waits {
    return this.#port.net.executor.waits
  }

  send(datagram: DatagramToSend, options: WaitOptions | undefined): Promise<void> {
    const { executor } = this.#port.net
    let send: SendDatagram
    try {
      executor.assertOpen('send')
      send = new SendDatagram(executor, this, datagram)
      this.#lastOrder++
      send.order = this.#lastOrder
      send.begin(options)
    } catch (error) {
      return refuse(error)
    }
    if (this.#first === null && this.#mayStart()) {
      this.#start(send, null)
    } else {
      send.enqueue()
      this.#push(send)
    }
    return send.promise
  }

  describe(): KernelErrorContext {
    return this.#port.describe('sendmsg')
  }

  withdraw(send: SendDatagram): void {
    const wasFirst = this.#first === send
    this.#remove(send)
    // The next one may be for another receiver, which has room.
    if (wasFirst) this.#room.end()
    if (this.#first === null) this.#leaveLine()
    else if (wasFirst) this.goOn()
  }

  completed(send: SendDatagram, result: number, flags: number): void {
    const port = this.#port
    this.#inFlightCount--
    if (this.#current === send) this.#current = null
    const { buffer } = send
    send.buffer = null
    this.#dropName(send)
    const isUnsent = result === -EAGAIN || result === -EINTR || result === -ECANCELED
    if (isUnsent && this.closeReason === null && !send.isGivenUp) {
      // It gave its memory to others, or nobody waits where others need memory: in its place again.
      send.requeue()
      this.#putBack(send)
      if (result === -EAGAIN) this.#room.begin(port.isIp || send.to === null)
    } else {
      if (result >= 0) {
        port.sentCount++
        this.#room.noteSent()
        port.net.home.counters[18]! += result // COUNTER_BYTES_SENT
      }
      send.end(result, flags)
    }
    if (buffer !== null) this.#giveBack(buffer)
    this.goOn()
    port.ended()
  }

  useBuffer(buffer: SendBuffer): void {
    this.#wait = null
    const send = this.#first
    if (send === null) {
      this.#port.net.sendMemory.give(buffer)
      return
    }
    this.#remove(send)
    this.#start(send, buffer)
    this.goOn()
  }

  // What has memory waits for no receiver, and ends by itself.
  urge(): void {}

  close(reason: Error): void {
    this.closeReason = reason
    this.#failWaiting(reason)
    // What waits for its receiver, or its device; O(1), as few are in flight.
    if (this.#current !== null) this.#port.cancelOperation(this.#current)
  }

  executorCloses(reason: unknown): void {
    this.#failWaiting(reason)
  }

  #failWaiting(reason: unknown): void {
    this.#leaveLine()
    // It withdraws itself, and those behind it are not to be begun.
    const wasStarting = this.#isStarting
    this.#isStarting = true
    for (let send = this.#first; send !== null; send = this.#first) send.reject(reason)
    this.#isStarting = wasStarting
  }

  #mayStart(): boolean {
    const hasRoom = this.#inFlightCount < this.#port.sendsMax
    return hasRoom && this.#wait === null && !this.#room.isWaiting
  }

  /** Begins those that wait, as many as may be in flight. */
  goOn(): void {
    // Making room for an entry may bring completions.
    if (this.#isStarting) return
    this.#isStarting = true
    while (this.#first !== null && this.#mayStart()) {
      const send = this.#first
      this.#remove(send)
      this.#start(send, null)
    }
    this.#isStarting = false
  }

  #start(send: SendDatagram, given: SendBuffer | null): void {
    const { net } = this.#port
    if (send.isLost) {
      if (given !== null) net.sendMemory.give(given)
      this.#abandon(send, dataGone())
      return
    }
    this.#takeName(send)
    const { neededBytes } = send
    let buffer = given
    if (neededBytes > 0) {
      buffer ??= net.sendMemory.take(this, neededBytes)
      if (buffer === null) {
        this.#standInLine(send)
        return
      }
      if (buffer.lease.lengthBytes < neededBytes) {
        net.sendMemory.give(buffer)
        const lease = net.executor.memory.tryAllocateUnreserved(neededBytes)
        if (lease === null) {
          this.#abandon(send, noMemory(neededBytes))
          return
        }
        buffer = new SendBuffer(lease, false)
        ownBuffers.add(buffer)
      }
    } else if (buffer !== null) {
      net.sendMemory.give(buffer)
      buffer = null
    }
    this.#submit(send, buffer)
  }

  #submit(send: SendDatagram, buffer: SendBuffer | null): void {
    const { net } = this.#port
    const address = send.stage(buffer)
    let base: number
    try {
      base = net.ring.begin()
    } catch (error) {
      send.buffer = null
      if (buffer !== null) this.#giveBack(buffer)
      this.#abandon(send, error)
      return
    }
    // For Unix the kernel has read the data by the time that it finds no room, and would send an empty datagram instead once
    // there is some.
    const mayWait = this.#port.isIp && !net.sendMemory.isScarce
    const messageFlags = mayWait ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT
    const target = this.#port
    const { sqes } = net.ring
    if (send.hasHeader) {
      encodeSendMessage(sqes, base, { target, header: buffer!.lease.address, messageFlags })
    } else if (send.nameAddress !== 0) {
      const { lengthBytes, nameAddress, to } = send
      const name = { address: nameAddress, lengthBytes: to!.lengthBytes }
      encodeSendTo(sqes, base, { target, address, lengthBytes, messageFlags, name })
    } else {
      const { lengthBytes } = send
      encodeSend(sqes, base, { target, address, lengthBytes, messageFlags })
    }
    net.ring.commit(send)
    this.#inFlightCount++
    this.#current = send
  }

  /** What goes to an address needs no header, where the kernel takes the name apart from one. */
  #takeName(send: SendDatagram): void {
    const { names } = this.#port.ring
    if (names === null || send.to === null || send.segmentBytes > 0) return
    send.nameAddress = names.take(send.to)
  }

  #dropName(send: SendDatagram): void {
    if (send.nameAddress === 0) return
    this.#port.ring.names!.give(send.nameAddress)
    send.nameAddress = 0
  }

  #standInLine(send: SendDatagram): void {
    this.#dropName(send)
    if (send.slot === -1) send.enqueue()
    this.#unshift(send)
    this.#wait = new SendMemoryWait(this, send.neededBytes)
    // It may be served before this returns.
    this.#port.net.sendMemory.wait(this.#wait)
  }

  #leaveLine(): void {
    if (this.#wait === null) return
    this.#port.net.sendMemory.leave(this.#wait)
    this.#wait = null
  }

  /** Ends one that is not in the queue, and not with the kernel. */
  #abandon(send: SendDatagram, reason: unknown): void {
    this.#dropName(send)
    if (send.slot === -1) {
      send.reject(reason)
    } else {
      this.#unshift(send)
      send.reject(reason)
    }
  }

  #giveBack(buffer: SendBuffer): void {
    if (ownBuffers.delete(buffer)) buffer.lease.release()
    else this.#port.net.sendMemory.give(buffer)
  }

  #push(send: SendDatagram): void {
    const last = this.#last
    send.before = last
    send.behind = null
    if (last === null) this.#first = send
    else last.behind = send
    this.#last = send
  }

  /** Before those that were called for later: of several in flight each may come back. */
  #putBack(send: SendDatagram): void {
    let behind = this.#first
    while (behind !== null && behind.order < send.order) behind = behind.behind
    if (behind === null) {
      this.#push(send)
    } else if (behind.before === null) {
      this.#unshift(send)
    } else {
      send.before = behind.before
      send.behind = behind
      behind.before.behind = send
      behind.before = send
    }
  }

  #unshift(send: SendDatagram): void {
    const first = this.#first
    send.before = null
    send.behind = first
    if (first === null) this.#last = send
    else first.before = send
    this.#first = send
  }

  #remove(send: SendDatagram): void {
    const { before, behind } = send
    if (before === null) this.#first = behind
    else before.behind = behind
    if (behind === null) this.#last = before
    else behind.before = before
    send.before = null
    send.behind = null
  }
}

/** Made for one datagram each, longer than what is shared. */
const ownBuffers = new WeakSet<SendBuffer>()

function dataGone(): RuntimeError {
  return new RuntimeError(
    'ERR_BUFFER_RELEASED',
    'Cannot send as data must keep its memory until it is sent: it has fewer bytes now',
  )
}

function noMemory(neededBytes: number): RuntimeError {
  return new RuntimeError(
    'ERR_OUT_OF_MEMORY',
    `Cannot send as there must be memory for a whole datagram: ${neededBytes} bytes are needed`,
  )
}
