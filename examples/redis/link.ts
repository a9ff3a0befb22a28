import type { Mesh } from 'percore/channels'
import { runIn } from './command.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import { findCommand } from './server-commands.ts'
import type { Store } from './store.ts'

/** A shard runs commands for another one until their replies have so many bytes: the other one asks again for the rest. */
const REPLIES_BYTES_MAX = 256 * 1024
const IDS = 2 ** 32
const NOTHING = encodeMessage({ kind: 'nothing', id: 0, lists: [] })

interface Asked {
  readonly shard: number
  /** Null for a shard that has ended. */
  readonly resolve: (replies: readonly string[] | null) => void
  readonly reject: (error: unknown) => void
}

/**
 * A shard's place among the others: has them run commands, and runs theirs.
 *
 * Commands from one shard to another run in the order that they were sent in. A shard that ends before it is done leaves a hole
 * in the keys: what is asked of it has no replies, and the others serve on.
 */
export class ShardLink {
  readonly #mesh: Mesh<Uint8Array>
  readonly #store: Store
  readonly #asked = new Map<number, Asked>()
  readonly #lost = new Set<number>()
  readonly #done = new Set<number>()
  #nextId = 0

  constructor(mesh: Mesh<Uint8Array>, store: Store) {
    this.#mesh = mesh
    this.#store = store
  }

  get shard(): number {
    return this.#mesh.shard
  }

  get shardCount(): number {
    return this.#mesh.shardCount
  }

  /** The replies to the first of these commands, at least one; null where that shard has ended. */
  async ask(shard: number, commands: readonly string[][]): Promise<readonly string[] | null> {
    if (this.#lost.has(shard)) return null
    const id = this.#nextId
    this.#nextId = (id + 1) % IDS
    return await new Promise((resolve, reject) => {
      this.#asked.set(id, { shard, resolve, reject })
      void this.#send(shard, encodeMessage({ kind: 'commands', id, lists: commands }))
    })
  }

  /** Runs what others ask for until all are done; {@link finish} says that this one is. */
  async serve(): Promise<void> {
    try {
      while (new Set([...this.#done, ...this.#lost]).size < this.shardCount) await this.#receive()
    } catch (error) {
      for (const { reject } of this.#asked.values()) reject(error)
      throw error
    } finally {
      this.#mesh[Symbol.dispose]()
    }
  }

  async finish(): Promise<void> {
    const done = encodeMessage({ kind: 'done', id: 0, lists: [] })
    for (let to = 0; to < this.shardCount; to++) await this.#send(to, done)
  }

  async #receive(): Promise<void> {
    try {
      const { from, value } = (await this.#mesh.receiver.receive())!
      await this.#take(from, value)
    } catch (error) {
      if (!isOfPeer(error)) throw error
      // One of them has ended, which sending to it tells.
      for (let to = 0; to < this.shardCount; to++) await this.#send(to, NOTHING)
    }
  }

  async #send(to: number, message: Uint8Array): Promise<void> {
    if (this.#lost.has(to)) return
    try {
      await this.#mesh.send(to, message)
    } catch (error) {
      if (!isOfPeer(error)) throw error
      // Where it is done it has nothing to answer any more.
      this.#lost.add(to)
      for (const [id, { shard, resolve }] of this.#asked) {
        if (shard !== to) continue
        this.#asked.delete(id)
        resolve(null)
      }
    }
  }

  async #take(from: number, bytes: Uint8Array): Promise<void> {
    const { kind, id, lists } = decodeMessage(bytes)
    if (kind === 'done') {
      this.#done.add(from)
    } else if (kind === 'replies') {
      // Nobody waits for those of a shard that was found to have ended meanwhile.
      this.#asked.get(id)?.resolve(lists[0]!)
      this.#asked.delete(id)
    } else if (kind === 'commands') {
      await this.#send(from, encodeMessage({ kind: 'replies', id, lists: [this.#run(lists)] }))
    }
  }

  #run(commands: readonly (readonly string[])[]): string[] {
    const replies: string[] = []
    let replyBytes = 0
    for (const args of commands) {
      const command = findCommand(args)
      const reply = typeof command === 'string' ? command : runIn(this.#store, command, args)
      replies.push(reply)
      replyBytes += reply.length
      if (replyBytes >= REPLIES_BYTES_MAX) break
    }
    return replies
  }
}

/** Whether a shard on the other side has ended, or has closed its part of the mesh. */
function isOfPeer(error: unknown): boolean {
  const { code } = error as { code?: string }
  return code === 'ERR_PEER_ENDED' || code === 'ERR_CHANNEL_CLOSED'
}
