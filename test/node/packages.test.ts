/** Packages that take a connection, or what makes one, each in the line that docs/node.md has for it. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import { type AddressInfo, createServer as createNodeServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import tls from 'node:tls'
import fastify from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'
import { Agent, request } from 'undici'
import WebSocket, { WebSocketServer } from 'ws'
import {
  adoptServer,
  connect,
  createServer,
  RedisConnector,
  Socket,
  undiciConnect,
} from '../../src/node/index.ts'
import { limited } from '../limits.ts'
import { CERTIFICATE, KEY } from './certificate.ts'

const LIMIT = limited(30_000)
const REDIS_ANSWERS: Readonly<Record<string, string>> = {
  info: '$0\r\n\r\n',
  ping: '+PONG\r\n',
  get: '$2\r\nhi\r\n',
}

test('Fastify serves by its serverFactory, and undici asks by its connect', LIMIT, async () => {
  const app = fastify({ serverFactory: (handler) => adoptServer(http.createServer(handler)) })
  app.post('/echo', async (asked) => ({ got: asked.body }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const dispatcher = new Agent({ connect: undiciConnect() as never })

  const answers = await Promise.all(
    [1, 2, 3].map(async (number) => {
      const { body } = await request(`http://127.0.0.1:${port}/echo`, {
        dispatcher,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ number }),
      })
      return await body.json()
    }),
  )
  await dispatcher.close()
  await app.close()

  assert.deepEqual(
    answers,
    [1, 2, 3].map((number) => ({ got: { number } })),
  )
})

test('undici is told why there is no connection', LIMIT, async () => {
  const server = createNodeServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const dispatcher = new Agent({ connect: undiciConnect() as never })

  await assert.rejects(request(`http://127.0.0.1:${port}/`, { dispatcher }), {
    code: 'ECONNREFUSED',
  })
  await dispatcher.close()
})

test('undici does not wait for ever for a peer that says nothing', LIMIT, async () => {
  const closed: Promise<unknown>[] = []
  const server = createNodeServer((socket) => closed.push(once(socket.resume(), 'close')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const dispatcher = new Agent({ connect: undiciConnect({ timeout: 50 }) as never })

  await assert.rejects(request(`https://127.0.0.1:${port}/`, { dispatcher }), {
    code: 'UND_ERR_CONNECT_TIMEOUT',
  })
  await Promise.all(closed)
  await dispatcher.close()
  server.close()
})

test('undici is refused a limit of time that is none', () => {
  assert.throws(() => undiciConnect({ timeout: -1 }), { code: 'ERR_OUT_OF_RANGE' })
})

test('ws talks on both sides', LIMIT, async () => {
  const server = adoptServer(http.createServer()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const { port } = server.address() as AddressInfo
  const client = new WebSocket(`ws://127.0.0.1:${port}`, { createConnection: connect as never })
  await once(client, 'open')

  client.send('hello')
  const [first] = await once(client, 'message')
  client.send(Buffer.alloc(1_000_000, 'x'))
  const [second] = (await once(client, 'message')) as [Buffer]
  client.close()
  await once(client, 'close')
  sockets.close()
  server.close()

  assert.equal(String(first), 'hello')
  assert.equal(second.length, 1_000_000)
})

test('ioredis talks by its Connector', LIMIT, async () => {
  const server = createServer(answerAsRedis).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const redis = new Redis({ port, host: '127.0.0.1', Connector: RedisConnector as never })

  const answers = await Promise.all([redis.ping(), redis.get('key'), redis.ping()])
  redis.disconnect()
  server.close()

  assert.deepEqual(answers, ['PONG', 'hi', 'PONG'])
})

test('ioredis talks TLS by its Connector, its password too', LIMIT, async () => {
  const authenticated: unknown[] = []
  const server = tls.createServer({ cert: CERTIFICATE, key: KEY }, (socket) => {
    socket.once('data', (chunk) => authenticated.push(String(chunk).includes('secret')))
    answerAsRedis(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const redis = new Redis({
    port,
    host: '127.0.0.1',
    password: 'secret',
    tls: { ca: CERTIFICATE },
    Connector: RedisConnector as never,
  })

  const answer = await redis.get('key')
  redis.disconnect()
  server.close()

  assert.equal(answer, 'hi')
  assert.deepEqual(authenticated, [true])
})

for (const options of [{ sentinels: [{ host: 'a', port: 1 }] }]) {
  const [name] = Object.keys(options)
  test(`the Connector for ioredis refuses ${name}`, () => {
    assert.throws(
      () => new Redis({ ...options, lazyConnect: true, Connector: RedisConnector as never }),
      { code: 'ERR_UNSUPPORTED' },
    )
  })
}

/** Answers as a server of Redis does, so that this runs where none is installed. */
function answerAsRedis(socket: Duplex): void {
  socket.on('data', (chunk: Buffer) => {
    for (const command of String(chunk)
      .split(/\*\d+\r\n/)
      .slice(1)) {
      const name = command.split('\r\n')[1]?.toLowerCase() ?? ''
      socket.write(REDIS_ANSWERS[name] ?? '+OK\r\n')
    }
  })
}

