/** Where a connection comes from, and whom a listener on all addresses leaves to others. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { testOnBoth } from './both-kernels.ts'

testOnBoth('connect() comes from localHost and localPort', async () => {
  await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const { port } = listener.address
  const unused = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const localPort = unused.address.port
  await unused.close()
  const accepting = listener.accept()

  await using client = await TcpStream.connect({
    host: '127.0.0.1',
    port,
    localHost: '127.0.0.1',
    localPort,
  })
  await using server = await accepting

  assert.deepEqual(client.localAddress, { host: '127.0.0.1', port: localPort, family: 'ipv4' })
  assert.deepEqual(server.remoteAddress, client.localAddress)
})

test('connect() comes from another address of the machine', async () => {
  await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const accepting = listener.accept()
  const { port } = listener.address

  await using client = await TcpStream.connect({ host: '127.0.0.1', port, localHost: '127.0.0.9' })
  await using server = await accepting

  assert.equal(server.remoteAddress?.host, '127.0.0.9')
  assert.equal(client.localAddress.host, '127.0.0.9')
})

test('connect() takes the family of localHost for a name', async () => {
  await using listener = await TcpListener.bind({ host: '::1', port: 0 })
  const { port } = listener.address
  const accepting = listener.accept()

  await using client = await TcpStream.connect({ port, localHost: '::1' })
  await using server = await accepting

  assert.equal(server.remoteAddress?.host, '::1')
  assert.equal(client.remoteAddress?.host, '::1')
})

testOnBoth('connect() fails as bind() does where localPort is taken', async () => {
  await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const { port } = listener.address

  await assert.rejects(TcpStream.connect({ host: '127.0.0.1', port, localPort: port }), {
    code: 'EADDRINUSE',
    syscall: 'bind',
  })
})

test('connect() fails as bind() does for an address of another machine', async () => {
  await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const { port } = listener.address

  await assert.rejects(TcpStream.connect({ host: '127.0.0.1', port, localHost: '192.0.2.1' }), {
    code: 'EADDRNOTAVAIL',
    syscall: 'bind',
  })
})

test('connect() refuses a local end that cannot be one', async () => {
  for (const wrong of [
    { localHost: 'localhost' },
    { localHost: '::1' },
    { localHost: '127.0.0.1', family: 'ipv6', host: 'localhost' },
    { localPort: -1 },
    { localPort: 65_536 },
  ] as const) {
    await assert.rejects(TcpStream.connect({ host: '127.0.0.1', port: 1, ...wrong }), RangeError)
  }
  for (const wrong of [{ localHost: 1 }, { localPort: '1' }] as object[]) {
    await assert.rejects(TcpStream.connect({ host: '127.0.0.1', port: 1, ...wrong }), TypeError)
  }
})

test('bind() to :: leaves IPv4 to others with ipv6Only, and takes it without', async () => {
  await using only = await TcpListener.bind({ host: '::', port: 0, ipv6Only: true })
  const { port } = only.address

  await using other = await TcpListener.bind({ host: '0.0.0.0', port })
  const accepting = other.accept()
  await using client = await TcpStream.connect({ host: '127.0.0.1', port })
  await using server = await accepting
  await using both = await TcpListener.bind({ host: '::', port: 0 })
  const mapped = both.accept()
  await using mappedClient = await TcpStream.connect({ host: '127.0.0.1', port: both.address.port })
  await using mappedServer = await mapped

  assert.equal(client.remoteAddress?.port, port)
  assert.equal(server.remoteAddress?.host, '127.0.0.1')
  assert.equal(mappedServer.remoteAddress?.port, mappedClient.localAddress.port)
})
