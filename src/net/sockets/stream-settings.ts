/** The settings of a stream's socket, checked and named for its user. */
import { validateBoolean, validateInteger } from '../../base/index.ts'
import { SO_RCVBUF, SO_SNDBUF, SOL_SOCKET, type SocketCalls } from '../../kernel/index.ts'
import {
  getIntOption,
  setIntOption,
  setKeepAlive,
  setLinger,
  setNoDelay,
} from '../values/socket-options.ts'
import type { Socket } from './socket.ts'

export const RECEIVE_BUFFER: number = SO_RCVBUF
export const SEND_BUFFER: number = SO_SNDBUF

export function applyNoDelay(socket: Socket, enabled: boolean): void {
  validateBoolean('set no-delay', 'enabled', enabled)
  setNoDelay(openKernel(socket, 'set an option'), socket.fd, enabled)
}

export function applyKeepAlive(socket: Socket, enabled: boolean, delayMs: number): void {
  validateBoolean('set keep-alive', 'enabled', enabled)
  validateInteger('set keep-alive', 'delayMs', delayMs, { min: 0, max: 32_767_000 })
  const seconds = Math.ceil(delayMs / 1000)
  setKeepAlive(openKernel(socket, 'set an option'), socket.fd, enabled, seconds)
}

export function applyLinger(socket: Socket, seconds: number | null): void {
  if (seconds !== null) {
    validateInteger('set linger', 'seconds', seconds, { min: 0, max: 32_767 })
  }
  setLinger(openKernel(socket, 'set an option'), socket.fd, seconds)
}

/** `option` is {@link RECEIVE_BUFFER} or {@link SEND_BUFFER}. */
export function applyBufferBytes(socket: Socket, option: number, bytes: number): void {
  validateInteger('set a buffer size', 'bytes', bytes, { min: 1, max: 2 ** 30 })
  setIntOption(openKernel(socket, 'set an option'), socket.fd, SOL_SOCKET, option, bytes)
}

export function bufferBytesOf(socket: Socket, option: number): number {
  return getIntOption(openKernel(socket, 'get an option'), socket.fd, SOL_SOCKET, option)
}

function openKernel(socket: Socket, action: string): SocketCalls {
  if (socket.isClosed) throw socket.closedError(action)
  return socket.net.executor.kernel
}
