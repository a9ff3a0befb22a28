import {
  NS_PER_MS,
  RuntimeError,
  validateBoolean,
  validateDurationMs,
  validateOptions,
} from '../../base/index.ts'
import {
  checkCancellation,
  currentOrNull,
  type Executor,
  executor,
  OwnedDescriptor,
  refuse,
} from '../../executor/index.ts'
import { currentKernel, ENOENT, kernelError } from '../../kernel/index.ts'
import { RetryTimer } from '../../reactor/index.ts'
import { netRingFor } from '../memory/net-ring.ts'
import { isShuttingDown } from '../sockets/shut-down.ts'
import { handleClosed, Socket } from '../sockets/socket.ts'
import {
  DETACH_NAMES,
  type DetachOptions,
  type StreamTicket,
  validateTicket,
} from '../values/stream-ticket.ts'

/** Ends all that goes on with a socket here, and lets its descriptor go. */
export async function detachSocket<Ticket extends StreamTicket>(
  socket: Socket,
  kind: Ticket['kind'],
  options: DetachOptions,
): Promise<Ticket> {
  const action = 'detach a stream'
  validateOptions(action, options, DETACH_NAMES)
  const { outlivesThread = false, adoptWithinMs, signal, timeoutMs } = options
  validateBoolean(action, 'outlivesThread', outlivesThread)
  if (adoptWithinMs !== undefined) validateDurationMs(action, 'adoptWithinMs', adoptWithinMs)
  if (socket.isClosing) throw socket.closedError(action)
  const current = socket.net.executor
  if (current.isClosing) return refuse(current.waits.closedError(action))
  const wait = { signal, timeoutMs }
  checkCancellation(current, wait, action)
  if (isShuttingDown(socket)) throw shuttingDown(action)
  const receiver = socket.receiving()
  receiver.halt(action)
  const sender = socket.sending()
  const refusal = new RuntimeError(
    'ERR_HANDLE_CLOSED',
    'Cannot write as the stream must stay here: it is being detached',
  )
  sender.refuse(refusal)
  try {
    const drained = sender.drained(wait, action)
    if (drained !== null) await drained
    await endReceive(socket, action)
    if (socket.isClosing) throw handleClosed(action)
    if (current.isClosed) throw current.waits.closedError(action)
    const name = pass(socket, outlivesThread)
    const ticket = { kind, name, ...describe(socket, refusal) } as Ticket
    socket.letGo()
    if (adoptWithinMs !== undefined) limitTicket(current, ticket.name, adoptWithinMs)
    return ticket
  } catch (error) {
    receiver.resume()
    sender.takeBack(refusal)
    throw error
  }
}

/** Ends the receive in flight; what it still brings is kept. */
async function endReceive(socket: Socket, action: string): Promise<void> {
  if (socket.isClosing) throw handleClosed(action)
  const { timers } = socket.net.executor
  const receiver = socket.receiving()
  receiver.stop()
  const idle = socket.whenIdle(action)
  if (idle === null) return
  // A request that is just being tried again may escape a cancel: another follows.
  const again = new RetryTimer(() => {
    receiver.stop()
    again.schedule(timers)
  })
  again.schedule(timers)
  try {
    await idle
  } finally {
    timers.disarm(again)
  }
}

function pass(socket: Socket, outlivesThread: boolean): number {
  const name = socket.net.executor.descriptors.passFd(socket.fd, outlivesThread)
  if (name < 0) throw kernelError(name, socket.describe('detach'))
  return name
}

/** What a ticket says of a stream, whose descriptor is passed on. */
function describe(socket: Socket, refusal: RuntimeError): Omit<StreamTicket, 'kind' | 'name'> {
  const { localAddress, remoteAddress, bytesRead, bytesWritten } = socket
  const sender = socket.sending()
  const { bytes, hasEnded, errno } = socket.receiving().takeRest()
  return {
    received: bytes,
    hasEnded,
    readErrno: errno,
    isShutDown: sender.isRefusing(refusal),
    writeErrno: sender.errno,
    bytesRead,
    bytesWritten,
    localAddress,
    remoteAddress,
  } as Omit<StreamTicket, 'kind' | 'name'>
}

