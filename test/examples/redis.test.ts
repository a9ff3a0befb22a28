/** The Redis server of examples/: over real sockets with Node's own and ioredis as clients, and simulated. */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { slotOf } from '../../examples/redis/hash-slot.ts'
import { Gathering } from '../../examples/redis/replies.ts'
import { RedisServer } from '../../examples/redis/server.ts'
import { TcpStream } from '../../src/net/index.ts'
import { simTopology } from '../../src/sim/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'
import { limited, seedCount } from '../limits.ts'

const LIMIT = limited(60_000)
const SEEDS = seedCount(10)

async function connectTo({ address }: RedisServer): Promise<Socket> {
  const socket = connect(address.port, address.host)
  socket.setEncoding('latin1')
  await once(socket, 'connect')
  return socket
}

/** Sends, and resolves to what comes until so many bytes have, or the end. */
async function exchange(socket: Socket, text: string, lengthBytes: number): Promise<string> {
  socket.write(text, 'latin1')
  let answer = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    answer += chunk
    if (answer.length >= lengthBytes) break
  }
  return answer
}

/** Each command, on all ways to serve it. */
const SERVERS: readonly (readonly [string, () => Promise<RedisServer>])[] = [
  ['on one thread', () => RedisServer.startSingle()],
  ['on two shards', () => RedisServer.start({ shards: 2, placement: PoolPlacement.unbound(2) })],
]

for (const [name, start] of SERVERS) {
  test(`replies come in the order of a pipeline ${name}`, LIMIT, async () => {
    await using server = await start()
    const socket = await connectTo(server)
    let text = ''
    let expected = ''
    for (let index = 0; index < 3000; index++) {
      const value = 'v'.repeat(index % 100)
      text += `SET key:${index} "${value}"\r\nGET key:${index}\r\nPING ${index}\r\nMGET key:${index} none\r\nNOPE\r\n`
      const bulk = `$${value.length}\r\n${value}\r\n`
      expected += `+OK\r\n${bulk}$${String(index).length}\r\n${index}\r\n*2\r\n${bulk}$-1\r\n-ERR unknown command 'NOPE', with args beginning with: \r\n`
    }

    assert.equal(await exchange(socket, text, expected.length), expected)
    socket.destroy()
  })

  test(`a value of any bytes and of many chunks comes back ${name}`, LIMIT, async () => {
    await using server = await start()
    const socket = await connectTo(server)
    const bytes = Buffer.alloc(
      1_000_000,
      Uint8Array.from({ length: 256 }, (_, byte) => byte),
    )
    const value = bytes.toString('latin1')
    const key = '\r\n\0\xff'
    const set = `*3\r\n$3\r\nSET\r\n$4\r\n${key}\r\n$${value.length}\r\n${value}\r\n`
    const expected = `+OK\r\n$${value.length}\r\n${value}\r\n`

    const answer = await exchange(
      socket,
      `${set}*2\r\n$3\r\nGET\r\n$4\r\n${key}\r\n`,
      expected.length,
    )

    assert.ok(answer === expected)
    socket.destroy()
  })

  test(
    `a protocol error is told behind the replies, and ends the connection ${name}`,
    LIMIT,
    async () => {
      await using server = await start()
      const socket = await connectTo(server)

      const answer = await exchange(socket, 'SET a 1\r\nGET a\r\n*1\r\n!1\r\nGET a\r\n', 1000)

      assert.equal(answer, "+OK\r\n$1\r\n1\r\n-ERR Protocol error: expected '$', got '!'\r\n")
      socket.destroy()
    },
  )

  test(`QUIT ends the connection, and nothing behind it runs ${name}`, LIMIT, async () => {
    await using server = await start()
    const [socket, other] = await Promise.all([connectTo(server), connectTo(server)])

    assert.equal(await exchange(socket, 'SET a 1\r\nQUIT\r\nSET a 2\r\n', 1000), '+OK\r\n+OK\r\n')
    assert.equal(await exchange(other, 'GET a\r\n', 7), '$1\r\n1\r\n')
    socket.destroy()
    other.destroy()
  })

  test(
    `a client that does not read is not read from, and others go on ${name}`,
    LIMIT,
    async () => {
      await using server = await start()
      const [deaf, other] = await Promise.all([connectTo(server), connectTo(server)])
      const value = 'v'.repeat(1 << 16)
      assert.equal(
        await exchange(other, `*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$65536\r\n${value}\r\n`, 5),
        '+OK\r\n',
      )
      deaf.pause()
      // Far more than the buffers of both ends hold, asked for by little: INCR says how many were taken.
      deaf.write('INCR taken\r\nGET big\r\n'.repeat(20_000))

      const counts: string[] = []
      while (
        counts.length < 20 ||
        counts.at(-1) !== counts.at(-20) ||
        counts.at(-1) === '$-1\r\n'
      ) {
        counts.push(await exchange(other, 'GET taken\r\n', 5))
      }

      const taken = Number(counts.at(-1)!.split('\r\n')[1])
      assert.ok(taken > 0 && taken < 5000, `${taken} of 20000 values were taken out for nobody`)
      deaf.destroy()
      other.destroy()
    },
  )

  test(`a stop answers what it has read, and ends idle connections ${name}`, LIMIT, async () => {
    const server = await start()
    const socket = await connectTo(server)
    assert.equal(await exchange(socket, 'PING\r\n', 7), '+PONG\r\n')
    const ended = once(socket, 'end')
    socket.resume()

    const counts = await server.stop()

    await ended
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      1,
    )
    socket.destroy()
  })
}

