import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { pattern, readPattern } from './support.ts'

const SIZE = 700_000

test('a stream talks to a server of node:net', async () => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const stream = await TcpStream.connect({ host: '127.0.0.1', port })

  const sent = stream.write(pattern(0, SIZE))
  await readPattern(stream, SIZE)
  await sent
  await stream.shutdown()

  assert.equal(await stream.read(), null)
  await stream.close()
  server.close()
  await once(server, 'close')
})

test('a client of node:net talks to a listener, and gets all before the end', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const socket = connect(listener.address.port, '127.0.0.1')
  const server = await accepting

  socket.write(pattern(0, SIZE))
  await readPattern(server, SIZE)
  const received = buffer(socket)
  await server.write(pattern(0, SIZE))
  await server.close()

  assert.ok((await received).equals(Buffer.from(pattern(0, SIZE))))
  socket.destroy()
})
