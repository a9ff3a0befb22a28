import { once } from 'node:events'
import type { Socket } from 'node:net'
import { behaves, failureOf, logEvents, thrownBy, withResolvers } from './behaviours.ts'

type Lookup = (
  host: string,
  options: { all?: boolean },
  callback: (error: Error | null, answer: unknown, family?: number) => void,
) => void

const to =
  (...addresses: string[]): Lookup =>
  (_host, { all }, callback) => {
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    setImmediate(() => {
      if (all) callback(null, found)
      else callback(null, found[0]!.address, found[0]!.family)
    })
  }

for (const port of [-1, 65_536, 1.5, 'a', '', Number.NaN, Number.POSITIVE_INFINITY]) {
  behaves(
    'test-net-connect-options-port',
    `connect() refuses port ${String(port)}`,
    'ERR_SOCKET_BAD_PORT',
    ({ net }) => thrownBy(() => net.connect({ port: port as number })),
  )
}
for (const port of [null, true, [], {}, () => {}]) {
  behaves(
    'test-net-connect-options-port',
    `connect() refuses a port of ${typeof port} ${JSON.stringify(port)}`,
    'ERR_INVALID_ARG_TYPE',
    ({ net }) => thrownBy(() => net.connect({ port: port as unknown as number })),
  )
}
behaves(
  'test-net-connect-no-arg',
  'connect() without a port is refused',
  ['ERR_MISSING_ARGS', 'ERR_MISSING_ARGS'],
  ({ net }) => [
    thrownBy(() => new net.Socket().connect({} as never)),
    thrownBy(() => net.connect({ host: 'localhost' } as never)),
  ],
)
behaves(
  'test-net-options-lookup',
  'connect() refuses a lookup that is no function',
  ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE'],
  ({ net }) =>
    [{}, 1].map((lookup) => thrownBy(() => net.connect({ port: 80, lookup: lookup as never }))),
)
behaves(
  'test-net-connect-options-port',
  'connect() takes a port as text',
  'connected',
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.own(
      bench.net.connect({ port: String(port) as unknown as number, host: '127.0.0.1' }),
    )
    await once(client, 'connect')
    return 'connected'
  },
)
behaves(
  'test-net-connect-options-port',
  'connect() takes port, host and listener',
  1,
  async (bench) => {
    const { port } = await bench.serve()
    const { promise, resolve } = withResolvers<void>()
    const client = bench.own(bench.net.createConnection(port, '127.0.0.1', () => resolve()))
    await promise
    return client.listenerCount('connect') + 1
  },
)
behaves(
  'test-net-connect-options-port',
  'connect() takes port and listener, and looks localhost up',
  'open',
  async (bench) => {
    const { port } = await bench.serve()
    const { promise, resolve } = withResolvers<void>()
    // Node's types know of no such form; its documentation does.
    const connect = bench.net.connect as unknown as (port: number, listener: () => void) => Socket
    const client = bench.own(connect(port, () => resolve()))
    await promise
    return client.readyState
  },
)
behaves(
  'test-net-better-error-messages-port',
  'a refused connection says where it went',
  {
    code: 'ECONNREFUSED',
    errno: -111,
    syscall: 'connect',
    address: '127.0.0.1',
    message: 'as Node says',
  },
  async (bench) => {
    const port = await bench.unusedPort()
    const client = bench.connect(port)
    const failure = await failureOf(client)
    const isAsNode = failure.message === `connect ECONNREFUSED 127.0.0.1:${port}`
    return { ...failure, message: isAsNode ? 'as Node says' : failure.message }
  },
)
behaves(
  'test-net-connect-handle-econnrefused',
  'a refused connection emits error, then close',
  ['error', 'close true'],
  async (bench) => {
    const client = bench.connect(await bench.unusedPort())
    const log = logEvents(client, ['connect', 'end', 'finish', 'error', 'close'], (name, value) =>
      name === 'close' ? `close ${value}` : name,
    )
    await new Promise((resolve) => client.on('close', resolve))
    return log
  },
)
behaves(
  'test-net-connect-immediate-finish',
  'a look-up that fails is an error of the socket',
  { code: 'ENOTFOUND', host: 'nowhere.invalid' },
  async (bench) => {
    const lookup: Lookup = (host, _options, callback) =>
      callback(Object.assign(new Error('not found'), { code: 'ENOTFOUND', host }), undefined)
    const client = bench.connect(1, { host: 'nowhere.invalid', lookup })
    const [error] = (await once(client, 'error')) as [{ code: string; host: string }]
    return { code: error.code, host: error.host }
  },
)
behaves(
  'test-net-dns-lookup',
  'lookup tells of the address',
  [null, '127.0.0.1', 4, 'some.name'],
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.connect(port, { host: 'some.name', lookup: to('127.0.0.1') })
    return await once(client, 'lookup')
  },
)
behaves(
  'test-net-dns-custom-lookup',
  'a look-up that is given is asked once, with the host',
  ['some.name'],
  async (bench) => {
    const { port } = await bench.serve()
    const asked: string[] = []
    const lookup: Lookup = (host, options, callback) => {
      asked.push(host)
      to('127.0.0.1')(host, options, callback)
    }
    await once(bench.connect(port, { host: 'some.name', lookup }), 'connect')
    return asked
  },
)
behaves('test-net-dns-lookup-skip', 'an address is not looked up', 'connected', async (bench) => {
  const { port } = await bench.serve()
  const lookup = (): never => {
    throw new Error('asked')
  }
  await once(bench.connect(port, { lookup }), 'connect')
  return 'connected'
})
behaves(
  'test-net-options-lookup',
  'an answer that is no address is an error',
  'ERR_INVALID_IP_ADDRESS',
  async (bench) => {
    const client = bench.connect(1, {
      host: 'some.name',
      lookup: to('no address'),
      autoSelectFamily: false,
    })
    return (await failureOf(client)).code
  },
)
behaves(
  'test-net-autoselectfamily',
  'the second address of a name is tried when the first refuses',
  '127.0.0.1',
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.connect(port, { host: 'some.name', lookup: to('127.0.0.2', '127.0.0.1') })
    // The server listens on 127.0.0.1 alone.
    await once(client, 'connect')
    return client.remoteAddress
  },
)
behaves(
  'test-net-autoselectfamily',
  'when all addresses refuse, the error has an error of each',
  { name: 'AggregateError', code: 'ECONNREFUSED', codes: ['ECONNREFUSED', 'ECONNREFUSED'] },
  async (bench) => {
    const port = await bench.unusedPort()
    const client = bench.connect(port, { host: 'some.name', lookup: to('127.0.0.2', '127.0.0.1') })
    const [error] = (await once(client, 'error')) as [AggregateError & { code: string }]
    return {
      name: error.constructor.name,
      code: error.code,
      codes: error.errors.map(({ code }) => code),
    }
  },
)
behaves(
  'test-net-autoselectfamily-events',
  'attempts are told of',
  ['attempt 127.0.0.2', 'failed 127.0.0.2', 'attempt 127.0.0.1', 'connect'],
  async (bench) => {
    const { port } = await bench.serve()
    const client = bench.connect(port, { host: 'some.name', lookup: to('127.0.0.2', '127.0.0.1') })
    const log: string[] = []
    client.on('connectionAttempt', (ip) => log.push(`attempt ${ip}`))
    client.on('connectionAttemptFailed', (ip) => log.push(`failed ${ip}`))
    client.on('connect', () => log.push('connect'))
    await once(client, 'connect')
    return log
  },
)
