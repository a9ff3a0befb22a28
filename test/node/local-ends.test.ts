/** Unix sockets, and ends of this machine that are chosen. */
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { type Bench, behaves, failureOf, readAll, thrownBy, withResolvers } from './behaviours.ts'

const folder = mkdtempSync(join(tmpdir(), 'percore-node-'))
after(() => rmSync(folder, { recursive: true }))
let count = 0
const freshPath = (): string => join(folder, `socket-${count++}`)

async function servePath(
  { net, own, ownServer }: Bound,
  path: string,
  options: object = {},
): Promise<{ accepted: Promise<import('node:net').Socket>; server: import('node:net').Server }> {
  const { promise, resolve } = withResolvers<import('node:net').Socket>()
  const server = ownServer(net.createServer((socket) => resolve(own(socket))))
  server.listen({ path, ...options })
  await once(server, 'listening')
  return { accepted: promise, server }
}

type Bound = Pick<Bench, 'net' | 'own' | 'ownServer'>

function bound(bench: Bench): Bound {
  return {
    net: bench.net,
    own: (socket) => bench.own(socket),
    ownServer: (s) => bench.ownServer(s),
  }
}

behaves(
  'test-pipe-address',
  'a server with a path gives that as its address',
  [true, true, false],
  async (bench) => {
    const path = freshPath()
    const { server } = await servePath(bound(bench), path)
    const isThere = existsSync(path)
    const isAddress = (server.address() as unknown) === path
    server.close()
    await once(server, 'close')
    return [isAddress, isThere, existsSync(path)]
  },
)
for (const form of ['path', 'options'] as const) {
  behaves(
    'test-net-pipe-connect-errors',
    `bytes go both ways through a path, given as ${form}`,
    ['ping', 'pong', 4, 4],
    async (bench) => {
      const path = freshPath()
      const { accepted } = await servePath(bound(bench), path)
      const client = bench.own(
        form === 'path' ? bench.net.connect(path) : bench.net.connect({ path }),
      )
      client.write('ping')
      const peer = await accepted
      const [asked] = (await once(peer, 'data')) as [Buffer]
      peer.end('pong')
      return [String(asked), await readAll(client), client.bytesRead, client.bytesWritten]
    },
  )
}
behaves(
  'test-net-server-listen-path',
  'listen() takes a path and a listener',
  'listening',
  async (bench) => {
    const server = bench.ownServer(bench.net.createServer())
    await new Promise<void>((resolve) => server.listen(freshPath(), resolve))
    return 'listening'
  },
)
behaves(
  'test-net-pipe-connect-errors',
  'an abstract name is a path after a NUL',
  'abstract',
  async (bench) => {
    const path = `\0percore-${process.pid}-${count++}`
    const { accepted } = await servePath(bound(bench), path)
    bench.own(bench.net.connect(path)).end('abstract')
    return await readAll(await accepted)
  },
  // libuv took a name with a NUL for an empty one before.
  Number(process.versions.node.split('.')[0]) < 22 && 'not before Node 22',
)
behaves(
  'test-net-end-without-connect',
  'a socket with a path has no addresses, and passes over settings of TCP',
  [undefined, undefined, undefined, {}, 'open'],
  async (bench) => {
    const path = freshPath()
    await servePath(bound(bench), path)
    const client = bench.own(bench.net.connect(path))
    await once(client, 'connect')
    client.setNoDelay(true).setKeepAlive(true, 1000)
    const { remoteAddress, remotePort, localPort } = client
    return [remoteAddress, remotePort, localPort, client.address(), client.readyState]
  },
)
behaves(
  'test-net-pipe-connect-errors',
  'a path that is not there refuses with ENOENT, and says where',
  ['ENOENT', -2, 'connect', true, true, undefined],
  async (bench) => {
    const path = freshPath()
    const client = bench.own(bench.net.connect(path))
    const [error] = (await once(client, 'error')) as [Error & Record<string, unknown>]
    const { code, errno, syscall, address, message, port } = error
    return [code, errno, syscall, address === path, message === `connect ENOENT ${path}`, port]
  },
)
behaves(
  'test-net-server-listen-path',
  'a path that another server has is refused with EADDRINUSE',
  ['EADDRINUSE', 'listen', true, -1, false],
  async (bench) => {
    const path = freshPath()
    await servePath(bound(bench), path)
    const second = bench.ownServer(bench.net.createServer()).listen(path)
    const [error] = (await once(second, 'error')) as [Error & Record<string, unknown>]
    return [error.code, error.syscall, error.address === path, error.port, second.listening]
  },
)
behaves(
  'test-net-pipe-connect-errors',
  'a path in no folder is refused',
  'EACCES or ENOENT',
  async (bench) => {
    const server = bench.ownServer(bench.net.createServer())
    server.listen(join(folder, 'nowhere', 'socket'))
    const { code } = await failureOf(server)
    return code === 'EACCES' || code === 'ENOENT' ? 'EACCES or ENOENT' : code
  },
)
behaves(
  'test-net-server-listen-path',
  'a server that is closed before it is bound closes, and leaves no file',
  ['close', false],
  async (bench) => {
    const path = freshPath()
    const server = bench.ownServer(bench.net.createServer()).listen(path)
    server.close()
    await once(server, 'close')
    return ['close', existsSync(path)]
  },
)
behaves(
  'test-pipe-file-to-http',
  'readableAll and writableAll let everybody connect',
  0o666,
  async (bench) => {
    const path = freshPath()
    await servePath(bound(bench), path, { readableAll: true, writableAll: true })
    return statSync(path).mode & 0o666
  },
)
behaves(
  'test-net-socket-reset-twice',
  'resetAndDestroy() is refused for a path',
  'ERR_INVALID_HANDLE_TYPE',
  async (bench) => {
    const path = freshPath()
    await servePath(bound(bench), path)
    const client = bench.own(bench.net.connect(path))
    await once(client, 'connect')
    return thrownBy(() => client.resetAndDestroy())
  },
)
behaves(
  'test-net-local-address-port',
  'localAddress and localPort are where a socket connects from',
  ['127.0.0.7', true],
  async (bench) => {
    const { promise, resolve } = withResolvers<import('node:net').Socket>()
    const { port } = await bench.serve(resolve)
    const localPort = await bench.unusedPort()
    bench.connect(port, { localAddress: '127.0.0.7', localPort })
    const peer = await promise
    return [peer.remoteAddress, peer.remotePort === localPort]
  },
)
behaves(
  'test-net-connect-local-error',
  'a local port that is taken fails as bind() does',
  ['EADDRINUSE', 'bind', '127.0.0.1', true],
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.connect(port, { localAddress: '127.0.0.1', localPort: port })
    const [error] = (await once(client, 'error')) as [Error & Record<string, unknown>]
    return [error.code, error.syscall, error.address, error.port === port]
  },
)
for (const [options, code] of [
  [{ localAddress: 'foobar' }, 'ERR_INVALID_IP_ADDRESS'],
  [{ localPort: 'foobar' }, 'ERR_INVALID_ARG_TYPE'],
] as const) {
  behaves('test-net-localerror', `connect() refuses ${JSON.stringify(options)}`, code, ({ net }) =>
    thrownBy(() => net.connect({ port: 1, host: '127.0.0.1', ...(options as object) })),
  )
}
behaves(
  'test-net-server-listen-options',
  'ipv6Only leaves IPv4 to others',
  'connected',
  async (bench) => {
    const server = bench.ownServer(bench.net.createServer())
    server.listen({ host: '::', port: 0, ipv6Only: true })
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const other = bench.ownServer(bench.net.createServer()).listen(port, '0.0.0.0')
    await once(other, 'listening')
    await once(bench.connect(port), 'connect')
    return 'connected'
  },
)
