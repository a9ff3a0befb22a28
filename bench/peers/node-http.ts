/**
 * node-http SOCKETS FRAMEWORK: a server of HTTP on the sockets of `percore` or `node`, by `http` alone or `fastify`.
 *
 * Prints its port; ends when its input closes.
 */

import { writeSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { adoptServer } from '../../src/node/index.ts'
import { RESPONSE_END } from '../busy-load.ts'
import { endWithStdin } from './node-server.ts'

const [sockets, framework] = process.argv.slice(2)
// What the client of this benchmark waits for, where it is not wrk.
const ANSWER = RESPONSE_END

function make(handler: RequestListener): Server {
  const server = createServer(handler)
  return sockets === 'percore' ? adoptServer(server) : server
}

async function start(): Promise<Server> {
  if (framework === 'fastify') {
    const { default: fastify } = await import('fastify')
    const app = fastify({ serverFactory: make })
    app.get('/', async () => ANSWER)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app.server
  }
  const server = make((_, response) => response.end(ANSWER))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve))
  return server
}

const server = await start()
writeSync(1, `${(server.address() as AddressInfo).port}\n`)
endWithStdin()
