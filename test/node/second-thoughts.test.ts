/** Connections that are wanted twice, forbidden, or spoiled by a listener; and readers that stop and go on. */
import { once } from 'node:events'
import { BlockList, Socket as NodeSocket, type Socket } from 'node:net'
import { type Bench, behaves, immediate, logEvents, thrownBy, withResolvers } from './behaviours.ts'

const wrongList = { blockList: 1 } as object
/** Node has it since 22.13. */
const noBlockList =
  thrownBy(() => new NodeSocket(wrongList)) === 'nothing' && 'this Node has no blockList'

/** The kernel may answer that the connection, which is there, has been made. */
const unsure = "Node's second connect() may come to the first connection"

type Failure = Error & Record<string, unknown>

behaves(
  'test-net-socket-connect-twice',
  'connect() of a socket that has connected is EISCONN, and closes it',
  ['EISCONN', 'connect', -106, '127.0.0.1', true, 'close true'],
  async (bench) => {
    const { client, peer } = await bench.pair()
    const { port } = await bench.serve()
    const closed = once(peer.resume(), 'close')
    const log = logEvents(client, ['close'], (name, value) => `${name} ${value}`)
    client.connect(port, '127.0.0.1')
    const [error] = (await once(client, 'error')) as [Failure]
    await closed
    return [error.code, error.syscall, error.errno, error.address, error.port === port, ...log]
  },
  unsure,
)
behaves(
  'test-net-socket-connect-twice',
  'connect() of a socket that connects is EALREADY, and neither connects',
  ['error EALREADY', 'close'],
  async (bench) => {
    const { port } = await bench.serve((socket) => void socket.on('error', () => {}))
    const client = bench.connect(port)
    const log = logEvents(client, ['connect', 'error', 'close'], (name, value) =>
      name === 'error' ? `error ${(value as Failure).code}` : name,
    )
    client.connect(port, '127.0.0.1')
    await new Promise((resolve) => client.on('close', resolve))
    return log
  },
)
behaves(
  'test-net-socket-connect-twice',
  'a socket that was refused a second connection may connect once it is closed',
  'connect',
  async (bench) => {
    const { client } = await bench.pair()
    const { port } = await bench.serve()
    client.connect(port, '127.0.0.1')
    await once(client, 'error')
    await once(client, 'close')
    client.connect(port, '127.0.0.1')
    await once(client, 'connect')
    return 'connect'
  },
  unsure,
)
behaves(
  'test-net-blocklist',
  'an address of the blockList is not connected to',
  ['ERR_IP_BLOCKED', 'IP(127.0.0.1) is blocked by net.BlockList', 0],
  async (bench) => {
    let count = 0
    const { port } = await bench.serve(() => count++)
    const blockList = new BlockList()
    blockList.addAddress('127.0.0.1')
    const client = bench.connect(port, { blockList })
    const [error] = (await once(client, 'error')) as [Failure]
    return [error.code, error.message, count]
  },
  noBlockList,
)
behaves(
  'test-net-blocklist',
  'of several addresses those of the blockList are passed over',
  '127.0.0.1',
  async (bench) => {
    const { port } = await bench.serve()
    const blockList = new BlockList()
    blockList.addAddress('127.0.0.2')
    const found = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }))
    const client = bench.connect(port, {
      host: 'several.example',
      blockList,
      autoSelectFamily: true,
      lookup: (_host: string, _options: object, callback: (...answer: unknown[]) => void) =>
        callback(null, found),
    })
    await once(client, 'connect')
    return client.remoteAddress
  },
  noBlockList,
)
behaves(
  'test-net-server-blocklist',
  'a server closes connections from the blockList, and tells nobody',
  [0, 'connection'],
  async (bench) => {
    const blockList = new BlockList()
    blockList.addAddress('127.0.0.9')
    let count = 0
    const { server, port } = await bench.serve(() => count++, { blockList } as object)
    const blocked = bench.connect(port, { localAddress: '127.0.0.9' })
    await once(blocked.resume(), 'close')
    const before = count
    bench.connect(port)
    await once(server, 'connection')
    return [before, 'connection']
  },
  noBlockList,
)
for (const what of ['Socket', 'Server'] as const) {
  behaves(
    'test-net-blocklist',
    `a ${what} refuses a blockList that is none`,
    'ERR_INVALID_ARG_TYPE',
    ({ net }) =>
      thrownBy(() => (what === 'Socket' ? new net.Socket(wrongList) : new net.Server(wrongList))),
    noBlockList,
  )
}
behaves('test-net-dns-lookup-skip', 'what a lookup throws, connect() throws', 'mine', ({ net }) => {
  const lookup = (): void => {
    throw Object.assign(new Error('A look-up of the test'), { code: 'mine' })
  }
  return thrownBy(() => net.connect({ port: 1, host: 'name.example', lookup }))
})
for (const event of ['connectionAttempt', 'lookup'] as const) {
  behaves(
    'test-net-autoselectfamily-events-failure',
    `what a listener of '${event}' throws is an uncaught exception, and no error of the socket`,
    ['uncaught mine'],
    async (bench) => {
      const { port } = await bench.serve()
      const client = bench.own(new bench.net.Socket())
      const log: string[] = []
      client.on('error', (error) => log.push(`error ${error.message}`))
      client.on(event, () => {
        throw new Error('mine')
      })
      await uncaught(log, () =>
        client.connect({
          port,
          host: 'one.example',
          lookup: (_host, { all }, callback) => {
            const found = [{ address: '127.0.0.1', family: 4 }]
            setImmediate(() => {
              if (all) callback(null, found as never)
              else callback(null, '127.0.0.1', 4)
            })
          },
        }),
      )
      return log
    },
  )
}
behaves(
  'test-net-onread-static-buffer',
  'onread goes on with resume() where a callback has returned false',
  ['abcd', 'efgh', 'ij', 'end'],
  async (bench) => {
    const { client, peer, parts, whenNext } = await readParts(bench, () => false)
    const log: string[] = []
    client.on('end', () => log.push('end'))
    peer.end('abcdefghij')
    for (let index = 0; index < 3; index++) {
      await whenNext(index)
      // Nothing more comes before it is asked for.
      await immediate()
      await immediate()
      if (parts.length !== index + 1) return parts
      client.resume()
    }
    await once(client, 'close')
    return [...parts, ...log]
  },
)
behaves(
  'test-net-onread-static-buffer',
  'onread is held by pause(), also within the callback, and goes on with resume()',
  ['abcd', 'nothing more', 'abcdefgh'],
  async (bench) => {
    const { client, peer, parts, whenNext } = await readParts(bench, (socket) => {
      socket.pause()
      return true
    })
    peer.write('abcdefgh')
    await whenNext(0)
    const first = parts.join('')
    await immediate()
    await immediate()
    const isHeld = parts.length === 1
    client.resume()
    await whenNext(1)
    return [first, isHeld ? 'nothing more' : 'more', parts.join('')]
  },
)
behaves(
  'test-net-onread-static-buffer',
  'onread that was told false may be destroyed',
  ['abcd', 'close false'],
  async (bench) => {
    const { client, peer, parts, whenNext } = await readParts(bench, () => false)
    const log = logEvents(client, ['close', 'error'], (name, value) => `${name} ${value}`)
    peer.write('abcdefgh')
    await whenNext(0)
    client.destroy()
    await once(client, 'close')
    return [...parts, ...log]
  },
)

