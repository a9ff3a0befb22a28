import { once } from 'node:events'
import { behaves, logEvents, thrownBy } from './behaviours.ts'

for (const [value, code] of [
  ['100', 'ERR_INVALID_ARG_TYPE'],
  [true, 'ERR_INVALID_ARG_TYPE'],
  [null, 'ERR_INVALID_ARG_TYPE'],
  [undefined, 'ERR_INVALID_ARG_TYPE'],
  [-1, 'ERR_OUT_OF_RANGE'],
  [Number.NaN, 'ERR_OUT_OF_RANGE'],
  [Number.POSITIVE_INFINITY, 'ERR_OUT_OF_RANGE'],
] as const) {
  behaves(
    'test-net-socket-timeout',
    `setTimeout() refuses ${String(value)} (${typeof value})`,
    code,
    ({ net }) => thrownBy(() => new net.Socket().setTimeout(value as number, () => {})),
  )
}
for (const value of [1, 'text', {}] as unknown[]) {
  behaves(
    'test-net-socket-timeout',
    `setTimeout() refuses a listener that is ${typeof value}`,
    'ERR_INVALID_ARG_TYPE',
    ({ net }) => thrownBy(() => new net.Socket().setTimeout(0, value as () => void)),
  )
}
behaves(
  'test-net-socket-timeout',
  'setTimeout() with 0 takes the listener away',
  [1, 0, 0],
  ({ net }) => {
    const socket = new net.Socket()
    const listener = (): void => {}
    socket.setTimeout(100_000, listener)
    const before = socket.listenerCount('timeout')
    socket.setTimeout(0, listener)
    return [before, socket.listenerCount('timeout'), socket.timeout]
  },
)
behaves(
  'test-net-settimeout',
  'a socket that is idle emits timeout, and stays open',
  ['timeout', false, 50],
  async (bench) => {
    const { client } = await bench.pair()
    const log = logEvents(client, ['timeout', 'close'])
    client.setTimeout(50)
    await Promise.all([once(client, 'timeout'), keepAlive(client)])
    return [...log, client.destroyed, client.timeout]
  },
)
behaves(
  'test-net-connect-timeout-option',
  'the option timeout sets it',
  [50, 'timeout'],
  async (bench) => {
    const { client } = await bench.pair({}, { timeout: 50 })
    const { timeout } = client
    await Promise.all([once(client, 'timeout'), keepAlive(client)])
    return [timeout, 'timeout']
  },
)
behaves(
  'test-net-socket-timeout-unref',
  'a timeout that was switched off and on again comes',
  'timeout',
  async (bench) => {
    const { client } = await bench.pair()
    client.setTimeout(40)
    client.setTimeout(0)
    client.setTimeout(40)
    await Promise.all([once(client, 'timeout'), keepAlive(client)])
    return 'timeout'
  },
)
behaves(
  'test-net-timeout-no-handle',
  'a timeout that was switched off does not come',
  [],
  async (bench) => {
    const { client } = await bench.pair()
    const log = logEvents(client, ['timeout'])
    client.setTimeout(20)
    client.setTimeout(0)
    await new Promise((resolve) => setTimeout(resolve, 60))
    return log
  },
)
behaves(
  'test-net-socket-timeout',
  'setTimeout() of a socket that is destroyed does nothing',
  undefined,
  async (bench) => {
    const { client } = await bench.pair()
    client.destroy()
    client.setTimeout(20)
    return client.timeout
  },
)

/** Timers of sockets keep no program alive, and the sockets of the other module do not either. */
function keepAlive(socket: { once(event: string, listener: () => void): unknown }): Promise<void> {
  const timer = setInterval(() => {}, 1000)
  return new Promise((resolve) =>
    socket.once('timeout', () => {
      clearInterval(timer)
      resolve()
    }),
  )
}
