/** Hosts with several addresses: none that is silent may hold up those that answer. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { type SocketAddress, TcpListener, TcpStream } from '../../src/net/index.ts'
import { netRingFor } from '../../src/net/memory/net-ring.ts'
import { CONNECT_PLAINLY } from '../../src/net/sockets/connect.ts'
import { connectFirst, interleaveFamilies } from '../../src/net/sockets/connect-race.ts'
import type { Socket } from '../../src/net/sockets/socket.ts'
import { resolver } from '../../src/net/values/resolve.ts'
import { simulate } from '../../src/testing/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { holdings, until } from './support.ts'

// Of RFC 8305, rather than what the code has.
const DELAY_MS = 250

function ipv4(port: number): SocketAddress {
  return { host: '127.0.0.1', port, family: 'ipv4' }
}

function ipv6(port: number): SocketAddress {
  return { host: '::1', port, family: 'ipv6' }
}

/** A listener whose backlog is full, so that a connection to it is never answered. */
class SilentListener implements AsyncDisposable {
  readonly listener: TcpListener
  readonly #filling: TcpStream[] = []

  constructor(listener: TcpListener) {
    this.listener = listener
  }

  static async open(): Promise<SilentListener> {
    const silent = new SilentListener(await TcpListener.bind({ port: 0, backlog: 1 }))
    const { port } = silent.listener.address
    for (;;) {
      // The kernel takes one or two more than it was asked for.
      const filling = TcpStream.connect({ host: '127.0.0.1', port, timeoutMs: 500 })
      const stream = await filling.catch(() => null)
      if (stream === null) return silent
      silent.#filling.push(stream)
    }
  }

  get address(): SocketAddress {
    return this.listener.address
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#filling) await stream.close()
    await this.listener.close()
  }
}

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const listener = await TcpListener.bind({ port: 0 })
  const { port } = listener.address
  await listener.close()
  return port
}

function race(addresses: readonly SocketAddress[], options = {}): Promise<Socket> {
  const current = executor()
  const net = netRingFor(current, current.currentQueue())
  const settings = { ...CONNECT_PLAINLY, noDelay: true }
  return connectFirst({ net, addresses, settings, options, action: 'connect to a test' })
}

function elapsedMs(startNs: number): number {
  return (executor().nowNs() - startNs) / 1e6
}

test('interleaveFamilies() alternates from the family of the first on, and keeps their order', () => {
  const six = [1, 2, 3, 4].map(ipv6)
  const four = [1, 2].map(ipv4)
  const names = (addresses: readonly SocketAddress[]): string =>
    interleaveFamilies(addresses)
      .map(({ port, family }) => `${family === 'ipv4' ? 4 : 6}:${port}`)
      .join(' ')

  assert.equal(names([...six, ...four]), '6:1 4:1 6:2 4:2 6:3 6:4')
  assert.equal(names([...four, ...six]), '4:1 6:1 4:2 6:2 6:3 6:4')
  assert.equal(names(four), '4:1 4:2')
})

testOnBoth(
  'connectFirst() tries the next address beside one that is silent, after 250 ms',
  async () => {
    await using silent = await SilentListener.open()
    await using listener = await TcpListener.bind({ port: 0 })
    const startNs = executor().nowNs()

    const socket = await race([silent.address, listener.address])

    const tookMs = elapsedMs(startNs)
    assert.deepEqual(socket.remoteAddress, listener.address)
    assert.ok(tookMs >= DELAY_MS, `took ${tookMs} ms`)
    // A real machine may be as slow as it likes.
    if (executor().kernel.name === 'sim') assert.ok(tookMs < 2 * DELAY_MS, `took ${tookMs} ms`)
    await socket.close()
  },
)

testOnBoth('connectFirst() tries the next address at once when one has refused', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const port = await closedPort()
  const startNs = executor().nowNs()

  const socket = await race([ipv4(port), ipv4(port), ipv4(port), listener.address])

  assert.deepEqual(socket.remoteAddress, listener.address)
  // A real machine may be as slow as it likes.
  if (executor().kernel.name === 'sim') assert.ok(elapsedMs(startNs) < DELAY_MS)
  await socket.close()
})

