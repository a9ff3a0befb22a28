/** An address as percore gives it can be connected and bound to; its family restricts the look-up of a name. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { resolver } from '../../src/net/values/resolve.ts'
import { testOnBoth } from './both-kernels.ts'

/** A name that has an address of each family; what the look-up was asked for is noted. */
function mockLookup(t: TestContext): unknown[] {
  const asked: unknown[] = []
  const both = [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ]
  t.mock.method(resolver, 'lookup', (_host: string, options: { readonly family: number }) => {
    asked.push(options.family)
    return Promise.resolve(both)
  })
  return asked
}

testOnBoth('connect() and bind() take the addresses of listeners and streams', async () => {
  const first = await TcpListener.bind({ port: 0 })
  const { address } = first
  const accepting = first.accept()
  const client = await TcpStream.connect(address)
  const server = await accepting
  assert.deepEqual(client.remoteAddress, address)
  for (const stream of [client, server]) await stream.close()
  await first.close()

  await using second = await TcpListener.bind(address)

  assert.deepEqual(second.address, address)
})

testOnBoth('bind() to localhost takes an address of the family', async () => {
  await using listener = await TcpListener.bind({ port: 0, family: 'ipv6' })
  const accepting = listener.accept()
  const { port } = listener.address

  await using client = await TcpStream.connect({ port, family: 'ipv6' })
  await using server = await accepting

  assert.equal(listener.address.host, '::1')
  assert.equal(client.remoteAddress?.host, '::1')
  assert.equal(server.localAddress.family, 'ipv6')
})

test('connect() and bind() look a name up for the family', async (t) => {
  const asked = mockLookup(t)
  const host = 'both.example'

  for (const family of ['ipv4', 'ipv6'] as const) {
    await using listener = await TcpListener.bind({ host, port: 0, family })
    const { port } = listener.address
    await using client = await TcpStream.connect({ host, port, family })

    assert.equal(listener.address.family, family)
    assert.equal(client.remoteAddress?.family, family)
  }

  assert.deepEqual(asked, [4, 4, 6, 6])
})

test('connect() and bind() refuse an address of the other family', async () => {
  const wrong = [
    { host: '127.0.0.1', family: 'ipv6' },
    { host: '::1', family: 'ipv4' },
  ] as const

  for (const endpoint of wrong) {
    await assert.rejects(TcpStream.connect({ ...endpoint, port: 1 }), RangeError)
    await assert.rejects(TcpListener.bind({ ...endpoint, port: 0 }), RangeError)
  }
  for (const family of ['IPv4', 4, null]) {
    await assert.rejects(TcpStream.connect({ port: 1, family: family as never }), TypeError)
    await assert.rejects(TcpListener.bind({ port: 0, family: family as never }), TypeError)
  }
})
