import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { adoptServer, connect, createServer } from '../../src/node/index.ts'

test('echo', async () => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0)
  const { port } = server.address() as AddressInfo
  const client = connect(port)
  client.end('ping')
  let text = ''
  for await (const chunk of client) text += chunk
  assert.equal(text, 'ping')
  server.close()
  await once(server, 'close')
})

test('http', async () => {
  const server = adoptServer(http.createServer((_, res) => res.end('hello'))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const agent = new http.Agent({ keepAlive: true })
  agent.createConnection = connect as never
  for (let i = 0; i < 3; i++) {
    const text = await new Promise((resolve, reject) =>
      http
        .get({ port, host: '127.0.0.1', agent }, (res) => {
          let t = ''
          res.on('data', (c) => (t += c)).on('end', () => resolve(t))
        })
        .on('error', reject),
    )
    assert.equal(text, 'hello')
  }
  agent.destroy()
  server.close()
  await once(server, 'close')
})
