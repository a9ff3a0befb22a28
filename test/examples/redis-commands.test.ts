/** The commands of the Redis example, on one thread without sockets; time is simulated where it counts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LocalKeyspace } from '../../examples/redis/keyspace.ts'
import type { Session } from '../../examples/redis/session.ts'
import { Store } from '../../examples/redis/store.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'

class Console {
  readonly store: Store
  readonly session: Session = { id: 7, shardCount: 1, port: 6379, name: '', isQuitting: false }
  readonly #keys: LocalKeyspace

  constructor(bytesMax?: number) {
    this.store = new Store(bytesMax === undefined ? {} : { bytesMax })
    this.#keys = new LocalKeyspace(this.store)
  }

  /** The replies to commands without quotes, each with a space for every line's end. */
  ask(...lines: string[]): string[] {
    const replies = this.#keys.begin(
      lines.map((line) => line.split(' ')),
      this.session,
    )
    return lines.map(() => String(replies.next()).trimEnd().replaceAll('\r\n', ' '))
  }
}

const NOT_AN_INTEGER = '-ERR value is not an integer or out of range'
const OVERFLOW = '-ERR increment or decrement would overflow'
const SYNTAX = '-ERR syntax error'
const MAX = '9223372036854775807'
const MIN = '-9223372036854775808'