const REDIS = find('redis-server', [])
const redisOptions = { ...LIMIT, skip: REDIS === null && 'redis-server is not installed' }
test('ioredis talks to redis-server', redisOptions, async () => {
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const server = spawn(REDIS!, args, { cwd: tmpdir(), stdio: 'ignore' })
  const redis = new Redis({
    port,
    host: '127.0.0.1',
    Connector: RedisConnector as never,
    retryStrategy: () => 50,
    maxRetriesPerRequest: null,
  })
  redis.on('error', () => {})

  await redis.set('key', 'x'.repeat(500_000))
  const value = await redis.get('key')
  redis.disconnect()
  server.kill()

  assert.equal(value?.length, 500_000)
})

const POSTGRES = find('postgres', [
  '/usr/lib/postgresql/15/bin/postgres',
  '/usr/lib/postgresql/17/bin/postgres',
])
const INITDB = find('initdb', [
  '/usr/lib/postgresql/15/bin/initdb',
  '/usr/lib/postgresql/17/bin/initdb',
])
/** It refuses to run as root: as nobody, then. */
const NOBODY = 65_534
const OWNER: { uid?: number; gid: number } =
  process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : { gid: process.getgid?.() ?? 0 }

test('pg talks to a server by its stream', {
  ...LIMIT,
  skip: reasonWithoutPostgres(),
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-postgres-'))
  if (OWNER.uid !== undefined) chownSync(folder, OWNER.uid, OWNER.gid)
  const port = await freePort()
  const data = ['-D', folder, '-A', 'trust', '-U', 'percore', '--no-sync']
  const made = spawnSync(INITDB!, data, { cwd: folder, ...OWNER })
  assert.equal(made.status, 0, String(made.stderr))
  const args = ['-D', folder, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-k', folder]
  const server = spawn(POSTGRES!, args, { cwd: folder, stdio: 'ignore', ...OWNER })
  try {
    const client = await connectToPostgres(port)
    const { rows } = await client.query('select $1::text as said, repeat($2, 300000) as long', [
      'hi',
      'x',
    ])
    await client.end()

    assert.equal(rows[0].said, 'hi')
    assert.equal(rows[0].long.length, 300_000)
  } finally {
    server.kill('SIGINT')
    await once(server, 'exit')
    rmSync(folder, { recursive: true, force: true })
  }
})

async function connectToPostgres(port: number): Promise<pg.Client> {
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: 'percore',
      database: 'postgres',
      stream: () => new Socket() as never,
    })
    client.on('error', () => {})
    try {
      await client.connect()
      return client
    } catch (error) {
      // It begins to listen when it is ready.
      if (attempt === 200) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

function reasonWithoutPostgres(): string | false {
  if (POSTGRES === null || INITDB === null) return 'postgres and initdb are not installed'
  return false
}

function find(name: string, places: readonly string[]): string | null {
  const folders = (process.env.PATH ?? '').split(':').map((folder) => join(folder, name))
  return [...places, ...folders].find((path) => existsSync(path)) ?? null
}

async function freePort(): Promise<number> {
  const server = createNodeServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
