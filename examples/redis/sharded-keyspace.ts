import { type Arguments, type Command, runIn, runInSession, splitByKeys } from './command.ts'
import { SLOT_COUNT, slotOf } from './hash-slot.ts'
import type { Keyspace, Replies } from './keyspace.ts'
import type { ShardLink } from './link.ts'
import { encodeError, Gathering } from './replies.ts'
import { findCommand } from './server-commands.ts'
import type { Session } from './session.ts'
import type { Store } from './store.ts'

const SHARD_ENDED = encodeError('CLUSTERDOWN Hash slot not served: its shard has ended')

/**
 * Keys spread over shards by their hash slots, as Redis Cluster has them: keys with the same `{tag}` are together.
 *
 * The commands of a pipeline go to their shards at once, those for one shard in one message. A command of many keys is
 * not atomic: others may see a part of it.
 */
export class ShardedKeyspace implements Keyspace {
  readonly #link: ShardLink
  readonly #store: Store

  constructor(link: ShardLink, store: Store) {
    this.#link = link
    this.#store = store
  }

  get shardCount(): number {
    return this.#link.shardCount
  }

  begin(commands: readonly string[][], session: Session): Replies {
    const lanes = Array.from({ length: this.shardCount }, (_, shard) =>
      shard === this.#link.shard ? new LocalLane(this.#store) : new RemoteLane(this.#link, shard),
    )
    const steps: Step[] = []
    for (const args of commands) {
      const step = this.#plan(args, lanes)
      steps.push(step)
      // Nothing behind it is to run.
      if (typeof step.command === 'object' && step.command.name === 'quit') break
    }
    for (const lane of lanes) lane.begin()
    let at = 0
    return { next: () => finish(steps[at++]!, session) }
  }

  #plan(args: Arguments, lanes: readonly Lane[]): Step {
    const command = findCommand(args)
    if (typeof command === 'string' || command.kind === 'session')
      return { command, args, from: [] }
    if (command.kind === 'shards') {
      for (const lane of lanes) lane.add(args)
      return { command, args, from: lanes }
    }
    const parts = command.kind === 'keys' ? splitByKeys(args, command.step) : [args]
    const from = parts.map((part) => {
      const lane = lanes[Math.floor((slotOf(part[1]!) * lanes.length) / SLOT_COUNT)]!
      lane.add(part)
      return lane
    })
    return { command, args, from }
  }
}

/** A command of a pipeline, and the lanes that its parts went to, in their order. */
interface Step {
  readonly command: Command | string
  readonly args: Arguments
  readonly from: readonly Lane[]
}

function finish({ command, args, from }: Step, session: Session): string | Promise<string> {
  if (typeof command === 'string') return command
  if (command.kind === 'session') return runInSession(command, args, session)
  if (command.kind === 'key') return from[0]!.take()
  return combine(command, from, session)
}

async function combine(
  command: Command & { readonly kind: 'keys' | 'shards' },
  from: readonly Lane[],
  session: Session,
): Promise<string> {
  const gathering = new Gathering()
  for (const lane of from) gathering.add(await lane.take())
  return gathering.finish((replies) => command.combine(replies, session))
}

/** What a pipeline asks of one shard. */
interface Lane {
  add(args: Arguments): void
  begin(): void
  /** The next reply. */
  take(): string | Promise<string>
}

/** This shard itself: runs a command when its reply is wanted. */
class LocalLane implements Lane {
  readonly #store: Store
  readonly #commands: Arguments[] = []
  #takenCount = 0

  constructor(store: Store) {
    this.#store = store
  }

  add(args: Arguments): void {
    this.#commands.push(args)
  }

  begin(): void {}

  take(): string {
    const args = this.#commands[this.#takenCount++]!
    return runIn(this.#store, findCommand(args) as Command, args)
  }
}

/** Another shard, which is asked for all, and gives as many replies at a time as it likes. */
class RemoteLane implements Lane {
  readonly #link: ShardLink
  readonly #shard: number
  #commands: string[][] = []
  #replies: readonly string[] = []
  #takenCount = 0
  #coming: Promise<readonly string[] | null> | null = null

  constructor(link: ShardLink, shard: number) {
    this.#link = link
    this.#shard = shard
  }

  add(args: Arguments): void {
    this.#commands.push(args as string[])
  }

  begin(): void {
    if (this.#commands.length === 0) return
    this.#coming = this.#link.ask(this.#shard, this.#commands)
    // It may fail while the connection writes the replies of others; then nobody waits for it.
    this.#coming.catch(() => {})
  }

  take(): string | Promise<string> {
    return this.#takenCount < this.#replies.length
      ? this.#replies[this.#takenCount++]!
      : this.#wait()
  }

  async #wait(): Promise<string> {
    // Asked for only now, so that no more is held than one lot of replies.
    if (this.#coming === null) this.begin()
    const replies = await this.#coming!
    // As Redis Cluster says it of slots that nobody serves.
    this.#replies = replies ?? this.#commands.map(() => SHARD_ENDED)
    this.#commands = this.#commands.slice(this.#replies.length)
    this.#coming = null
    this.#takenCount = 1
    return this.#replies[0]!
  }
}
