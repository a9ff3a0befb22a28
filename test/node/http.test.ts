/** What of Node itself takes a connection, or a function that makes one, on percore's sockets. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { AddressInfo, Server as NodeServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import tls from 'node:tls'
import { TcpListener } from '../../src/net/index.ts'
import { adoptServer, connect, connectTls, createServer, Socket } from '../../src/node/index.ts'
import { limited } from '../limits.ts'
import { CERTIFICATE, KEY } from './certificate.ts'

const LIMIT = limited(20_000)
const IDENTITY = { cert: CERTIFICATE, key: KEY }
const TLS_BYTES: number = 8 * 1024 * 1024

test('adoptServer() has http.createServer() serve, keep alive, and close', LIMIT, async () => {
  const server = adoptServer(http.createServer(echoBody))
  const port = await listen(server)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  agent.createConnection = connect as never

  const first = await ask(http.request({ port, host: '127.0.0.1', agent, method: 'POST' }), 'one')
  const second = await ask(http.request({ port, host: '127.0.0.1', agent, method: 'POST' }), 'two')
  agent.destroy()
  server.close()
  await once(server, 'close')

  assert.deepEqual([first, second], ['one', 'two'])
  assert.equal(server.listening, false)
})

test('http.request() goes over createConnection', LIMIT, async () => {
  const server = http.createServer(echoBody)
  const port = await listen(server)
  const request = http.request({
    port,
    host: '127.0.0.1',
    method: 'POST',
    createConnection: connect as never,
  })

  const assigned = once(request, 'socket')
  const answer = await ask(request, 'x'.repeat(300_000))
  server.close()

  assert.equal(answer.length, 300_000)
  assert.ok((await assigned)[0] instanceof Socket)
})

test('a server of HTTP answers requests that were sent at once, in order', LIMIT, async () => {
  const server = adoptServer(http.createServer((request, response) => response.end(request.url)))
  const port = await listen(server)
  const client = connect(port, '127.0.0.1')
  const request = (path: string, end = ''): string =>
    `GET ${path} HTTP/1.1\r\nHost: here\r\n${end}\r\n`

  client.write(`${request('/a')}${request('/b')}${request('/c', 'Connection: close\r\n')}`)
  const answers = await text(client)
  server.close()

  assert.deepEqual(answers.match(/\/[abc]/g), ['/a', '/b', '/c'])
})

test('a server of HTTP gets what is sent one byte at a time', LIMIT, async () => {
  const server = adoptServer(
    http.createServer(async (request, response) => response.end(await text(request))),
  )
  const port = await listen(server)
  const client = connect(port, '127.0.0.1')
  const request =
    'POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello'

  const answer = text(client)
  for (const byte of Buffer.from(request)) {
    await new Promise<void>((resolve) => client.write(Uint8Array.of(byte), () => resolve()))
  }

  assert.match(await answer, /\r\n\r\n.*hello/s)
  server.close()
})

test('a server of HTTP outlives peers that reset, vanish and stall', LIMIT, async () => {
  const server = adoptServer(
    http.createServer((_, response) => response.end('y'.repeat(2_000_000))),
  )
  const port = await listen(server)
  for (let round = 0; round < 20; round++) {
    const client = connect(port, '127.0.0.1')
    await once(client, 'connect')
    client.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n')
    if (round % 2 === 0) client.resetAndDestroy()
    else client.pause()
    if (round % 4 === 1) client.destroy()
    else if (round % 2 === 1) setImmediate(() => client.destroy())
  }

  const answer = await ask(http.request({ port, host: '127.0.0.1', agent: false }), '')
  server.close()
  server.closeAllConnections()
  await once(server, 'close')

  assert.equal(answer.length, 2_000_000)
})

test('a connection of one’s own listener serves HTTP', LIMIT, async () => {
  const server = http.createServer(echoBody)
  await using listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const request = http.request({ port: listener.address.port, method: 'POST', agent: false })
  const answer = ask(request, 'mine')
  server.emit('connection', Socket.over(await accepting))

  assert.equal(await answer, 'mine')
})

test('adoptServer() has https.createServer() serve, and an agent connects', LIMIT, async () => {
  const server = adoptServer(https.createServer(IDENTITY, echoBody))
  const port = await listen(server)
  const agent = new https.Agent({ ca: CERTIFICATE, keepAlive: true })
  agent.createConnection = connectTls as never
  const options = { port, host: '127.0.0.1', method: 'POST', ca: CERTIFICATE }

  const overOurs = await ask(https.request({ ...options, agent }), 'ours')
  const overNode = await ask(https.request({ ...options, agent: false }), 'node')
  agent.destroy()
  server.close()
  server.closeAllConnections()

  assert.deepEqual([overOurs, overNode], ['ours', 'node'])
})

for (const [name, start] of Object.entries({
  'node:tls as the client': (port: number) =>
    tls.connect({ port, host: '127.0.0.1', ca: CERTIFICATE }),
  'connectTls()': (port: number) => connectTls({ port, host: '127.0.0.1', ca: CERTIFICATE }),
  'tls.connect() over a socket that is connecting': (port: number) =>
    tls.connect({
      socket: connect({ port, host: '127.0.0.1', allowHalfOpen: true }) as never,
      host: '127.0.0.1',
      ca: CERTIFICATE,
    }),
})) {
  test(`a server of TLS echoes all bytes, with ${name}`, LIMIT, async () => {
    const server = adoptServer(
      tls.createServer(IDENTITY, (socket) => {
        socket.on('error', () => {})
        socket.pipe(socket)
      }),
    )
    const port = await listen(server)
    const client = start(port)
    await once(client, 'secureConnect')
    const sent = Buffer.alloc(TLS_BYTES, 'pattern')

    const received: Buffer[] = []
    client.on('data', (chunk: Buffer) => received.push(chunk))
    client.end(sent)
    await once(client, 'end')
    client.destroy()
    server.close()

    assert.ok(Buffer.concat(received).equals(sent))
    assert.equal(client.authorized, true)
  })
}

test('new tls.TLSSocket() makes a server of a socket', LIMIT, async () => {
  const server = createServer((socket) => {
    const secure = new tls.TLSSocket(socket as never, { isServer: true, ...IDENTITY })
    secure.end('secret')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const client = tls.connect({ port, host: '127.0.0.1', ca: CERTIFICATE })

  assert.equal(await text(client), 'secret')
  server.close()
})

test('http2 runs on both sides', LIMIT, async () => {
  const server = adoptServer(
    http2.createServer((request, response) => response.end(`path ${request.url}`)),
  )
  const port = await listen(server)
  const session = http2.connect(`http://127.0.0.1:${port}`, {
    createConnection: () => connect(port, '127.0.0.1') as never,
  })

  const answers = await Promise.all(
    ['/1', '/2', '/3'].map((path) => text(session.request({ ':path': path }))),
  )
  session.close()
  server.close()

  assert.deepEqual(answers, ['path /1', 'path /2', 'path /3'])
})

test('adoptServer() refuses what is no server, and one that listens', LIMIT, async () => {
  const server = http.createServer()
  await listen(server)

  assert.throws(() => adoptServer({} as NodeServer), { code: 'ERR_INVALID_ARG_TYPE' })
  assert.throws(() => adoptServer(server), { code: 'ERR_SERVER_ALREADY_LISTEN' })
  server.close()
})

test('what node:net may be told and percore/node may not is refused', () => {
  const refused = { code: 'ERR_UNSUPPORTED' }

  assert.throws(() => new Socket({ fd: 1 } as never), refused)
  assert.throws(() => createServer().listen({ fd: 1 }), refused)
})

async function listen(server: NodeServer): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

function echoBody(request: http.IncomingMessage, response: http.ServerResponse): void {
  request.pipe(response)
}

async function ask(request: http.ClientRequest, body: string): Promise<string> {
  request.end(body)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  return await text(response)
}