/** Each: what is sent, and what comes back. */
const TABLE: readonly (readonly [string, ...(readonly [string, string])[]])[] = [
  ['GET and SET', ['GET a', '$-1'], ['SET a 1', '+OK'], ['get a', '$1 1'], ['GeT a', '$1 1']],
  [
    'SET NX and XX',
    ['SET a 1 XX', '$-1'],
    ['SET a 1 NX', '+OK'],
    ['SET a 2 NX', '$-1'],
    ['SET a 3 xx', '+OK'],
    ['GET a', '$1 3'],
    ['SET a 4 NX XX', SYNTAX],
  ],
  [
    'SET GET',
    ['SET a 1 GET', '$-1'],
    ['SET a 2 GET', '$1 1'],
    ['SET a 3 NX GET', '$1 2'],
    ['GET a', '$1 2'],
  ],
  [
    'SET EX and PX',
    ['SET a 1 EX 10', '+OK'],
    ['TTL a', ':10'],
    ['SET a 1 PX 5000', '+OK'],
    ['TTL a', ':5'],
    ['SET a 1', '+OK'],
    ['TTL a', ':-1'],
  ],
  [
    'SET KEEPTTL',
    ['SET a 1 EX 10', '+OK'],
    ['SET a 2 KEEPTTL', '+OK'],
    ['TTL a', ':10'],
    ['SET a 2 KEEPTTL EX 1', SYNTAX],
    ['SET a 2 EX 1 PX 1', SYNTAX],
  ],
  [
    'SET with wrong times',
    ['SET a 1 EX 0', "-ERR invalid expire time in 'set' command"],
    ['SET a 1 EX x', NOT_AN_INTEGER],
    ['SET a 1 EX', SYNTAX],
    [`SET a 1 EX ${MAX}`, "-ERR invalid expire time in 'set' command"],
    ['EXISTS a', ':0'],
  ],
  [
    'DEL and EXISTS',
    ['MSET a 1 b 2', '+OK'],
    ['EXISTS a b c a', ':3'],
    ['DEL a b c', ':2'],
    ['DEL a', ':0'],
    ['DBSIZE', ':0'],
  ],
  [
    'EXPIRE and PERSIST',
    ['EXPIRE a 10', ':0'],
    ['SET a 1', '+OK'],
    ['PERSIST a', ':0'],
    ['EXPIRE a 10', ':1'],
    ['TTL a', ':10'],
    ['PERSIST a', ':1'],
    ['TTL a', ':-1'],
    ['PEXPIRE a 2000', ':1'],
    ['TTL a', ':2'],
    ['EXPIRE a -1', ':1'],
    ['TTL a', ':-2'],
    ['PTTL a', ':-2'],
    ['PERSIST a', ':0'],
  ],
  [
    'EXPIRE with conditions',
    ['SET a 1', '+OK'],
    ['EXPIRE a 10 XX', ':0'],
    ['EXPIRE a 10 GT', ':0'],
    ['EXPIRE a 10 NX', ':1'],
    ['EXPIRE a 20 NX', ':0'],
    ['EXPIRE a 5 GT', ':0'],
    ['EXPIRE a 20 GT', ':1'],
    ['EXPIRE a 30 LT', ':0'],
    ['EXPIRE a 5 xx lt', ':1'],
    ['TTL a', ':5'],
    ['EXPIRE a 5 YY', '-ERR Unsupported option YY'],
    ['EXPIRE a 5 NX XX', '-ERR NX and XX, GT or LT options at the same time are not compatible'],
    ['EXPIRE a 5 GT LT', '-ERR GT and LT options at the same time are not compatible'],
    ['EXPIRE a x', NOT_AN_INTEGER],
  ],
  [
    'INCR and DECR',
    ['INCR a', ':1'],
    ['INCRBY a 41', ':42'],
    ['DECR a', ':41'],
    ['DECRBY a 50', ':-9'],
    ['GET a', '$2 -9'],
    ['INCRBY a -1', ':-10'],
  ],
  [
    'INCR at its limits',
    [`SET a ${MAX}`, '+OK'],
    ['INCR a', OVERFLOW],
    ['GET a', `$19 ${MAX}`],
    [`SET a ${MIN}`, '+OK'],
    ['DECR a', OVERFLOW],
    [`DECRBY a ${MIN}`, '-ERR decrement would overflow'],
    [`INCRBY a ${MAX}`, ':-1'],
  ],
  [
    'INCR of what is no integer',
    ['SET a x', '+OK'],
    ['INCR a', NOT_AN_INTEGER],
    ['SET a 01', '+OK'],
    ['INCR a', NOT_AN_INTEGER],
    ['SET a 9223372036854775808', '+OK'],
    ['INCR a', NOT_AN_INTEGER],
    ['INCRBY b 1.5', NOT_AN_INTEGER],
    ['INCRBY b -0', NOT_AN_INTEGER],
  ],
  [
    'INCR keeps the deadline',
    ['SET a 1 EX 10', '+OK'],
    ['INCR a', ':2'],
    ['APPEND a x', ':2'],
    ['TTL a', ':10'],
  ],
  [
    'APPEND and STRLEN',
    ['STRLEN a', ':0'],
    ['APPEND a xy', ':2'],
    ['APPEND a z', ':3'],
    ['GET a', '$3 xyz'],
    ['STRLEN a', ':3'],
  ],
  [
    'MGET and MSET',
    ['MSET a 1 b 2 a 3', '+OK'],
    ['MGET a x b', '*3 $1 3 $-1 $1 2'],
    ['MSET a', "-ERR wrong number of arguments for 'mset' command"],
    ['MSET a 1 b', "-ERR wrong number of arguments for 'mset' command"],
  ],
  ['TYPE', ['TYPE a', '+none'], ['SET a 1', '+OK'], ['TYPE a', '+string']],
  [
    'PING and ECHO',
    ['PING', '+PONG'],
    ['PING x', '$1 x'],
    ['PING x y', "-ERR wrong number of arguments for 'ping' command"],
    ['ECHO x', '$1 x'],
  ],
  [
    'SELECT',
    ['SELECT 0', '+OK'],
    ['SELECT 1', '-ERR DB index is out of range'],
    ['SELECT x', NOT_AN_INTEGER],
  ],
  [
    'DBSIZE and FLUSHALL',
    ['MSET a 1 b 2', '+OK'],
    ['DBSIZE', ':2'],
    ['FLUSHALL x', SYNTAX],
    ['FLUSHALL async', '+OK'],
    ['DBSIZE', ':0'],
  ],
  [
    'CLIENT',
    ['CLIENT ID', ':7'],
    ['CLIENT GETNAME', '$-1'],
    ['CLIENT SETNAME me', '+OK'],
    ['CLIENT GETNAME', '$2 me'],
    ['CLIENT SETINFO LIB-NAME x', '+OK'],
    [
      'CLIENT SETNAME \x07',
      '-ERR Client names cannot contain spaces, newlines or special characters.',
    ],
    ['CLIENT KILL', "-ERR unknown subcommand 'KILL'. Try CLIENT HELP."],
    ['CLIENT SETNAME', "-ERR wrong number of arguments for 'client|setname' command"],
  ],
  [
    'CONFIG',
    ['CONFIG GET save appendonly', '*4 $4 save $0  $10 appendonly $2 no'],
    ['CONFIG GET x', '*0'],
    ['CONFIG SET a b', "-ERR unknown subcommand 'SET'. Try CONFIG HELP."],
  ],
  [
    'HELLO',
    ['HELLO 3', '-NOPROTO unsupported protocol version'],
    ['HELLO x', '-ERR Protocol version is not an integer or out of range'],
    ['HELLO 2 AUTH', "-ERR Syntax error in HELLO option 'AUTH'"],
    [
      'HELLO 2 SETNAME me',
      '*14 $6 server $5 redis $7 version $5 7.2.0 $5 proto :2 $2 id :7 $4 mode $10 standalone $4 role $6 master $7 modules *0',
    ],
    ['CLIENT GETNAME', '$2 me'],
  ],
  [
    'what is unknown',
    ['KEYS *', "-ERR unknown command 'KEYS', with args beginning with: '*'"],
    ['GET', "-ERR wrong number of arguments for 'get' command"],
    ['GET a b', "-ERR wrong number of arguments for 'get' command"],
    ['a\nb', "-ERR unknown command 'a b', with args beginning with:"],
  ],
]

