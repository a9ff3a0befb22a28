/** The commands that keys are read and written by. */

import { type Arguments, type Command, CommandError } from './command.ts'
import { encodeArray, encodeBulk, encodeInteger, encodeSimple, NIL, OK } from './replies.ts'
import type { Store } from './store.ts'

/** Less than V8 can hold in a string, with room for what a reply has around it. */
const VALUE_BYTES_MAX = 256 << 20
const INTEGER = /^(?:0|-?[1-9]\d{0,18})$/
const INTEGER_MAX = 2n ** 63n - 1n
const INTEGER_MIN = -(2n ** 63n)
const NOT_AN_INTEGER = 'ERR value is not an integer or out of range'
const SYNTAX_ERROR = 'ERR syntax error'

export const stringCommands: readonly Command[] = [
  reading('get', 2, ([, key], store) => encodeBulk(store.get(key!))),
  reading('strlen', 2, ([, key], store) => encodeInteger(store.get(key!)?.length ?? 0)),
  reading('type', 2, ([, key], store) => encodeSimple(store.has(key!) ? 'string' : 'none')),
  reading('ttl', 2, ([, key], store) => encodeInteger(remaining(store, key!, 1000))),
  reading('pttl', 2, ([, key], store) => encodeInteger(remaining(store, key!, 1))),
  writing('set', -3, set),
  writing('append', 3, ([, key, tail], store) => {
    const head = store.get(key!) ?? ''
    // Before they are joined: V8 throws where the whole is longer than it can hold.
    if (head.length + tail!.length > VALUE_BYTES_MAX) {
      throw new CommandError('ERR string exceeds maximum allowed size (proto-max-bulk-len)')
    }
    const value = head + tail!
    keepRoom(store)
    store.update(key!, value)
    return encodeInteger(value.length)
  }),
  writing('incr', 2, ([, key], store) => add(store, key!, 1n)),
  writing('decr', 2, ([, key], store) => add(store, key!, -1n)),
  writing('incrby', 3, ([, key, by], store) => add(store, key!, readInteger(by!))),
  writing('decrby', 3, ([, key, by], store) => {
    const count = readInteger(by!)
    if (count === INTEGER_MIN) throw new CommandError('ERR decrement would overflow')
    return add(store, key!, -count)
  }),
  writing('expire', -3, (args, store) => expire(args, store, 1000)),
  writing('pexpire', -3, (args, store) => expire(args, store, 1)),
  writing('persist', 2, ([, key], store) =>
    encodeInteger(store.has(key!) && store.persist(key!) ? 1 : 0),
  ),
  counting('del', true, ([, key], store) => store.delete(key!)),
  counting('exists', false, ([, key], store) => store.has(key!)),
  {
    name: 'mget',
    arity: -2,
    kind: 'keys',
    step: 1,
    isWrite: false,
    run: ([, key], store) => encodeBulk(store.get(key!)),
    combine: encodeArray,
  },
  {
    name: 'mset',
    arity: -3,
    kind: 'keys',
    step: 2,
    isWrite: true,
    run: ([, key, value], store) => {
      keepRoom(store)
      store.set(key!, value!)
      return OK
    },
    combine: (replies) => replies.find((reply) => reply !== OK) ?? OK,
  },
]

type Run = (args: Arguments, store: Store) => string

function reading(name: string, arity: number, run: Run): Command {
  return { name, arity, kind: 'key', isWrite: false, run }
}

function writing(name: string, arity: number, run: Run): Command {
  return { name, arity, kind: 'key', isWrite: true, run }
}

/** Of how many of its keys something holds. */
function counting(
  name: string,
  isWrite: boolean,
  holds: (args: Arguments, store: Store) => boolean,
): Command {
  const run: Run = (args, store) => encodeInteger(holds(args, store) ? 1 : 0)
  return { name, arity: -2, kind: 'keys', step: 1, isWrite, run, combine: addReplies }
}

/** The sum of integers, as they were encoded; an error among them is the reply. */
export function addReplies(replies: readonly string[]): string {
  let sum = 0
  for (const reply of replies) {
    if (reply[0] !== ':') return reply
    sum += Number(reply.slice(1))
  }
  return encodeInteger(sum)
}

interface SetOptions {
  readonly condition: 'NX' | 'XX' | null
  readonly returnsOld: boolean
  readonly keepsDeadline: boolean
  readonly delayMs: number | null
}