test('a stop just behind the start finds shards that listen, or do not yet', LIMIT, async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    await simulate({ seed, topology: simTopology({ coreCount: 4 }) }, async () => {
      const server = await RedisServer.start({ shards: 4 })
      assert.deepEqual(await server.stop(), [0, 0, 0, 0])
    })
  }
})

test(
  'clients of four simulated shards get their replies in order, from wherever their keys are',
  LIMIT,
  async () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const faults = { shortRead: 0.1, shortWrite: 0.1, delay: 0.1, lateMessage: 0.1 }
      await simulate({ seed, faults, topology: simTopology({ coreCount: 4 }) }, async () => {
        const server = await RedisServer.start({ shards: 4 })
        await Promise.all(Array.from({ length: 6 }, (_, client) => ask(server, client)))

        const counts = await server.stop()

        assert.equal(
          counts.reduce((sum, count) => sum + count, 0),
          6,
        )
      })
    }
  },
)

/** Commands of one key, of many, and of all; a value is large enough that a shard gives its replies in lots. */
async function ask({ address }: RedisServer, client: number): Promise<void> {
  await using stream = await TcpStream.connect({ host: address.host, port: address.port })
  const value = String(client).repeat(30_000)
  const bulk = `$30000\r\n${value}\r\n`
  let text = ''
  let expected = ''
  for (let index = 0; index < 12; index++) {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => `${name}:${client}:${index}`)
    text += `SET ${a} ${value}\r\nMSET ${b} 1 ${c} 2\r\nGET ${a}\r\nMGET ${c} ${a} none ${b}\r\nINCR ${b}\r\nDEL ${b} ${c} none\r\nEXISTS ${a} ${b}\r\n`
    expected += `+OK\r\n+OK\r\n${bulk}*4\r\n$1\r\n2\r\n${bulk}$-1\r\n$1\r\n1\r\n:2\r\n:2\r\n:1\r\n`
  }
  const writing = stream.write(Buffer.from(text))
  let answer = ''
  while (answer.length < expected.length) {
    const chunk = await stream.read()
    if (chunk === null) break
    answer += Buffer.from(chunk).toString('latin1')
  }
  await writing
  assert.ok(answer === expected)
}

/** A client with far more replies to come than the buffers of both ends hold, of which it reads none. */
async function connectDeaf({ address }: RedisServer, last: string): Promise<TcpStream> {
  const stream = await TcpStream.connect({ host: address.host, port: address.port })
  await stream.write(Buffer.from(`SET big ${'v'.repeat(60_000)}\r\n`))
  await stream.read()
  await stream.write(Buffer.from(`${'GET big\r\n'.repeat(500)}${last}`))
  await sleep(1000)
  return stream
}

for (const last of ['', 'QUIT\r\n', '*1\r\n!1\r\n']) {
  test(
    `a stop gives up a client that reads nothing, behind ${JSON.stringify(last)}`,
    LIMIT,
    async () => {
      await simulate({ seed: 1 }, async () => {
        const server = await RedisServer.startSingle()
        await using deaf = await connectDeaf(server, last)

        assert.deepEqual(await server.stop(), [1])

        await assert.rejects(
          async () => {
            while ((await deaf.read()) !== null);
          },
          { code: 'ECONNRESET' },
        )
      })
    },
  )
}

