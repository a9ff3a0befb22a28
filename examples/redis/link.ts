import type { Mesh } from 'percore/channels'
import { runIn } from './command.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import { findCommand } from './server-commands.ts'
import type { Store } from './store.ts'

/** A shard runs commands for another one until their replies have so many bytes: the other one asks again for the rest. */
const REPLIES_BYTES_MAX = 256 * 1024
const IDS = 2 ** 32

interface Asked {
  readonly resolve: (replies: readonly string[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * A shard's place among the others: has them run commands, and runs theirs.
 *
 * Commands from one shard to another run in the order that they were sent in. A shard that ends before it is done leaves a hole
 * in the keys: {@link serve} rejects, and the others end as well.
 */
export class ShardLink {
  readonly #mesh: Mesh<Uint8Array>
  readonly #store: Store
  readonly #asked = new Map<number, Asked>()
  #nextId = 0
  #doneCount = 0

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

  /** The replies to the first of these commands, at least one. */
  ask(shard: number, commands: readonly string[][]): Promise<readonly string[]> {
    const id = this.#nextId
    this.#nextId = (id + 1) % IDS
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      const message = encodeMessage({ kind: 'commands', id, lists: commands })
      this.#mesh.send(shard, message).catch((error) => {
        this.#asked.delete(id)
        reject(error)
      })
    })
  }

  /** Runs what others ask for until all are done; {@link finish} says that this one is. */
  async serve(): Promise<void> {
    try {
      while (this.#doneCount < this.shardCount) {
        const { from, value } = (await this.#mesh.receiver.receive())!
        await this.#take(from, value)
      }
    } catch (error) {
      for (const { reject } of this.#asked.values()) reject(error)
      throw error
    } finally {
      this.#mesh[Symbol.dispose]()
    }
  }

  async finish(): Promise<void> {
    const done = encodeMessage({ kind: 'done', id: 0, lists: [] })
    for (let to = 0; to < this.shardCount; to++) await this.#mesh.send(to, done)
  }

  async #take(from: number, bytes: Uint8Array): Promise<void> {
    const { kind, id, lists } = decodeMessage(bytes)
    if (kind === 'done') {
      this.#doneCount++
    } else if (kind === 'replies') {
      this.#asked.get(id)!.resolve(lists[0]!)
      this.#asked.delete(id)
    } else {
      await this.#mesh.send(from, encodeMessage({ kind: 'replies', id, lists: [this.#run(lists)] }))
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
