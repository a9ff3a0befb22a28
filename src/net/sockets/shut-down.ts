import { checkCancellation, refuse, type WaitOptions } from '../../executor/index.ts'
import { remainingOptions } from '../values/resolve.ts'
import { handleClosed, type Socket } from './socket.ts'
import { ShutdownOperation } from './socket-operation.ts'

/** Sockets that are being shut down. */
const underWay = new WeakSet<Socket>()

/** Whether a call of {@link shutDown} has not ended. */
export function isShuttingDown(socket: Socket): boolean {
  return underWay.has(socket)
}

/** Refuses further writes and, when those before are sent, tells the peer that no more is coming. */
export async function shutDown(socket: Socket, options: WaitOptions | undefined): Promise<void> {
  const action = 'shut down'
  const current = socket.net.executor
  try {
    if (socket.isClosing) throw socket.closedError(action)
    current.assertOpen(action)
    checkCancellation(current, options, action)
    socket.receiver?.assertNotHalted(action)
  } catch (error) {
    return refuse(error)
  }
  const startNs = current.nowNs()
  const sender = socket.sending()
  const drained = sender.drained(options, action)
  sender.refuse(handleClosed('write'))
  underWay.add(socket)
  try {
    if (drained === null) return await tellEnd(socket, options)
    await drained
    if (socket.isClosing) throw socket.closedError(action)
    const left = options && remainingOptions(current, options, startNs, action)
    await tellEnd(socket, left)
  } finally {
    underWay.delete(socket)
  }
}

function tellEnd(socket: Socket, options: WaitOptions | undefined): Promise<void> {
  return new ShutdownOperation(socket).start(options, 'shut down')
}
