import { Server } from 'node:net'
import { wrongArgument } from './errors.ts'
import { listenWith } from './listening.ts'

/**
 * Has a server of `node:http`, `https`, `http2`, `tls` or `net` listen on percore's sockets, and returns it.
 *
 * Its `listen()` is percore's from then on; all else is its own, as each of them takes any `Duplex` for a connection.
 * Call it before `listen()`.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE` unless it is a server of Node; {Error} `ERR_SERVER_ALREADY_LISTEN` if it listens.
 *
 * @example
 * ```ts run
 * import { once } from 'node:events'
 * import { createServer } from 'node:http'
 * import type { AddressInfo } from 'node:net'
 * import { adoptServer } from 'percore/node'
 *
 * const server = adoptServer(createServer((_, response) => response.end('hello'))).listen(0, '127.0.0.1')
 * await once(server, 'listening')
 * const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
 * console.log(await answer.text())
 * server.close()
 * server.closeAllConnections()
 * ```
 */
export function adoptServer<S extends Server>(server: S): S {
  if (!(server instanceof Server)) {
    throw wrongArgument(
      '"server" argument',
      'a server of node:net, tls, http, https or http2',
      server,
    )
  }
  if (server.listening) {
    throw Object.assign(new Error('Listen method has been called before adoptServer().'), {
      code: 'ERR_SERVER_ALREADY_LISTEN',
    })
  }
  const listen = (...args: unknown[]): S => {
    listenWith(server, args)
    return server
  }
  Object.defineProperty(server, 'listen', { value: listen, configurable: true, writable: true })
  return server
}
