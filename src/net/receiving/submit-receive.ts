import { RetryTimer } from '../../reactor/index.ts'
import { encodeReceiveSelect, type Operation } from '../../ring/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import type { SocketPort } from '../memory/socket-port.ts'
import { LARGE, wantsLarge, withoutLarge } from './receive-sizes.ts'
import { UNREFERENCED } from './receive-states.ts'

/**
 * Submits a receive of a side whose number is `state`: into one large buffer, or small ones for as long as it goes on.
 *
 * @throws as {@link Ring.begin} does.
 */
export function submitReceive(receiver: Operation, socket: SocketPort, state: number): void {
  const { net } = socket
  const { ring } = net
  const isLarge = (state & LARGE) !== 0
  const base = ring.begin()
  encodeReceiveSelect(ring.sqes, base, {
    target: socket,
    bufferGroup: net.poolOf(isLarge).buffers.groupId,
    multishot: net.isMultishot && !isLarge,
    bundle: net.isBundling && !isLarge,
  })
  ring.commit(receiver)
  if ((state & UNREFERENCED) !== 0) net.executor.liveness.passOver(ring.index)
}

/** The number of a side that is to receive, and of which nothing waits. */
export function chooseSize(state: number, net: NetRing): number {
  const next = confirmLarge(state, net)
  return wantsLarge(next) ? next | LARGE : next & ~LARGE
}

/** The same of one that is busy only if a large buffer is there for it. */
export function confirmLarge(state: number, net: NetRing): number {
  return wantsLarge(state) && !net.hasLargeRoom() ? withoutLarge(state) : state
}

/** A receiving side whose consumer waits, and whose receive the ring has refused for now. */
export interface Rearmed {
  rearm(): void
  executorCloses(reason: Error): void
}

export function rearmLater(receiver: Rearmed, { net }: SocketPort): void {
  const retry = new RetryTimer(() => receiver.rearm(), {
    onClose: (closed) => receiver.executorCloses(closed),
  })
  retry.schedule(net.executor.timers)
}