/** A connection whose client reads four bytes at a time, and has `answer` say whether it wants more. */
async function readParts(
  bench: Bench,
  answer: (socket: Socket) => boolean,
): Promise<{
  client: Socket
  peer: Socket
  parts: string[]
  whenNext: (index: number) => Promise<void>
}> {
  const parts: string[] = []
  const waiting: (() => void)[] = []
  const { client, peer } = await bench.pair(
    {},
    {
      onread: {
        buffer: Buffer.alloc(4),
        callback(bytesRead: number, buffer: Buffer): boolean {
          parts.push(buffer.toString('latin1', 0, bytesRead))
          waiting[parts.length - 1]?.()
          return answer(client)
        },
      },
    },
  )
  const whenNext = async (index: number): Promise<void> => {
    if (parts.length > index) return
    const { promise, resolve } = withResolvers<void>()
    waiting[index] = resolve
    await promise
  }
  return { client, peer, parts, whenNext }
}

/** What is thrown where nobody can catch it, in place of whoever else listens. */
async function uncaught(log: string[], run: () => void): Promise<void> {
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  const { promise, resolve } = withResolvers<void>()
  process.once('uncaughtException', (error) => {
    log.push(`uncaught ${error.message}`)
    resolve()
  })
  try {
    run()
    await promise
  } finally {
    for (const listener of before) process.on('uncaughtException', listener)
  }
}
