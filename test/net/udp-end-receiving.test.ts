/** A UDP socket that receives no more, as those of a port that is being closed. */
import assert from 'node:assert/strict'
import { UdpSocket } from '../../src/net/index.ts'
import { sleep } from '../../src/time/index.ts'
import { testOnBoth } from './both-kernels.ts'

async function openPair(): Promise<{ server: UdpSocket; client: UdpSocket }> {
  const server = await UdpSocket.bind({ port: 0 })
  const client = await UdpSocket.connect(server.localAddress)
  return { server, client }
}

testOnBoth('endReceiving() ends an iteration that waits; sends go on', async () => {
  const { server, client } = await openPair()
  const next = server[Symbol.asyncIterator]().next()

  server.endReceiving()
  server.endReceiving()

  assert.deepEqual(await next, { value: undefined, done: true })
  await assert.rejects(server.receive(), { code: 'ERR_HANDLE_CLOSED' })
  await server.send(Uint8Array.of(1), { to: client.localAddress })
  assert.equal((await client.receive()).data[0], 1)
  await client.close()
  await server.close()
})

testOnBoth('endReceiving() hands out first what has come', async () => {
  const { server, client } = await openPair()
  for (const value of [1, 2, 3]) await client.send(Uint8Array.of(value))
  await server.peek()
  while (server.receivedCount < 3) await sleep(1)

  server.endReceiving()

  const values: number[] = []
  for await (const { data } of server) values.push(data[0]!)
  assert.deepEqual(values, [1, 2, 3])
  await client.close()
  await server.close()
})

testOnBoth('endReceiving() ends a consumption without an error', async () => {
  const { server, client } = await openPair()
  const events: unknown[] = []
  server.consume({
    onDatagram: ({ data }) => events.push(data[0]),
    onEnd: (error) => events.push(error),
  })
  await client.send(Uint8Array.of(1))
  while (events.length === 0) await sleep(1)
  assert.equal(server.isRead, true)

  server.endReceiving()
  await server.whenConsumed()

  assert.deepEqual(events, [1, null])
  assert.equal(server.isRead, false)
  await client.close()
  await server.close()
})

testOnBoth('endReceiving() on a socket that nobody has read, or that is closed', async () => {
  const { server, client } = await openPair()

  server.endReceiving()
  await client.close()
  client.endReceiving()

  await assert.rejects(server.receive(), { code: 'ERR_HANDLE_CLOSED' })
  await server.close()
})