function set(args: Arguments, store: Store): string {
  const key = args[1]!
  const value = args[2]!
  if (args.length === 3) {
    keepRoom(store)
    store.set(key, value)
    return OK
  }
  const { condition, returnsOld, keepsDeadline, delayMs } = readSetOptions(args)
  const old = store.get(key)
  const isSet = condition === null || (condition === 'XX') === (old !== undefined)
  if (isSet) {
    keepRoom(store)
    if (keepsDeadline) store.update(key, value)
    else store.set(key, value)
    if (delayMs !== null) store.expireIn(key, delayMs)
  }
  if (returnsOld) return encodeBulk(old)
  return isSet ? OK : NIL
}

function readSetOptions(args: Arguments): SetOptions {
  let condition: 'NX' | 'XX' | null = null
  let returnsOld = false
  let keepsDeadline = false
  let delayMs: number | null = null
  for (let at = 3; at < args.length; at++) {
    const word = args[at]!.toUpperCase()
    if ((word === 'NX' || word === 'XX') && (condition ?? word) === word) condition = word
    else if (word === 'GET') returnsOld = true
    else if (word === 'KEEPTTL' && delayMs === null) keepsDeadline = true
    else if (isUnit(word) && delayMs === null && !keepsDeadline && at + 1 < args.length) {
      delayMs = readDelayMs('set', args[++at]!, word === 'EX' ? 1000 : 1)
      if (delayMs <= 0) throw invalidExpire('set')
    } else throw new CommandError(SYNTAX_ERROR)
  }
  return { condition, returnsOld, keepsDeadline, delayMs }
}

function isUnit(word: string): boolean {
  return word === 'EX' || word === 'PX'
}

function expire(args: Arguments, store: Store, unitMs: number): string {
  const key = args[1]!
  const delayMs = readDelayMs(args[0]!.toLowerCase(), args[2]!, unitMs)
  const conditions = args.slice(3).map((word) => word.toUpperCase())
  const unknown = conditions.find((word) => !['NX', 'XX', 'GT', 'LT'].includes(word))
  if (unknown !== undefined) throw new CommandError(`ERR Unsupported option ${unknown}`)
  if (conditions.includes('NX') && conditions.length > 1) {
    throw new CommandError('ERR NX and XX, GT or LT options at the same time are not compatible')
  }
  if (conditions.includes('GT') && conditions.includes('LT')) {
    throw new CommandError('ERR GT and LT options at the same time are not compatible')
  }
  if (!store.has(key)) return encodeInteger(0)
  const leftMs = store.remainingMs(key)
  // A key without a deadline lives for ever.
  const lifeMs = leftMs ?? Number.POSITIVE_INFINITY
  const isRefused = conditions.some(
    (word) =>
      (word === 'NX' && leftMs !== null) ||
      (word === 'XX' && leftMs === null) ||
      (word === 'GT' && delayMs <= lifeMs) ||
      (word === 'LT' && delayMs >= lifeMs),
  )
  if (isRefused) return encodeInteger(0)
  store.expireIn(key, delayMs)
  return encodeInteger(1)
}

function readDelayMs(name: string, text: string, unitMs: number): number {
  const delayMs = Number(readInteger(text)) * unitMs
  if (!Number.isSafeInteger(delayMs)) throw invalidExpire(name)
  return delayMs
}

function invalidExpire(name: string): CommandError {
  return new CommandError(`ERR invalid expire time in '${name}' command`)
}

/** In seconds, say, rounded; -1 without a deadline, -2 without a key. */
function remaining(store: Store, key: string, unitMs: number): number {
  if (!store.has(key)) return -2
  const leftMs = store.remainingMs(key)
  return leftMs === null ? -1 : Math.round(leftMs / unitMs)
}

function add(store: Store, key: string, by: bigint): string {
  const sum = readInteger(store.get(key) ?? '0') + by
  if (sum > INTEGER_MAX || sum < INTEGER_MIN) {
    throw new CommandError('ERR increment or decrement would overflow')
  }
  keepRoom(store)
  store.update(key, String(sum))
  return encodeInteger(sum)
}

function readInteger(text: string): bigint {
  const value = INTEGER.test(text) ? BigInt(text) : null
  if (value === null || value > INTEGER_MAX || value < INTEGER_MIN) {
    throw new CommandError(NOT_AN_INTEGER)
  }
  return value
}

function keepRoom(store: Store): void {
  if (store.isFull) {
    throw new CommandError("OOM command not allowed when used memory > 'maxmemory'.")
  }
}
