import { AsyncLocalStorage } from 'node:async_hooks'
import { lookup } from 'node:dns'
import { once } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { promisify } from 'node:util'
import {
  type Bench,
  behaves,
  failureOf,
  immediate,
  logEvents,
  thrownBy,
  withResolvers,
} from './behaviours.ts'

const lookUp = promisify(lookup)
const made = (bench: Bench): Server => bench.ownServer(bench.net.createServer())
const portOf = (server: Server): number => (server.address() as AddressInfo).port

behaves(
  'test-net-listen-port-option',
  'address() is known in the line after listen(port)',
  true,
  (bench) => portOf(made(bench).listen(0)) > 0,
)
behaves(
  'test-net-server-listen-options',
  'listen() takes its arguments in every form',
  7,
  async (bench) => {
    const forms: ((server: Server, done: () => void) => unknown)[] = [
      (server, done) => server.listen(done),
      (server, done) => server.listen(0, done),
      (server, done) => server.listen(0, '127.0.0.1', done),
      (server, done) => server.listen(0, '127.0.0.1', 10, done),
      (server, done) => server.listen(0, 10, done),
      (server, done) => server.listen({ port: 0, host: '127.0.0.1', backlog: 5 }, done),
      (server, done) => server.listen(undefined as never, done),
    ]
    let count = 0
    for (const listen of forms) {
      await new Promise<void>((resolve) => listen(made(bench), resolve))
      count++
    }
    return count
  },
)
for (const port of [-1, 65_536, 1.5, 'a1.5', Number.NaN]) {
  behaves(
    'test-net-listen-invalid-port',
    `listen() refuses port ${port}`,
    'ERR_SOCKET_BAD_PORT',
    (bench) => thrownBy(() => made(bench).listen({ port: port as number })),
  )
}
behaves(
  'test-net-server-listen-options',
  'listen() refuses options without a port',
  'ERR_INVALID_ARG_VALUE',
  (bench) => thrownBy(() => made(bench).listen({} as never)),
)
behaves(
  'test-net-listen-twice',
  'listen() twice is refused',
  'ERR_SERVER_ALREADY_LISTEN',
  async (bench) => {
    const { server } = await bench.serve()
    return thrownBy(() => server.listen(0))
  },
)
behaves(
  'test-net-server-call-listen-multiple-times',
  'a server that was closed listens again',
  true,
  async (bench) => {
    const { server, port } = await bench.serve()
    server.close()
    await once(server, 'close')
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return portOf(server) === port
  },
)
behaves(
  'test-net-server-close-before-calling-lookup-callback',
  'close() while the name is looked up leaves it closed',
  [false, 0],
  async (bench) => {
    const server = made(bench)
    let count = 0
    server.on('listening', () => count++)
    server.listen(0, 'localhost')
    server.close()
    // Look-ups are answered in turn: after this one, that of the server was.
    await lookUp('localhost')
    await lookUp('localhost')
    await immediate()
    return [server.listening, count]
  },
)
behaves(
  'test-net-server-listen-options-signal',
  'a signal that is aborted while the name is looked up leaves it closed',
  false,
  async (bench) => {
    const server = made(bench)
    const controller = new AbortController()
    server.listen({ port: 0, host: 'localhost', signal: controller.signal })
    controller.abort()
    await lookUp('localhost')
    await lookUp('localhost')
    await immediate()
    return server.listening
  },
)
behaves(
  'test-net-server-close',
  'close() and listen() in one go tell of both, and the port is the same',
  ['closed', 'listening', true],
  async (bench) => {
    const { server, port } = await bench.serve()
    const log: unknown[] = []
    server.close((error) => log.push(error?.message ?? 'closed'))
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return [...log, 'listening', portOf(server) === port]
  },
)
behaves(
  'test-net-server-close',
  'each close() has its callback called, once',
  ['closed', 'ERR_SERVER_NOT_RUNNING'],
  async (bench) => {
    const { server } = await bench.serve()
    const log: unknown[] = []
    const tell = (error?: Error & { code?: string }): unknown => log.push(error?.code ?? 'closed')
    server.close(tell)
    server.close(tell)
    await once(server, 'close')
    await immediate()
    return log
  },
)
behaves(
  'test-net-listening',
  'listening says whether it does',
  [false, true, false],
  async (bench) => {
    const server = made(bench)
    const before = server.listening
    server.listen(0)
    await once(server, 'listening')
    const during = server.listening
    server.close()
    return [before, during, server.listening]
  },
)
behaves(
  'test-net-eaddrinuse',
  'a port that is taken is an error with its fields',
  {
    code: 'EADDRINUSE',
    errno: -98,
    syscall: 'listen',
    address: '127.0.0.1',
    message: true,
    port: true,
  },
  async (bench) => {
    const { port } = await bench.serve()
    const server = made(bench).listen(port, '127.0.0.1')
    const [error] = (await once(server, 'error')) as [Record<string, unknown>]
    const { code, errno, syscall, address, message } = error
    const text = `listen EADDRINUSE: address already in use 127.0.0.1:${port}`
    return { code, errno, syscall, address, message: message === text, port: error.port === port }
  },
)
behaves(
  'test-net-server-try-ports',
  'a server whose port was taken listens on another',
  true,
  async (bench) => {
    const { port } = await bench.serve()
    const server = made(bench).listen(port, '127.0.0.1')
    await once(server, 'error')
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return portOf(server) !== port
  },
)
behaves(
  'test-net-listen-error',
  'an address that is not ours is an error',
  ['EADDRNOTAVAIL', 'listen'],
  async (bench) => {
    const failure = await failureOf(made(bench).listen(0, '192.0.2.1'))
    return [failure.code, failure.syscall]
  },
)
behaves(
  'test-net-listen-close-server',
  'a server that is closed at once does not tell that it listens',
  ['close'],
  async (bench) => {
    const server = made(bench)
    const log = logEvents(server, ['listening', 'close'])
    server.listen(0).close()
    await once(server, 'close')
    return log
  },
)
behaves(
  'test-net-server-close',
  'close() waits for connections, and calls back without an error',
  [1, undefined, 0],
  async (bench) => {
    const { promise, resolve } = withResolvers<Socket>()
    const { server, port } = await bench.serve(resolve)
    bench.connect(port)
    const peer = await promise
    let error: unknown = 'not called'
    server.close((reason) => {
      error = reason
    })
    await immediate()
    const during = await countOf(server)
    peer.destroy()
    await once(server, 'close')
    return [during, error, await countOf(server)]
  },
)
behaves(
  'test-net-server-close',
  'close() of a server that does not listen calls back with an error',
  'ERR_SERVER_NOT_RUNNING',
  async (bench) =>
    new Promise((resolve) =>
      made(bench).close((error) => resolve((error as { code?: string }).code)),
    ),
)
behaves(
  'test-net-listen-close-server-callback-is-not-function',
  'close() takes what is no function',
  'close',
  async (bench) => {
    const { server } = await bench.serve()
    server.close('text' as never)
    await once(server, 'close')
    return 'close'
  },
)
behaves(
  'test-net-server-close-refuses',
  'a port of a server that was closed refuses connections',
  'ECONNREFUSED',
  async (bench) => {
    const { server, port } = await bench.serve()
    server.close()
    await once(server, 'close')
    return (await failureOf(bench.connect(port))).code
  },
)
behaves(
  'test-net-server-connections',
  'getConnections() counts those that are open',
  [0, 2, 1],
  async (bench) => {
    const peers: Socket[] = []
    const { promise, resolve } = withResolvers<void>()
    const { server, port } = await bench.serve((socket) => peers.push(socket) === 2 && resolve())
    const before = await countOf(server)
    bench.connect(port)
    bench.connect(port)
    await promise
    const both = await countOf(server)
    peers[0]!.destroy()
    await once(peers[0]!, 'close')
    return [before, both, await countOf(server)]
  },
)
behaves(
  'test-net-server-drop-connections',
  'what is above maxConnections is dropped, and told of',
  ['127.0.0.1', 'IPv4', true, 'closed'],
  async (bench) => {
    const { server, port } = await bench.serve((socket) => void socket.resume())
    server.maxConnections = 1
    await once(bench.connect(port), 'connect')
    while ((await countOf(server)) === 0) await immediate()
    const second = bench.connect(port)
    second.resume().on('error', () => {})
    const [data] = (await once(server, 'drop')) as [
      { remoteAddress: string; remoteFamily: string; localPort: number },
    ]
    if (!second.destroyed) await new Promise((resolve) => second.on('close', resolve))
    return [data.remoteAddress, data.remoteFamily, data.localPort === port, second.readyState]
  },
)
behaves(
  'test-net-server-max-connections',
  'a connection that is closed makes room for another',
  'open',
  async (bench) => {
    const { server, port } = await bench.serve((socket) => void socket.on('error', () => {}))
    server.maxConnections = 1
    const first = bench.connect(port)
    const [peer] = (await once(server, 'connection')) as [Socket]
    peer.destroy()
    first.destroy()
    while ((await countOf(server)) > 0) await immediate()
    const second = bench.connect(port)
    const [other] = (await once(server, 'connection')) as [Socket]
    await (second.connecting ? once(second, 'connect') : undefined)
    return other.readyState
  },
)
behaves(
  'test-net-server-pause-on-connect',
  'pauseOnConnect has sockets wait until they are resumed',
  [true, 0, 'x'],
  async (bench) => {
    const { promise, resolve } = withResolvers<Socket>()
    const { port } = await bench.serve(resolve, { pauseOnConnect: true })
    const client = bench.connect(port)
    client.write('x')
    const peer = await promise
    let text = ''
    peer.on('data', (chunk) => {
      text += chunk
    })
    const isPaused = peer.isPaused()
    await new Promise((go) => setTimeout(go, 20))
    const before = text.length
    peer.resume()
    await once(peer, 'data')
    return [isPaused, before, text]
  },
)
behaves(
  'test-net-server-options',
  'a server refuses options that are no object',
  'ERR_INVALID_ARG_TYPE',
  ({ net }) => thrownBy(() => net.createServer('path' as never)),
)
behaves(
  'test-net-server-constructor',
  'a server takes its listener, alone and behind options',
  [1, 1, 0],
  ({ net }) => [
    new net.Server(() => {}).listenerCount('connection'),
    new net.Server({}, () => {}).listenerCount('connection'),
    new net.Server().listenerCount('connection'),
  ],
)
behaves(
  'test-net-server-constructor',
  'sockets and servers are of the classes',
  [true, true, true],
  async (bench) => {
    const { client, peer } = await bench.pair()
    return [
      client instanceof bench.net.Socket,
      peer instanceof bench.net.Socket,
      made(bench) instanceof bench.net.Server,
    ]
  },
)
behaves(
  'test-net-socket-server-property',
  'a socket knows its server, and a client has none',
  [true, null],
  async (bench) => {
    const { promise, resolve } = withResolvers<Socket>()
    const { server, port } = await bench.serve(resolve)
    const client = bench.connect(port)
    const peer = (await promise) as Socket & { server: Server }
    return [peer.server === server, (client as Socket & { server?: Server | null }).server ?? null]
  },
)
behaves('test-net-listen-signal', 'a signal closes the server', 'close', async (bench) => {
  const controller = new AbortController()
  const server = made(bench).listen({ port: 0, signal: controller.signal })
  await once(server, 'listening')
  controller.abort()
  await once(server, 'close')
  return 'close'
})
behaves(
  'test-net-server-listen-dual',
  'a server without a host takes IPv4 and IPv6',
  ['connected', 'connected'],
  async (bench) => {
    const server = made(bench).listen(0)
    const results: string[] = []
    for (const host of ['127.0.0.1', '::1']) {
      await once(bench.connect(portOf(server), { host }), 'connect')
      results.push('connected')
    }
    return results
  },
)
behaves(
  'test-async-local-storage-socket',
  'connections come in the context of listen()',
  'server',
  async (bench) => {
    const storage = new AsyncLocalStorage<string>()
    const { promise, resolve } = withResolvers<unknown>()
    const server = bench.ownServer(
      bench.net.createServer((socket) => {
        bench.own(socket)
        resolve(storage.getStore())
      }),
    )
    storage.run('server', () => server.listen(0, '127.0.0.1'))
    await once(server, 'listening')
    bench.connect(portOf(server))
    return await promise
  },
)
behaves('test-net-server-unref', 'ref() and unref() return the server', [true, true], (bench) => {
  const server = made(bench).listen(0)
  return [server.unref() === server, server.ref() === server]
})

function countOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )
}
