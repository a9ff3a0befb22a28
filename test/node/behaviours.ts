/**
 * Behaviours of `net.Socket` and `net.Server`, each shown on `node:net` and on `percore/node` by the same function.
 *
 * They are what files of Node's own suite (test/parallel) are after, which each names, written anew.
 */
import assert from 'node:assert/strict'
import type { EventEmitter } from 'node:events'
import { once } from 'node:events'
import nodeNet, { type AddressInfo, type Server, type Socket } from 'node:net'
import { test } from 'node:test'
import * as percoreNet from '../../src/node/index.ts'
import { limited } from '../limits.ts'

/** What both have. */
export type Net = Pick<
  typeof nodeNet,
  'Socket' | 'Server' | 'createServer' | 'connect' | 'createConnection'
>

const MODULES: Readonly<Record<string, Net>> = {
  'node:net': nodeNet,
  percore: percoreNet as unknown as Net,
}
const LIMIT = limited(20_000)

/** Declares a behaviour, and the file of Node's suite that it is from. */
export function behaves(
  source: string,
  what: string,
  expected: unknown,
  run: (bench: Bench) => Promise<unknown> | unknown,
  skip: string | false = false,
): void {
  for (const [name, net] of Object.entries(MODULES)) {
    // What a release of Node does not have yet is ours alone there.
    const options = { ...LIMIT, skip: name === 'node:net' && skip }
    test(`${what} [${name}] (${source})`, options, async () => {
      const bench = new Bench(net)
      try {
        assert.deepEqual(await run(bench), expected)
      } finally {
        bench.clear()
      }
    })
  }
}

/** Two ends of a connection. */
export interface Pair {
  readonly client: Socket
  readonly peer: Socket
}

/** Servers and sockets of one behaviour, which are gone after it. */
export class Bench {
  readonly net: Net
  readonly #sockets: Socket[] = []
  readonly #servers: Server[] = []

  constructor(net: Net) {
    this.net = net
  }

  /** A server that listens on 127.0.0.1, and its port. */
  async serve(
    listener: (socket: Socket) => void = () => {},
    options: nodeNet.ServerOpts = {},
  ): Promise<{ server: Server; port: number }> {
    const server = this.net.createServer(options, (socket) => listener(this.own(socket)))
    this.ownServer(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { server, port: (server.address() as AddressInfo).port }
  }

  /** A port of 127.0.0.1 on which nobody listens. */
  async unusedPort(): Promise<number> {
    const server = nodeNet.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    return port
  }

  connect(port: number, options: object = {}): Socket {
    return this.own(this.net.connect({ port, host: '127.0.0.1', ...options }))
  }

  /** Both ends of a new connection. */
  async pair(serverOptions: nodeNet.ServerOpts = {}, clientOptions: object = {}): Promise<Pair> {
    const { promise, resolve } = withResolvers<Socket>()
    const { port } = await this.serve(resolve, serverOptions)
    const client = this.connect(port, clientOptions)
    const [peer] = await Promise.all([promise, once(client, 'connect')])
    return { client, peer }
  }

  own(socket: Socket): Socket {
    this.#sockets.push(socket)
    return socket
  }

  ownServer(server: Server): Server {
    this.#servers.push(server)
    return server
  }

  clear(): void {
    for (const socket of this.#sockets) socket.on('error', () => {}).destroy()
    for (const server of this.#servers) if (server.listening) server.close()
  }
}

/** The names of events as they are emitted, with what `describe` says of their first value. */
export function logEvents(
  emitter: EventEmitter,
  names: readonly string[],
  describe: (name: string, value: unknown) => string = (name) => name,
): string[] {
  const log: string[] = []
  for (const name of names) emitter.on(name, (value) => log.push(describe(name, value)))
  return log
}

/** All that comes, as text, to the end. */
export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

/** The error that is emitted, by its fields. */
export async function failureOf(emitter: EventEmitter): Promise<Record<string, unknown>> {
  const [error] = (await once(emitter, 'error')) as [Error & Record<string, unknown>]
  return fieldsOf(error)
}

export function fieldsOf(error: Error & Record<string, unknown>): Record<string, unknown> {
  const { code, errno, syscall, address, message } = error
  return { code, errno, syscall, address, message }
}

/** The code of what a call throws. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
  return 'nothing'
}

export function withResolvers<T>(): {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: unknown) => void
} {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((onValue, onReason) => {
    resolve = onValue
    reject = onReason
  })
  return { promise, resolve, reject }
}

/** After what is due in Node's loop. */
export function immediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