/** The limits of tickets, by their names, on the threads that keep them: until their time, or until such a thread sees the ticket used. */
const limits = new WeakMap<Executor, Map<number, RetryTimer>>()

/** Closes the connection if nobody has adopted it by then; that nobody waits for. */
function limitTicket(home: Executor, name: number, delayMs: number): void {
  const { kernel, timers } = home
  const own = limits.get(home) ?? new Map<number, RetryTimer>()
  limits.set(home, own)
  const limit = new RetryTimer(
    () => {
      own.delete(name)
      kernel.dropPassedFd(name)
    },
    { keepsAlive: false },
  )
  own.set(name, limit)
  timers.arm(limit, timers.nowNs() + delayMs * NS_PER_MS)
}

/** A ticket is spent here; where another thread keeps its limit, that finds nothing to close then. */
function unlimitTicket(home: Executor, name: number): void {
  const own = limits.get(home)
  const limit = own?.get(name)
  if (limit === undefined) return
  own!.delete(name)
  home.timers.disarm(limit)
}

/** Takes over the descriptor of a ticket, and what had come; or one that came from elsewhere. */
export function adoptSocket(
  from: StreamTicket | OwnedDescriptor,
  kind: StreamTicket['kind'],
): Socket {
  return from instanceof OwnedDescriptor ? adoptOwned(from, kind) : adoptTicket(from, kind)
}

function adoptTicket(ticket: StreamTicket, kind: StreamTicket['kind']): Socket {
  const action = 'adopt a stream'
  validateTicket(action, ticket, kind)
  const current = executor()
  current.assertOpen(action)
  // First, as it may fail, and the ticket is then still good.
  const net = netRingFor(current, current.currentQueue())
  const fd = current.descriptors.takeFd(ticket.name)
  if (fd >= 0 || fd === -ENOENT) unlimitTicket(current, ticket.name)
  if (fd === -ENOENT) throw ticketSpent(action)
  if (fd < 0) throw kernelError(fd, { syscall: 'adopt' })
  const socket = new Socket(net, fd, ticket.remoteAddress)
  socket.lookUpRemote()
  socket.bytesRead = ticket.bytesRead
  const { received, hasEnded, readErrno, isShutDown, writeErrno, bytesWritten } = ticket
  if (received.length > 0 || hasEnded || readErrno !== 0) {
    socket.receiving().restore({ bytes: received, hasEnded, errno: readErrno })
  }
  if (isShutDown || writeErrno !== 0 || bytesWritten > 0) {
    const closed = isShutDown ? handleClosed('write') : null
    socket.sending().restore(bytesWritten, writeErrno, closed)
  }
  return socket
}

function adoptOwned(descriptor: OwnedDescriptor, kind: StreamTicket['kind']): Socket {
  const current = executor()
  const wanted = kind === 'TcpStream' ? 'tcpStream' : 'unixStream'
  descriptor.assertTakeable(current, 'adopt a stream', wanted)
  const net = netRingFor(current, current.currentQueue())
  const socket = new Socket(net, descriptor.take(), null)
  socket.lookUpRemote()
  return socket
}

/** Closes the connection of a ticket, if nobody has adopted or discarded it; whether it was so. */
export function discardTicket(ticket: StreamTicket, kind: StreamTicket['kind']): boolean {
  validateTicket('discard a stream', ticket, kind)
  const home = currentOrNull()
  if (home !== null) unlimitTicket(home, ticket.name)
  return currentKernel().dropPassedFd(ticket.name) !== -ENOENT
}

function ticketSpent(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_TICKET_SPENT',
    `Cannot ${action} as its ticket must be good: it was adopted or discarded, or the thread that made it has ended`,
  )
}

function shuttingDown(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot ${action} as no shutdown() must be under way: one is`,
  )
}