test('a client that quits and does not read its last reply is closed', LIMIT, async () => {
  await simulate({ seed: 1 }, async () => {
    await using server = await RedisServer.startSingle()
    const { address } = server
    await using deaf = await TcpStream.connect({ host: address.host, port: address.port })
    const set = `SET big ${'v'.repeat(60_000)}\r\n`
    const text = `${set}${`APPEND big ${'v'.repeat(60_000)}\r\n`.repeat(300)}`
    await Promise.all([deaf.write(Buffer.from(text)), sleep(1000)])

    // One write, of 18 MB.
    await deaf.write(Buffer.from('GET big\r\n*1\r\n!1\r\n'))
    await sleep(60_000)

    let readBytes = 0
    for (let chunk = await deaf.read(); chunk !== null; chunk = await deaf.read()) {
      readBytes += chunk.length
    }
    assert.ok(readBytes < 300 * 60_000, `${readBytes} bytes came after all`)
  })
})

test('a connection that comes with the stop is served or closed', LIMIT, async () => {
  for (let seed = 0; seed < 50; seed++) {
    await simulate({ seed, faults: { delay: 0.3 } }, async () => {
      const server = await RedisServer.startSingle()
      const { address } = server
      const connecting = Array.from({ length: 8 }, async (_, index) => {
        for (let turn = 0; turn < index; turn++) await sleep(0)
        const stream = await TcpStream.connect({ host: address.host, port: address.port })
        await stream.close()
      })
      const settled = Promise.allSettled(connecting)
      for (let turn = seed % 8; turn > 0; turn--) await sleep(0)

      const [count] = await server.stop()

      assert.ok(count! <= 8)
      await settled
    })
  }
})

test('replies that are too long together are not held until all are there', () => {
  const gathering = new Gathering(100)

  gathering.add('v'.repeat(60))
  const before = gathering.heldBytes
  gathering.add('v'.repeat(60))
  const after = gathering.heldBytes
  for (let count = 0; count < 1000; count++) gathering.add('v'.repeat(60))

  assert.deepEqual([before, after, gathering.heldBytes], [60, 0, 0])
  assert.equal(
    gathering.finish(() => 'combined'),
    '-ERR reply exceeds maximum allowed size\r\n',
  )
})

test('an error among replies that are combined is the reply, and else the first is first', () => {
  const failed = new Gathering()
  const good = new Gathering()
  for (const reply of ['a', '-ERR b\r\n', 'c']) failed.add(reply)
  for (const reply of ['a', 'c']) good.add(reply)

  const combine = (replies: readonly string[]): string => replies.join('+')

  assert.equal(failed.finish(combine), '-ERR b\r\n')
  assert.equal(good.finish(combine), 'a+c')
})

const ENDED = '-CLUSTERDOWN Hash slot not served: its shard has ended\r\n'
/** A key of each of three shards. */
const KEYS = [0, 1, 2].map((shard) => {
  for (let index = 0; ; index++) {
    if (Math.floor((slotOf(`key:${index}`) * 3) / 16_384) === shard) return `key:${index}`
  }
})

/** A client of one that will live, whose keys and those of the others are set. */
async function connectToLiving(server: RedisServer): Promise<TcpStream> {
  const { host, port } = server.address
  for (;;) {
    const stream = await TcpStream.connect({ host, port })
    const id = await answerTo(stream, 'CLIENT ID\r\n', 1)
    if ((Number(id.slice(1)) - 1) % 3 !== 1) {
      const sets = KEYS.map((key, shard) => `SET ${key} ${shard}\r\n`).join('')
      assert.equal(await answerTo(stream, sets, 3), '+OK\r\n'.repeat(3))
      return stream
    }
    await stream.close()
  }
}

/** Sends, and resolves to so many lines. */
async function answerTo(stream: TcpStream, text: string, lines: number): Promise<string> {
  await stream.write(Buffer.from(text))
  let answer = ''
  while (answer.split('\r\n').length <= lines) {
    const chunk = await stream.read()
    if (chunk === null) throw new Error(`It was closed behind ${answer}`)
    answer += Buffer.from(chunk).toString('latin1')
  }
  return answer
}

