import assert from 'node:assert/strict'
import { executor } from '../../src/executor/index.ts'
import { UdpSocket } from '../../src/net/index.ts'
import { configureNet } from '../../src/net/memory/net-ring.ts'
import { testOnBoth } from './both-kernels.ts'
import { pattern } from './support.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const bytesOf = (value: string): Uint8Array => Buffer.from(value)

testOnBoth('who reads slowly stops its own receive, and its neighbour goes on', async () => {
  // So many that they never run out, which would stop it as well.
  configureNet(executor(), { bufferBytes: 1024, entryCount: 4096, initialCount: 2048 })
  const slow = await UdpSocket.bind({ port: 0, datagramBytesMax: 500 })
  const server = await UdpSocket.bind({ port: 0, datagramBytesMax: 500 })
  const client = await UdpSocket.bind({ port: 0, datagramBytesMax: 500 })
  // It receives ahead from its first read on.
  await client.send(bytesOf('first'), { to: slow.localAddress })
  await slow.receive()
  let sent = 0
  for (let round = 0; round < 40; round++) {
    const sends: Promise<void>[] = []
    for (let index = 0; index < 32; index++, sent++) {
      sends.push(client.send(pattern(sent, 64), { to: slow.localAddress }))
    }
    await Promise.all(sends)
    await client.send(bytesOf('other'), { to: server.localAddress })
    assert.equal(text((await server.receive()).data), 'other')
  }

  // Beyond 256 what was on its way; the kernel keeps the rest, or drops it.
  assert.ok(slow.receivedCount < 600, `${slow.receivedCount} of ${sent} have come`)
  for (let index = 0; index < 256; index++) {
    assert.deepEqual((await slow.receive()).data, pattern(index, 64))
  }
  for (const socket of [slow, server, client]) await socket.close()
})
