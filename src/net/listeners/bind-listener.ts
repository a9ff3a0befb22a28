import type { Executor } from '../../executor/index.ts'
import {
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  kernelError,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOL_SOCKET,
} from '../../kernel/index.ts'
import { formatAddress, type SocketAddress } from '../values/address.ts'
import type { ListenerConfiguration } from '../values/listen.ts'
import { decodeIpAddress, encodeAddress, SOCKADDR_BYTES_MAX } from '../values/sockaddr.ts'
import { setIntOption, setNoDelay } from '../values/socket-options.ts'

/** Opens the door: options, address, backlog. Returns what it is bound to. @throws {KernelError} */
export function listen(
  { kernel }: Executor,
  fd: number,
  address: SocketAddress,
  configuration: ListenerConfiguration,
): SocketAddress {
  const { reuseAddress, reusePort, ipv6Only, noDelay, backlog } = configuration
  const context = { fd, address: formatAddress(address) }
  if (reuseAddress) setIntOption(kernel, fd, SOL_SOCKET, SO_REUSEADDR, 1)
  if (reusePort) setIntOption(kernel, fd, SOL_SOCKET, SO_REUSEPORT, 1)
  // Said either way, since the system's default may be the other.
  if (address.family === 'ipv6') {
    setIntOption(kernel, fd, IPPROTO_IPV6, IPV6_V6ONLY, ipv6Only ? 1 : 0)
  }
  // Accepted sockets inherit it, which spares a call for each.
  if (noDelay) setNoDelay(kernel, fd, true)
  const bound = kernel.bindSocket(fd, encodeAddress(address))
  if (bound < 0) throw kernelError(bound, { syscall: 'bind', ...context })
  const listening = kernel.listenSocket(fd, backlog)
  if (listening < 0) throw kernelError(listening, { syscall: 'listen', ...context })
  const raw = new Uint8Array(SOCKADDR_BYTES_MAX)
  const named = kernel.socketName(fd, false, raw)
  if (named < 0) throw kernelError(named, { syscall: 'getsockname', ...context })
  return decodeIpAddress(raw)
}
