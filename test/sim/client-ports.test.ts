import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'

/** So many that random ports would meet, more than likely. */
const COUNT = 600

test('connections have ports of their own, which are free once they are closed', () =>
  simulate(1, async () => {
    await using listener = await TcpListener.bind({ port: 0 })
    const { port } = listener.address
    const streams: TcpStream[] = []
    const ports = new Set<number>([port])
    for (let count = 0; count < COUNT; count++) {
      const accepting = listener.accept()
      const client = await TcpStream.connect({ port })
      streams.push(client, await accepting)
      ports.add(client.localAddress.port)
    }
    const taken = streams[0]!.localAddress.port

    await assert.rejects(TcpListener.bind({ port: taken }), { code: 'EADDRINUSE' })
    await Promise.all(streams.map((stream) => stream.close()))
    const other = await TcpListener.bind({ port: taken })
    await other.close()

    assert.equal(ports.size, COUNT + 1)
  }))
