import { encodeError } from './replies.ts'
import type { Session } from './session.ts'
import type { Store } from './store.ts'

/**
 * A command: how many arguments it takes with its name, at least where that is negative, and what it does.
 *
 * - `session`: of the connection alone.
 * - `key`: runs where its first argument belongs.
 * - `keys`: a part for each key, with `step - 1` arguments behind it, runs where that belongs; the replies are combined.
 * - `shards`: runs on every shard; the replies are combined.
 */
export type Command = { readonly name: string; readonly arity: number } & (
  | { readonly kind: 'session'; readonly run: (args: Arguments, session: Session) => string }
  | { readonly kind: 'key'; readonly run: Run; readonly isWrite: boolean }
  | {
      readonly kind: 'keys'
      readonly step: number
      readonly run: Run
      readonly isWrite: boolean
      readonly combine: (replies: readonly string[]) => string
    }
  | {
      readonly kind: 'shards'
      readonly run: Run
      readonly combine: (replies: readonly string[], session: Session) => string
    }
)

/** The name of the command is the first. */
export type Arguments = readonly string[]
type Run = (args: Arguments, store: Store) => string

/** A reply that begins with `-`; thrown by commands. */
export class CommandError extends Error {}

export function wrongArity(name: string): string {
  return encodeError(`ERR wrong number of arguments for '${name}' command`)
}

/** What a command comes to in a store: its reply, be it an error. */
export function runIn(store: Store, command: Command, args: Arguments): string {
  if (command.kind === 'session') throw new TypeError(`'${command.name}' has no store`)
  try {
    return command.run(args, store)
  } catch (error) {
    if (error instanceof CommandError) return encodeError(error.message)
    throw error
  }
}

export function runInSession(command: Command, args: Arguments, session: Session): string {
  if (command.kind !== 'session') throw new TypeError(`'${command.name}' has a store`)
  try {
    return command.run(args, session)
  } catch (error) {
    if (error instanceof CommandError) return encodeError(error.message)
    throw error
  }
}

/** The parts of a command of kind `keys`: each with the name, a key, and what belongs to that. */
export function splitByKeys(args: Arguments, step: number): string[][] {
  const parts: string[][] = []
  for (let at = 1; at < args.length; at += step)
    parts.push([args[0]!, ...args.slice(at, at + step)])
  return parts
}