testOnBoth('connectFirst() fails in time with the stack of who waits', async () => {
  await using silent = await SilentListener.open()

  async function theCaller(): Promise<Socket> {
    return await race([silent.address, silent.address], { timeoutMs: DELAY_MS / 10 })
  }

  await assert.rejects(theCaller, (error: Error & { code: string }) => {
    assert.equal(error.code, 'ERR_TASK_TIMEOUT')
    assert.match(error.stack ?? '', /theCaller/)
    return true
  })
})

testOnBoth('connectFirst() leaves nothing of the addresses that lost', async () => {
  await using silent = await SilentListener.open()
  await using listener = await TcpListener.bind({ port: 0 })
  const before = holdings()

  const socket = await race([silent.address, silent.address, listener.address])
  await socket.close()

  await until(() => holdings().operationCount === before.operationCount)
  assert.deepEqual(holdings(), before)
})

testOnBoth(
  'connectFirst() rejects for the first address, and names all, when all refuse',
  async () => {
    const ports = [await closedPort(), await closedPort(), await closedPort()] as const
    const before = holdings()

    const failing = race([ipv4(ports[0]), ipv4(ports[1]), ipv6(ports[2])])

    await assert.rejects(failing, (error: Error & { code: string; address: string }) => {
      assert.equal(error.code, 'ECONNREFUSED')
      assert.equal(error.address, `127.0.0.1:${ports[0]}`)
      assert.ok(error.cause instanceof AggregateError)
      assert.equal(error.cause.errors.length, 3)
      assert.equal(error.cause.errors[1].address, `[::1]:${ports[2]}`)
      return true
    })
    assert.deepEqual(holdings(), before)
  },
)

for (const [name, options] of [
  ['a time limit', (): object => ({ timeoutMs: DELAY_MS * 1.5 })],
  ['a signal', (): object => ({ signal: AbortSignal.timeout(DELAY_MS * 1.5) })],
] as const) {
  test(`connectFirst() ended by ${name} closes every attempt before it rejects`, async () => {
    await using silent = await SilentListener.open()
    const before = holdings()

    const failing = race([silent.address, silent.address, silent.address], options())

    const isExpected = (error: Error & { code: unknown }): boolean =>
      error.code === 'ERR_TASK_TIMEOUT' || error.name === 'TimeoutError'
    await assert.rejects(failing, isExpected)
    assert.deepEqual(holdings(), before)
  })
}

test('connectFirst() takes the same time in every simulation of a seed', async () => {
  const times = new Set<number>()
  for (let run = 0; run < 3; run++) {
    await simulate(7, async () => {
      await using silent = await SilentListener.open()
      await using listener = await TcpListener.bind({ port: 0 })
      const startNs = executor().nowNs()
      const socket = await race([silent.address, silent.address, listener.address])
      times.add(elapsedMs(startNs))
      await socket.close()
    })
  }

  assert.equal(times.size, 1)
  const [took] = times
  assert.ok(took! >= 2 * DELAY_MS && took! < 2 * DELAY_MS + 5, `took ${took} ms`)
})

test('connect() goes through the addresses that a look-up finds', async (t) => {
  await using silent = await SilentListener.open()
  const { port } = silent.address
  await using other = await TcpListener.bind({ host: '::1', port })
  const found = [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ]
  t.mock.method(resolver, 'lookup', () => Promise.resolve(found))

  await using stream = await TcpStream.connect({ host: 'both.test', port })

  assert.deepEqual(stream.remoteAddress, other.address)
})

test('connect() to a listener that never accepts ends with ETIMEDOUT in simulation', async () => {
  await simulate(1, async () => {
    await using silent = await SilentListener.open()

    const failing = TcpStream.connect({ host: '127.0.0.1', port: silent.address.port })

    await assert.rejects(failing, { code: 'ETIMEDOUT' })
  })
})
