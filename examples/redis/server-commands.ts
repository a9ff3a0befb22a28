/** The commands of connections, and of the server as a whole. */

import { type Arguments, type Command, CommandError, wrongArity } from './command.ts'
import {
  encodeArray,
  encodeBulk,
  encodeBulks,
  encodeError,
  encodeInteger,
  encodeSimple,
  OK,
} from './replies.ts'
import type { Session } from './session.ts'
import { addReplies, stringCommands } from './string-commands.ts'

/** That of the Redis whose replies these are. */
const VERSION = '7.2.0'
const SETTINGS: Readonly<Record<string, string>> = {
  save: '',
  appendonly: 'no',
  maxmemory: '0',
  'maxmemory-policy': 'noeviction',
  databases: '1',
}

const serverCommands: readonly Command[] = [
  ofSession('ping', -1, (args) => {
    if (args.length > 2) return wrongArity('ping')
    return args.length === 1 ? encodeSimple('PONG') : encodeBulk(args[1])
  }),
  ofSession('echo', 2, (args) => encodeBulk(args[1])),
  ofSession('select', 2, ([, index]) => {
    if (!/^-?\d+$/.test(index!))
      throw new CommandError('ERR value is not an integer or out of range')
    if (index !== '0') throw new CommandError('ERR DB index is out of range')
    return OK
  }),
  ofSession('quit', -1, (_args, session) => {
    session.isQuitting = true
    return OK
  }),
  ofSession('hello', -1, hello),
  ofSession('client', -2, client),
  ofSession('config', -2, config),
  ofSession('command', -1, (args) => {
    const word = args[1]?.toLowerCase()
    if (word === undefined) return encodeArray([...commands].map(describe))
    if (word === 'count') return encodeInteger(commands.size)
    // Clients that ask for more do without.
    if (word === 'docs' || word === 'info' || word === 'list') return encodeArray([])
    throw unknownSubcommand(args)
  }),
  {
    name: 'dbsize',
    arity: 1,
    kind: 'shards',
    run: (_args, store) => encodeInteger(store.keyCount),
    combine: addReplies,
  },
  {
    name: 'flushall',
    arity: -1,
    kind: 'shards',
    run: (args, store) => {
      const mode = args[1]?.toUpperCase() ?? 'SYNC'
      if (args.length > 2 || (mode !== 'SYNC' && mode !== 'ASYNC')) {
        throw new CommandError('ERR syntax error')
      }
      store.clear()
      return OK
    },
    combine: (replies) => replies.find((reply) => reply !== OK) ?? OK,
  },
  {
    name: 'info',
    arity: -1,
    kind: 'shards',
    // Plain numbers, which only `combine` sees.
    run: (_args, { keyCount, deadlineCount, usedBytes, expiredCount }) =>
      [keyCount, deadlineCount, usedBytes, expiredCount].join(' '),
    combine: info,
  },
]

const commands: ReadonlySet<Command> = new Set([...stringCommands, ...serverCommands])
/** By their names in small letters and in capitals, as clients write them. */
const byName: ReadonlyMap<string, Command> = new Map(
  [...commands].flatMap((command) => [
    [command.name, command],
    [command.name.toUpperCase(), command],
  ]),
)

/** The command, or the reply that says why it is none. */
export function findCommand(args: Arguments): Command | string {
  const name = args[0]!
  const command = byName.get(name) ?? byName.get(name.toLowerCase())
  if (command === undefined) {
    const begin = args.slice(1, 10).map((word) => `'${word.slice(0, 128)}' `)
    const shown = name.slice(0, 128)
    return encodeError(
      `ERR unknown command '${shown}', with args beginning with: ${begin.join('')}`,
    )
  }
  const { arity, kind } = command
  const isRight = arity > 0 ? args.length === arity : args.length >= -arity
  const isEven = kind !== 'keys' || (args.length - 1) % command.step === 0
  return isRight && isEven ? command : wrongArity(command.name)
}

function ofSession(
  name: string,
  arity: number,
  run: (args: Arguments, session: Session) => string,
): Command {
  return { name, arity, kind: 'session', run }
}

