/** The cache of examples/: over real sockets with Node's own as clients, and simulated. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { RequestParser } from '../../examples/cache/protocol.ts'
import { CacheServer } from '../../examples/cache/server.ts'
import { TcpStream } from '../../src/net/index.ts'
import { simTopology } from '../../src/sim/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'
import { clientCount, limited, seedCount } from '../limits.ts'

const LIMIT = limited(60_000)
const SEEDS = seedCount(10)
const CLIENTS = clientCount(20, 4)

/** Sends, and resolves to all that came until so many lines have, or the end. */
async function exchange(socket: Socket, text: string, lineCount: number): Promise<string> {
  let answer = ''
  socket.setEncoding('latin1')
  socket.write(text, 'latin1')
  const isWhole = (): boolean => answer.split('\n').length > lineCount
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    answer += chunk
    if (isWhole()) break
  }
  return answer
}

async function connectTo({ address }: CacheServer): Promise<Socket> {
  const socket = connect(address.port, address.host)
  await once(socket, 'connect')
  return socket
}

function start(shards: number, bytesMax = 1 << 24): Promise<CacheServer> {
  return CacheServer.start({ placement: PoolPlacement.unbound(shards), bytesMax })
}

for (const shards of [1, 2, 4]) {
  test(`many clients set, get and delete on ${shards} shards`, LIMIT, async () => {
    await using server = await start(shards)
    const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => connectTo(server)))

    // Each its own keys, all requests at once.
    const answers = await Promise.all(
      sockets.map(async (socket, client) => {
        let text = ''
        let expected = ''
        for (let index = 0; index < 50; index++) {
          const key = `key:${client}:${index}`
          const value = 'x'.repeat(index)
          text += `SET ${key} ${index}\n${value}\nGET ${key}\nDEL ${key}\nGET ${key}\nDEL ${key}\n`
          expected += `OK\nVALUE ${index}\n${value}\nOK\nNONE\nNONE\n`
        }
        return [await exchange(socket, text, 300), expected]
      }),
    )
    for (const [answer, expected] of answers) assert.equal(answer, expected)

    // What one sets the others get, whichever shards serve them.
    const [first] = sockets
    await exchange(first!, 'SET shared 3\r\nabc\n', 1)
    for (const socket of sockets) {
      assert.equal(await exchange(socket, 'GET shared\n', 2), 'VALUE 3\nabc\n')
    }
    const stats = JSON.parse((await exchange(first!, 'STATS\n', 1)).slice('STATS '.length))
    assert.deepEqual([stats.shardCount, stats.keyCount, stats.valueBytes], [shards, 1, 3])
    for (const socket of sockets) socket.destroy()
  })
}

test('bad requests get errors, and the connection goes on where it can', LIMIT, async () => {
  await using server = await start(2)
  const socket = await connectTo(server)
  const long = 'k'.repeat(251)
  const text = `NOPE\nGET\nGET a b\nGET ${long}\nSET ${long} 3\nabc\nSET big 1048577\n${'b'.repeat(1_048_577)}\nGET a\n`

  const answer = await exchange(socket, text, 7)

  const lines = answer.trimEnd().split('\n')
  assert.deepEqual(
    lines.map((line) => line.split(' ')[0]),
    ['ERROR', 'ERROR', 'ERROR', 'ERROR', 'ERROR', 'ERROR', 'NONE'],
  )
  socket.destroy()
})

for (const [why, text] of [
  ['a length that is none', 'GET a\nSET a x\nGET a\n'],
  ['a value without its end', 'GET a\nSET a 1\nxxGET a\n'],
  ['a line without an end', `GET a\n${'z'.repeat(600)}`],
] as const) {
  test(`the connection is closed after ${why}`, LIMIT, async () => {
    await using server = await start(1)
    const socket = await connectTo(server)

    const answer = await exchange(socket, text, 1000)

    assert.match(answer, /^NONE\nERROR closing: [^\n]+\n$/)
  })
}

