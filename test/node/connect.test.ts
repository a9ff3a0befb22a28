import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { behaves, failureOf, fieldsOf, logEvents, readAll, withResolvers } from './behaviours.ts'

behaves(
  'test-net-socket-connecting',
  'connecting and pending are true until connect',
  [true, true, 'opening', false, false, 'open'],
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.connect(port)
    const before = [client.connecting, client.pending, client.readyState]
    await once(client, 'connect')
    return [...before, client.connecting, client.pending, client.readyState]
  },
)
behaves(
  'test-net-socket-ready-without-cb',
  'ready follows connect',
  ['connect', 'ready'],
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.connect(port)
    const log = logEvents(client, ['ready', 'connect'])
    await once(client, 'ready')
    return log
  },
)
behaves(
  'test-net-connect-buffer',
  'what is written while it connects is sent, and counted at once',
  [false, 5, 'hello', 5],
  async (bench) => {
    const { promise, resolve } = withResolvers<string>()
    const { port } = await bench.serve((socket) => readAll(socket).then(resolve))
    const client = bench.connect(port, { highWaterMark: 4 })
    const hasRoom = client.write('hello')
    const counted = client.bytesWritten
    client.end()
    return [hasRoom, counted, await promise, client.bytesWritten]
  },
)
behaves(
  'test-net-connect-destroy',
  'destroy() while it connects emits close alone',
  ['close false'],
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.connect(port)
    const log = logEvents(client, ['connect', 'error', 'end', 'close'], (name, value) =>
      name === 'close' ? `close ${value}` : name,
    )
    client.destroy()
    await once(client, 'close')
    return log
  },
)
behaves(
  'test-net-write-cb-on-destroy-before-connect',
  'writes that wait for a connection fail when it is destroyed',
  'ERR_SOCKET_CLOSED_BEFORE_CONNECTION',
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.connect(port)
    const { promise, resolve } = withResolvers<unknown>()
    client.write('x', (error) => resolve((error as { code?: string } | null)?.code))
    client.destroy()
    return await promise
  },
)
behaves(
  'test-net-connect-abort-controller',
  'a signal that is aborted destroys the socket',
  ['ABORT_ERR', 'AbortError', true],
  async (bench) => {
    const { port } = await bench.serve()
    const controller = new AbortController()
    const client = bench.connect(port, { signal: controller.signal })
    setImmediate(() => controller.abort())
    const [error] = (await once(client, 'error')) as [Error & { code: string }]
    return [error.code, error.name, client.destroyed]
  },
)
behaves(
  'test-net-connect-abort-controller',
  'a signal that was aborted before is obeyed',
  'ABORT_ERR',
  async (bench) => {
    const client = bench.connect(await bench.unusedPort(), { signal: AbortSignal.abort() })
    return (await failureOf(client)).code
  },
)
behaves(
  'test-net-reconnect',
  'a socket that is closed connects again',
  ['one', 'two'],
  async (bench) => {
    let count = 0
    const { port } = await bench.serve((socket) => void socket.end(count++ === 0 ? 'one' : 'two'))
    const client = bench.connect(port)
    const texts: string[] = []
    for (const _ of [1, 2]) {
      client.setEncoding('latin1')
      const [text] = await once(client, 'data')
      texts.push(text)
      await once(client, 'close')
      if (texts.length === 1) client.connect(port, '127.0.0.1')
    }
    return texts
  },
)
behaves(
  'test-net-write-connect-write',
  'writes before and after connect stay in order',
  'beforeafter',
  async (bench) => {
    const { promise, resolve } = withResolvers<string>()
    const { port } = await bench.serve((socket) => readAll(socket).then(resolve))
    const client = bench.connect(port)
    client.write('before')
    client.on('connect', () => client.end('after'))
    return await promise
  },
)
behaves(
  'test-net-socket-end-before-connect',
  'end() before connect ends it once it has connected',
  ['connect', 'finish', 'end', 'close'],
  async (bench) => {
    const { port } = await bench.serve((socket) => void socket.resume())
    const client = bench.connect(port)
    client.end()
    client.resume()
    const log = logEvents(client, ['connect', 'finish', 'end', 'close', 'error'])
    await once(client, 'close')
    return log
  },
)
behaves(
  'test-net-socket-connect-without-cb',
  'connect() of a socket returns it',
  true,
  async (bench) => {
    const { port } = await bench.serve()
    const socket = bench.own(new bench.net.Socket())
    return socket.connect(port, '127.0.0.1') === socket
  },
)
behaves(
  'test-net-after-close',
  'what a closed socket is asked does no harm',
  { pending: true, remote: undefined, address: {}, ready: 'closed', connecting: false },
  async (bench) => {
    const { client } = await bench.pair()
    client.destroy()
    await once(client, 'close')
    client.setNoDelay()
    client.setKeepAlive()
    client.pause()
    client.resume()
    client.ref()
    client.unref()
    client.setTimeout(1)
    return {
      pending: client.pending,
      remote: client.remoteAddress,
      address: client.address(),
      ready: client.readyState,
      connecting: client.connecting,
    }
  },
)
behaves(
  'test-net-socket-connect-invalid-autoselectfamily',
  'connections of a pair know each other',
  [true, true, 'IPv4', 'IPv4', '127.0.0.1'],
  async (bench) => {
    const { client, peer } = await bench.pair()
    return [
      client.localPort === peer.remotePort,
      client.remotePort === peer.localPort,
      client.remoteFamily,
      peer.localFamily,
      peer.remoteAddress,
    ]
  },
)
behaves(
  'test-net-local-address-port',
  'address() says where a socket is bound',
  [true, 'IPv4', '127.0.0.1'],
  async (bench) => {
    const { client, peer } = await bench.pair()
    const { port, family, address } = client.address() as {
      port: number
      family: string
      address: string
    }
    return [port === peer.remotePort, family, address]
  },
)
behaves(
  'test-net-remote-address',
  'a socket has no addresses before it connects',
  [undefined, undefined, undefined, {}],
  ({ net }) => {
    const socket = new net.Socket()
    return [socket.remoteAddress, socket.remotePort, socket.localPort, socket.address()]
  },
)
behaves(
  'test-async-local-storage-socket',
  'listeners of a client run in the context of connect()',
  ['client', 'client', 'client'],
  async (bench) => {
    const storage = new AsyncLocalStorage<string>()
    const { port } = await bench.serve((socket) => void socket.end('x'))
    const seen: unknown[] = []
    const client = storage.run('client', () => bench.connect(port))
    client.on('connect', () => seen.push(storage.getStore()))
    client.on('data', () => seen.push(storage.getStore()))
    client.on('close', () => seen.push(storage.getStore()))
    await once(client, 'close')
    return seen
  },
)
behaves(
  'test-async-local-storage-socket',
  'a callback of write() runs in the context of the call',
  'writer',
  async (bench) => {
    const storage = new AsyncLocalStorage<string>()
    const { client } = await bench.pair()
    return await new Promise((resolve) =>
      storage.run('writer', () => client.write('x', () => resolve(storage.getStore()))),
    )
  },
)
behaves('test-net-error-twice', 'an error is emitted once, whatever follows', 1, async (bench) => {
  const client = bench.connect(await bench.unusedPort())
  let count = 0
  client.on('error', () => count++)
  client.write('x')
  client.destroy(new Error('mine'))
  await once(client, 'close').catch(() => {})
  return count
})
behaves(
  'test-net-connect-reset-before-connected',
  'resetAndDestroy() while it connects waits for the connection',
  ['connect', 'close'],
  async (bench) => {
    const { port } = await bench.serve((socket) => void socket.on('error', () => {}))
    const client = bench.connect(port)
    const log = logEvents(client, ['connect', 'close', 'error'])
    client.resetAndDestroy()
    await once(client, 'close')
    return log
  },
)
behaves(
  'test-net-connect-reset',
  'resetAndDestroy() without a connection is an error',
  'ERR_SOCKET_CLOSED',
  async ({ net }) => {
    const socket = new net.Socket()
    socket.resetAndDestroy()
    const [error] = (await once(socket, 'error')) as [Error & Record<string, unknown>]
    return fieldsOf(error).code
  },
)
