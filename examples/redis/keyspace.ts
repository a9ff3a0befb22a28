import { type Arguments, runIn, runInSession, splitByKeys } from './command.ts'
import { Gathering } from './replies.ts'
import { findCommand } from './server-commands.ts'
import type { Session } from './session.ts'
import type { Store } from './store.ts'

/** All keys, wherever they are. */
export interface Keyspace {
  readonly shardCount: number
  /** Takes commands in their order; each runs when its reply is asked for, or before. */
  begin(commands: readonly string[][], session: Session): Replies
}

/** The replies to commands, in their order. */
export interface Replies {
  /** That of the next command: at once where it is there. */
  next(): string | Promise<string>
}

/** Keys of one thread. */
export class LocalKeyspace implements Keyspace {
  readonly shardCount = 1
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  begin(commands: readonly string[][], session: Session): Replies {
    let at = 0
    return { next: () => this.#run(commands[at++]!, session) }
  }

  #run(args: Arguments, session: Session): string {
    const command = findCommand(args)
    if (typeof command === 'string') return command
    if (command.kind === 'key') return runIn(this.#store, command, args)
    if (command.kind === 'session') return runInSession(command, args, session)
    const parts = command.kind === 'keys' ? splitByKeys(args, command.step) : [args]
    const gathering = new Gathering()
    for (const part of parts) gathering.add(runIn(this.#store, command, part))
    return gathering.finish((replies) => command.combine(replies, session))
  }
}