test('a client that does not read is not read from, and others go on', LIMIT, async () => {
  await using server = await start(1)
  const [deaf, other] = await Promise.all([connectTo(server), connectTo(server)])
  const value = 'v'.repeat(1 << 16)
  await exchange(other!, `SET big ${value.length}\n${value}\n`, 1)
  deaf!.pause()
  // Far more than the sockets' buffers and the pipeline hold, asked for by little.
  deaf!.write('GET big\n'.repeat(5000))

  // Until what is taken out for the deaf client does not grow any more.
  const hits: number[] = []
  while (hits.length < 10 || hits.at(-1)! < 100 || hits.at(-1) !== hits.at(-10)) {
    const answer = await exchange(other!, 'STATS\n', 1)
    hits.push(JSON.parse(answer.slice('STATS '.length)).hitCount)
  }

  assert.ok(hits.at(-1)! <= 2000, `${hits.at(-1)} of 5000 values were taken out for nobody`)
  deaf!.destroy()
  other!.destroy()
})

test('what was not used for longest goes as room is needed', LIMIT, async () => {
  await using server = await start(1, 10)
  const socket = await connectTo(server)

  const answer = await exchange(
    socket,
    'SET a 4\naaaa\nSET b 4\nbbbb\nGET a\nSET c 4\ncccc\nGET a\nGET b\nSET d 11\nddddddddddd\nSTATS\n',
    10,
  )

  assert.match(answer, /^OK\nOK\nVALUE 4\naaaa\nOK\nVALUE 4\naaaa\nNONE\nERROR [^\n]+\nSTATS /)
  assert.equal(JSON.parse(answer.slice(answer.indexOf('{'))).evictedCount, 1)
  socket.destroy()
})

test('a stop answers what was asked, and ends', LIMIT, async () => {
  const server = await start(2)
  const socket = await connectTo(server)
  assert.equal(await exchange(socket, 'SET a 1\na\nGET a\n', 3), 'OK\nVALUE 1\na\n')
  const ended = once(socket, 'end')
  socket.resume()

  const counts = await server.stop()

  await ended
  assert.equal(counts.length, 2)
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    1,
  )
  const late = connect(server.address.port, server.address.host)
  const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException]
  assert.equal(error.code, 'ECONNREFUSED')
})

test('requests are the same however they are cut', () => {
  const bytes = Buffer.from('SET a 3\nx\ny\nGET a\r\nSET b 0\n\nNOPE\nSTATS\nDEL a\n')
  const whole = [...new RequestParser().push(bytes)]
  assert.deepEqual(
    whole.map(({ kind }) => kind),
    ['set', 'get', 'set', 'bad', 'stats', 'delete'],
  )
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const parser = new RequestParser()
      const cuts = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]

      assert.deepEqual(
        cuts.flatMap((cut) => [...parser.push(cut)]),
        whole,
      )
    }
  }
})

test('a stop just behind the start finds shards that listen, or do not yet', LIMIT, async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    await simulate({ seed, topology: simTopology({ coreCount: 4 }) }, async () => {
      const server = await CacheServer.start({ shards: 4 })
      assert.deepEqual(await server.stop(), [0, 0, 0, 0])
    })
  }
})

test('many clients of four simulated shards get what they have set', LIMIT, async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const faults = { shortRead: 0.1, shortWrite: 0.1, delay: 0.1, lateMessage: 0.1 }
    await simulate({ seed, faults, topology: simTopology({ coreCount: 4 }) }, async () => {
      const server = await CacheServer.start({ shards: 4 })
      await Promise.all(Array.from({ length: 6 }, (_, client) => ask(server, client)))

      const counts = await server.stop()

      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        6,
      )
    })
  }
})

async function ask({ address }: CacheServer, client: number): Promise<void> {
  await using stream = await TcpStream.connect({ host: address.host, port: address.port })
  let expected = ''
  for (let index = 0; index < 10; index++) {
    const value = `${client}`.repeat(index * 100)
    const key = `key:${client}:${index}`
    await stream.write(Buffer.from(`SET ${key} ${value.length}\n${value}\nGET ${key}\n`))
    expected += `OK\nVALUE ${value.length}\n${value}\n`
  }
  let answer = ''
  while (answer.length < expected.length) {
    const chunk = await stream.read()
    if (chunk === null) break
    answer += Buffer.from(chunk).toString('latin1')
  }
  assert.equal(answer, expected)
}