for (const [name, ...steps] of TABLE) {
  test(`commands: ${name}`, () => {
    const replies = new Console().ask(...steps.map(([line]) => line))

    assert.deepEqual(
      replies,
      steps.map(([, reply]) => reply),
    )
  })
}

test('COMMAND describes each command, and COMMAND COUNT counts them', () => {
  const [all, count] = new Console().ask('COMMAND', 'COMMAND COUNT')

  assert.match(all!, new RegExp(`^\\*${count!.slice(1)} `))
  assert.match(all!, /\*6 \$4 mset :-3 \*1 \+write :1 :-1 :2/)
})

test('INFO has what clients look for, and QUIT ends the session', () => {
  const terminal = new Console()
  const [, , info, quit] = terminal.ask('SET a 1', 'SET b 1 EX 9', 'INFO', 'QUIT')

  assert.match(info!, /^\$\d+ # Server redis_version:/)
  assert.match(info!, / loading:0 .* db0:keys=2,expires=1,avg_ttl=0/)
  assert.equal(quit, '+OK')
  assert.equal(terminal.session.isQuitting, true)
})

test('writes are refused once the memory is used, and deletes make room', () => {
  const terminal = new Console(200)

  const replies = terminal.ask(
    `SET a ${'x'.repeat(200)}`,
    'SET b 1',
    'INCR c',
    'GET b',
    'DEL a',
    'SET b 1',
  )

  const full = "-OOM command not allowed when used memory > 'maxmemory'."
  assert.deepEqual(replies, ['+OK', full, full, '$-1', ':1', '+OK'])
})

test('what is used is counted down to nothing', () => {
  const terminal = new Console()
  terminal.ask('SET a 123', 'SET a 1', 'APPEND a 2345', 'MSET b 1 c 2', 'INCR b', 'SET c 5 EX 1')
  assert.equal(terminal.store.usedBytes, 'a12345b2c5'.length + 3 * 64)

  terminal.ask('DEL a b', 'EXPIRE c 0')

  assert.equal(terminal.store.usedBytes, 0)
})

test('a key expires at its time, not before', async () => {
  await simulate(1, async () => {
    const terminal = new Console()
    terminal.ask('SET a 1 PX 1000', 'SET b 1')
    await sleep(999)
    assert.deepEqual(terminal.ask('GET a'), ['$1 1'])
    await sleep(2)

    assert.deepEqual(terminal.ask('GET a', 'EXISTS a', 'TTL a', 'SET a 2 XX', 'INCR a'), [
      '$-1',
      ':0',
      ':-2',
      '$-1',
      ':1',
    ])
    assert.deepEqual(terminal.ask('TTL a', 'GET b'), [':-1', '$1 1'])
  })
})

test('sweep() removes what has expired and nobody asks for, and nothing else', async () => {
  await simulate(1, async () => {
    const terminal = new Console()
    for (let index = 0; index < 5000; index++) {
      terminal.ask(
        `SET short:${index} 1 PX 500`,
        `SET long:${index} 1 EX 500`,
        `SET ever:${index} 1`,
      )
    }
    await sleep(1000)
    assert.equal(terminal.store.keyCount, 15_000)

    // It sees at least a sample each time, and the expired ones are spread.
    for (let round = 0; round < 2000; round++) terminal.store.sweep()

    assert.equal(terminal.store.keyCount, 10_000)
    assert.equal(terminal.store.deadlineCount, 5000)
    assert.equal(terminal.store.expiredCount, 5000)
  })
})

test('values and replies that would be longer than a string can be are errors', () => {
  const { store, session } = new Console()
  const keys = new LocalKeyspace(store)
  const replyTo = (...args: string[]): string => String(keys.begin([args], session).next())
  const part = 'v'.repeat(64 << 20)

  const appended = Array.from({ length: 9 }, () => replyTo('APPEND', 'a', part).slice(0, 12))
  const mget = replyTo('MGET', ...Array<string>(9).fill('a'))

  assert.deepEqual(
    appended.slice(0, 4),
    [1, 2, 3, 4].map((count) => `:${count * part.length}\r\n`.slice(0, 12)),
  )
  assert.deepEqual(new Set(appended.slice(4)), new Set(['-ERR string ']))
  assert.equal(mget, '-ERR reply exceeds maximum allowed size\r\n')
  assert.equal(replyTo('STRLEN', 'a'), `:${4 * part.length}\r\n`)
})
