/** TLS over percore's sockets, in both roles, against `node:tls` and OpenSSL: 64 MiB each way at once, and what came is what was sent. */
import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex, Readable, Writable } from 'node:stream'
import { test } from 'node:test'
import tls from 'node:tls'
import { adoptServer, connectTls } from '../../src/node/index.ts'
import { limited } from '../limits.ts'
import { CERTIFICATE, KEY } from './certificate.ts'

const LIMIT = limited(120_000)
const WHOLE_BYTES = 64 << 20
/** No multiple of a record, or of a buffer. */
const PIECE_BYTES = 60_000

/** What one side has to write to, and to read from. */
interface Side {
  readonly sink: Writable
  readonly source: Readable
}

interface Server extends AsyncDisposable {
  readonly port: number
  /** Once somebody has connected; OpenSSL's is there before. */
  readonly side: Promise<Side>
}

/** Other bytes for each seed, and in each piece. */
function* piecesOf(seed: number): Generator<Buffer> {
  for (let sentBytes = 0; sentBytes < WHOLE_BYTES; sentBytes += PIECE_BYTES) {
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, WHOLE_BYTES - sentBytes), seed)
    piece.writeUInt32LE(sentBytes, 0)
    yield piece
  }
}

function digestOf(seed: number): string {
  const hash = createHash('sha256')
  for (const piece of piecesOf(seed)) hash.update(piece)
  return hash.digest('hex')
}

async function send({ sink }: Side, seed: number): Promise<void> {
  for (const piece of piecesOf(seed)) if (!sink.write(piece)) await once(sink, 'drain')
}

/** Of as many bytes as the other side sends; OpenSSL has no way to end one direction alone. */
function digestComing({ source }: Side): Promise<string> {
  const hash = createHash('sha256')
  let readBytes = 0
  return new Promise((resolve, reject) => {
    source.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      readBytes += chunk.length
      if (readBytes >= WHOLE_BYTES) resolve(`${hash.digest('hex')}, ${readBytes} bytes`)
    })
    source.on('error', reject)
    source.on('close', () => reject(new Error(`It was closed after ${readBytes} bytes`)))
  })
}

async function exchange(client: Side, server: Side): Promise<void> {
  const [toServer, toClient] = await Promise.all([
    digestComing(server),
    digestComing(client),
    send(client, 1),
    send(server, 2),
  ])

  assert.equal(toServer, `${digestOf(1)}, ${WHOLE_BYTES} bytes`)
  assert.equal(toClient, `${digestOf(2)}, ${WHOLE_BYTES} bytes`)
}

function bothOf(duplex: Duplex): Side {
  return { sink: duplex, source: duplex }
}

async function startNode(server: tls.Server): Promise<Server> {
  const connected = once(server, 'secureConnection') as Promise<[tls.TLSSocket]>
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    side: connected.then(([socket]) => bothOf(socket)),
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

const identity = { cert: CERTIFICATE, key: KEY }
const startPercore = (): Promise<Server> => startNode(adoptServer(tls.createServer(identity)))

const startPlain = (): Promise<Server> => startNode(tls.createServer(identity))

async function handshake(socket: tls.TLSSocket): Promise<tls.TLSSocket> {
  await once(socket, 'secureConnect')
  assert.ok(socket.authorized)
  return socket
}

const where = (port: number) => ({ port, host: '127.0.0.1', ca: CERTIFICATE })

async function exchangeWith(server: Server, socket: tls.TLSSocket): Promise<void> {
  await handshake(socket)
  await exchange(bothOf(socket), await server.side)
  socket.destroy()
}

test('TLS: percore as the server, node:tls as the client', LIMIT, async () => {
  await using server = await startPercore()
  await exchangeWith(server, tls.connect(where(server.port)))
})

test('TLS: node:tls as the server, percore as the client', LIMIT, async () => {
  await using server = await startPlain()
  await exchangeWith(server, connectTls(where(server.port)))
})

test('TLS: percore as the server and the client', LIMIT, async () => {
  await using server = await startPercore()
  await exchangeWith(server, connectTls(where(server.port)))
})

const hasOpenSsl = spawnSync('openssl', ['version']).error === undefined
const OPENSSL = { ...LIMIT, skip: !hasOpenSsl && 'openssl is not installed' }

/** A program of OpenSSL whose input and output are the plain bytes; it does not end by itself. */
class OpenSsl implements Disposable {
  readonly side: Side
  readonly #child: ChildProcessWithoutNullStreams

  constructor(...words: string[]) {
    this.#child = spawn('openssl', words)
    this.#child.stdin.on('error', () => {})
    // It says how the verification went; nobody wants to know, and it must not wait for that.
    this.#child.stderr.resume()
    this.side = { sink: this.#child.stdin, source: this.#child.stdout }
  }

  [Symbol.dispose](): void {
    this.#child.stdout.removeAllListeners('close')
    this.#child.kill('SIGKILL')
  }
}

test('TLS: percore as the server, openssl s_client as the client', OPENSSL, async () => {
  await using server = await startPercore()
  using client = new OpenSsl('s_client', '-quiet', '-connect', `127.0.0.1:${server.port}`)
  const side = await server.side

  await exchange(client.side, side)

  side.sink.destroy()
})

for (const [name, start] of Object.entries({ 'node:tls': startPlain, percore: startPercore })) {
  for (const [clientName, open] of Object.entries({
    'node:tls': tls.connect,
    percore: connectTls,
  })) {
    test(`TLS: a socket of ${name} ends with that of ${clientName}`, LIMIT, async () => {
      await using server = await start()
      const client = await handshake(open(where(server.port)) as tls.TLSSocket)
      const peer = (await server.side).sink as tls.TLSSocket
      const closed = Promise.all([once(client.resume(), 'close'), once(peer.resume(), 'close')])

      peer.end('x')

      await closed
    })
  }
}

test('TLS: openssl s_server as the server, percore as the client', OPENSSL, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-tls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  writeFileSync(cert, CERTIFICATE)
  writeFileSync(key, KEY)
  const port = await unusedPort()
  using server = new OpenSsl(
    ...['s_server', '-quiet', '-naccept', '1', '-cert', cert, '-key', key],
    ...['-accept', `127.0.0.1:${port}`],
  )
  const socket = await connectOnceThere(port)

  await exchange(bothOf(socket), server.side)

  socket.destroy()
})

async function unusedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** It does not say when it listens. */
async function connectOnceThere(port: number): Promise<tls.TLSSocket> {
  for (;;) {
    try {
      return await handshake(connectTls(where(port)))
    } catch (error) {
      if ((error as { code?: string }).code !== 'ECONNREFUSED') throw error
    }
  }
}