async function loseShard(server: RedisServer): Promise<void> {
  const stream = await connectToLiving(server)
  const [first, second, third] = KEYS
  const ended = server.pool!.shards[1]!.terminate()

  // Commands are on their way to it as it ends: each is answered, by a value or by the error.
  let reply = ':1\r\n'
  while (reply === ':1\r\n') reply = await answerTo(stream, `EXISTS ${second}\r\n`, 1)
  await ended

  assert.equal(reply, ENDED)
  const text = `GET ${first}\r\nGET ${second}\r\nSET ${second} x\r\nGET ${third}\r\nMGET ${first} ${second}\r\nDBSIZE\r\nPING\r\n`
  assert.equal(
    await answerTo(stream, text, 9),
    `$1\r\n0\r\n${ENDED}${ENDED}$1\r\n2\r\n${ENDED}${ENDED}+PONG\r\n`,
  )
  await stream.close()
  const other = await TcpStream.connect({ host: server.address.host, port: server.address.port })
  assert.equal(await answerTo(other, `GET ${third}\r\n`, 2), '$1\r\n2\r\n')
  await other.close()
  assert.equal((await server.stop())[1], 0)
}

test('shards serve on when one of them dies, and say which keys are gone', LIMIT, async () => {
  await loseShard(await RedisServer.start({ shards: 3, placement: PoolPlacement.unbound(3) }))
})

test('the same of simulated shards', LIMIT, async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const faults = { shortRead: 0.1, delay: 0.1, lateMessage: 0.1 }
    await simulate({ seed, faults, topology: simTopology({ coreCount: 4 }) }, async () =>
      loseShard(await RedisServer.start({ shards: 3 })),
    )
  }
})

test('keys go to the slots of Redis Cluster, and those of one tag together', () => {
  assert.deepEqual(['123456789', 'foo', '', 'foo{}{bar}'].map(slotOf), [
    12_739,
    12_182,
    0,
    slotOf('foo{}{bar}'),
  ])
  assert.equal(slotOf('{user}:name'), slotOf('{user}:age'))
  assert.equal(slotOf('a{user}b{c}'), slotOf('user'))
  assert.notEqual(slotOf('{}a'), slotOf('{}b'))
})

test('ioredis uses it: commands, pipelines, deadlines and errors', LIMIT, async () => {
  for (const [, start] of SERVERS) {
    await using server = await start()
    const redis = new Redis({
      host: server.address.host,
      port: server.address.port,
      connectionName: 'me',
    })
    try {
      assert.equal(await redis.set('a', '1', 'EX', 60), 'OK')
      assert.equal(await redis.ttl('a'), 60)
      assert.deepEqual(await redis.mget('a', 'none'), ['1', null])
      const results = await redis.pipeline().incr('a').getBuffer('a').del('a', 'none').exec()
      assert.deepEqual(results, [
        [null, 2],
        [null, Buffer.from('2')],
        [null, 1],
      ])
      assert.equal(await redis.client('GETNAME'), 'me')
      await assert.rejects(redis.call('KEYS', '*'), { name: 'ReplyError' })
      assert.equal(await redis.quit(), 'OK')
    } finally {
      redis.disconnect()
    }
  }
})

/** The options of a test of a program of Redis, which is passed over, with the reason, where that is not installed. */
function needsProgram(program: string): { timeout: number; skip: string | false } {
  const { error } = spawnSync(program, ['--version'])
  return { ...LIMIT, skip: error === undefined ? false : `${program} is not installed` }
}

/** What it prints; the servers of this thread go on meanwhile. */
async function runProgram(
  program: string,
  { address }: RedisServer,
  words: string[],
): Promise<string> {
  const place = ['-h', address.host, '-p', String(address.port)]
  return (await promisify(execFile)(program, [...place, ...words])).stdout
}

test('redis-cli uses it', needsProgram('redis-cli'), async () => {
  for (const [, start] of SERVERS) {
    await using server = await start()

    assert.equal(await runProgram('redis-cli', server, ['SET', 'a', '1']), 'OK\n')
    assert.match(await runProgram('redis-cli', server, ['INCR', 'a']), /2\n$/)
  }
})

test(
  'redis-benchmark uses it, with and without a pipeline',
  needsProgram('redis-benchmark'),
  async () => {
    for (const [, start] of SERVERS) {
      await using server = await start()
      for (const pipeline of ['1', '16']) {
        const words = ['-n', '2000', '-P', pipeline, '-q', '-t', 'ping,set,get,incr,mset']

        const printed = await runProgram('redis-benchmark', server, words)

        for (const name of ['SET', 'GET', 'INCR', 'MSET']) {
          assert.match(printed, new RegExp(`${name}\\b.*requests per second`))
        }
      }
    }
  },
)