function unknownSubcommand(args: Arguments): CommandError {
  const name = args[0]!.toUpperCase()
  return new CommandError(`ERR unknown subcommand '${args[1]!.slice(0, 128)}'. Try ${name} HELP.`)
}

function hello(args: Arguments, session: Session): string {
  const version = args[1]
  if (version !== undefined && !/^\d+$/.test(version)) {
    throw new CommandError('ERR Protocol version is not an integer or out of range')
  }
  if (version !== undefined && version !== '2') {
    throw new CommandError('NOPROTO unsupported protocol version')
  }
  if (args.length > 2) {
    if (args.length !== 4 || args[2]!.toUpperCase() !== 'SETNAME') {
      throw new CommandError(`ERR Syntax error in HELLO option '${args[2]!.slice(0, 128)}'`)
    }
    setName(session, args[3]!)
  }
  const fields: [string, string][] = [
    ['server', encodeBulk('redis')],
    ['version', encodeBulk(VERSION)],
    ['proto', encodeInteger(2)],
    ['id', encodeInteger(session.id)],
    ['mode', encodeBulk('standalone')],
    ['role', encodeBulk('master')],
    ['modules', encodeArray([])],
  ]
  return encodeArray(fields.flatMap(([name, value]) => [encodeBulk(name), value]))
}

function client(args: Arguments, session: Session): string {
  const word = args[1]!.toLowerCase()
  if (word === 'id' && args.length === 2) return encodeInteger(session.id)
  if (word === 'getname' && args.length === 2) return encodeBulk(session.name || undefined)
  if (word === 'setname' && args.length === 3) {
    setName(session, args[2]!)
    return OK
  }
  // The name and version of its library: nobody asks for them.
  if (word === 'setinfo' && args.length === 4) return OK
  if (['id', 'getname', 'setname', 'setinfo'].includes(word)) return wrongArity(`client|${word}`)
  throw unknownSubcommand(args)
}

function setName(session: Session, name: string): void {
  if (!/^[!-~]*$/.test(name)) {
    throw new CommandError(
      'ERR Client names cannot contain spaces, newlines or special characters.',
    )
  }
  session.name = name
}

function config(args: Arguments): string {
  if (args[1]!.toLowerCase() !== 'get') throw unknownSubcommand(args)
  if (args.length < 3) return wrongArity('config|get')
  const wanted = args.slice(2).map((name) => name.toLowerCase())
  const found = Object.entries(SETTINGS).filter(
    ([name]) => wanted.includes(name) || wanted.includes('*'),
  )
  return encodeBulks(found.flat())
}

/** As `COMMAND` has it: name, arity, flags, and where its keys are. */
function describe(command: Command): string {
  const { name, arity, kind } = command
  const hasKeys = kind === 'key' || kind === 'keys'
  const flags = hasKeys ? [encodeSimple(command.isWrite ? 'write' : 'readonly')] : []
  const step = kind === 'keys' ? command.step : 1
  const places = hasKeys ? [1, kind === 'keys' ? -1 : 1, step] : [0, 0, 0]
  return encodeArray([
    encodeBulk(name),
    encodeInteger(arity),
    encodeArray(flags),
    ...places.map(encodeInteger),
  ])
}

function info(replies: readonly string[], { shardCount, port }: Session): string {
  const sums = [0, 0, 0, 0]
  for (const reply of replies) {
    if (reply[0] === '-') return reply
    for (const [at, field] of reply.split(' ').entries()) sums[at]! += Number(field)
  }
  const [keys, expires, usedBytes, expired] = sums
  const lines = [
    '# Server',
    `redis_version:${VERSION}`,
    'redis_mode:standalone',
    `process_id:${process.pid}`,
    `tcp_port:${port}`,
    `shards:${shardCount}`,
    '',
    '# Memory',
    `used_memory:${usedBytes}`,
    '',
    '# Persistence',
    'loading:0',
    '',
    '# Stats',
    `expired_keys:${expired}`,
    '',
    '# Replication',
    'role:master',
    '',
    '# Keyspace',
    ...(keys === 0 ? [] : [`db0:keys=${keys},expires=${expires},avg_ttl=0`]),
    '',
  ]
  return encodeBulk(lines.join('\r\n'))
}
