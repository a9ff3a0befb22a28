import {
  IPPROTO_TCP,
  kernelError,
  SO_KEEPALIVE,
  SO_LINGER,
  SOL_SOCKET,
  type SocketCalls,
  TCP_KEEPIDLE,
  TCP_NODELAY,
} from '../../kernel/index.ts'

/** Sets an option whose value is an int. @throws {KernelError} */
export function setIntOption(
  kernel: SocketCalls,
  fd: number,
  level: number,
  option: number,
  value: number,
): void {
  setOption(kernel, fd, level, option, Int32Array.of(value))
}

/** Reads an option whose value is an int. @throws {KernelError} */
export function getIntOption(
  kernel: SocketCalls,
  fd: number,
  level: number,
  option: number,
): number {
  const value = new Int32Array(1)
  const result = kernel.getSocketOption(fd, level, option, new Uint8Array(value.buffer))
  if (result < 0) throw kernelError(result, { syscall: 'getsockopt', fd })
  return value[0]!
}

export function setNoDelay(kernel: SocketCalls, fd: number, enabled: boolean): void {
  setIntOption(kernel, fd, IPPROTO_TCP, TCP_NODELAY, enabled ? 1 : 0)
}

/** `delaySeconds` of 0 leaves the system's default. */
export function setKeepAlive(
  kernel: SocketCalls,
  fd: number,
  enabled: boolean,
  delaySeconds: number,
): void {
  setIntOption(kernel, fd, SOL_SOCKET, SO_KEEPALIVE, enabled ? 1 : 0)
  if (enabled && delaySeconds > 0) {
    setIntOption(kernel, fd, IPPROTO_TCP, TCP_KEEPIDLE, delaySeconds)
  }
}

/** `seconds` of null is the default: what is unsent is sent in the background. */
export function setLinger(kernel: SocketCalls, fd: number, seconds: number | null): void {
  // ABI: struct linger: onoff, seconds.
  setOption(
    kernel,
    fd,
    SOL_SOCKET,
    SO_LINGER,
    Int32Array.of(seconds === null ? 0 : 1, seconds ?? 0),
  )
}

function setOption(
  kernel: SocketCalls,
  fd: number,
  level: number,
  option: number,
  value: Int32Array,
): void {
  const result = kernel.setSocketOption(fd, level, option, new Uint8Array(value.buffer))
  if (result < 0) throw kernelError(result, { syscall: 'setsockopt', fd })
}
