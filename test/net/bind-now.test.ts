import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TcpListener, TcpStream } from '../../src/net/index.ts'

test('bindNow() listens at once', async () => {
  await using listener = TcpListener.bindNow({ host: '127.0.0.1', port: 0 })
  const { port } = listener.address
  const accepting = listener.accept()

  await using client = await TcpStream.connect({ host: '127.0.0.1', port })
  await using server = await accepting

  assert.equal(server.remoteAddress?.port, client.localAddress.port)
})

test('bindNow() refuses a name, and an address that is taken', async () => {
  await using listener = TcpListener.bindNow({ host: '127.0.0.1', port: 0 })
  const { port } = listener.address

  assert.throws(() => TcpListener.bindNow({ host: 'localhost', port: 0 }), RangeError)
  assert.throws(() => TcpListener.bindNow({ host: '127.0.0.1', port }), { code: 'EADDRINUSE' })
})
