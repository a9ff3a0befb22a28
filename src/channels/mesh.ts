import { assert, showAs, validateInteger, wrongType } from '../base/index.ts'
import { executor, type WaitOptions } from '../executor/index.ts'
import {
  type AttachManyOptions,
  checkManyOptions,
  openReader,
  type PreparedSender,
  prepareSenders,
} from './attach-ends.ts'
import { MergedReceiverState } from './merged-receiver-state.ts'
import {
  assertTable,
  CHANNEL_NAMES,
  channelOf,
  createRingTable,
  pickChannelOptions,
  type RingTable,
  validateThreadCount,
} from './ring-table.ts'
import type { SharedChannelOptions } from './shared-channel.ts'
import { SharedReceiver } from './shared-receiver.ts'
import type { SharedSender } from './shared-sender.ts'

/** What a shard does in a mesh. */
export type MeshRole = 'both' | 'sender' | 'receiver'

const ROLES: readonly MeshRole[] = ['both', 'sender', 'receiver']
const UNRECEIVED_DEFAULT = 65_536

export interface MeshOptions extends SharedChannelOptions {
  /** How many shards there are, 1 … 1,024. */
  readonly shards: number
  /** What each of them does; `both`, all of them, if not given. */
  readonly roles?: readonly MeshRole[]
  /**
   * How many values a shard takes in that it has not received, while it waits to send; 65,536 if not given. See
   * {@link Mesh}.
   */
  readonly unreceivedMax?: number
}

const NAMES: ReadonlySet<string> = new Set([...CHANNEL_NAMES, 'shards', 'roles', 'unreceivedMax'])

/** A mesh as plain data, to be posted to each of its shards. */
export interface SharedMesh<T> extends RingTable {
  readonly kind: 'mesh'
  readonly roles: readonly MeshRole[]
  readonly unreceivedMax: number
  /** Never there: by it the compiler knows what crosses. */
  readonly value?: T
}

/** What came from a shard. */
export interface MeshMessage<T> {
  readonly from: number
  readonly value: T
}

/**
 * Creates a channel from each shard to each, itself included: a ring for every pair, with room for `capacity` values.
 *
 * By roles it is partial: who only receives has no rings to others, and the other way round.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind, or more memory than 4 GiB.
 *
 * Source: glommio::channels::channel_mesh.
 */
export function createMesh(options: MeshOptions & { readonly codec: 'numbers' }): SharedMesh<number>
export function createMesh(
  options: MeshOptions & { readonly codec: 'bytes' },
): SharedMesh<Uint8Array>
export function createMesh<T>(options: MeshOptions): SharedMesh<T>
export function createMesh(options: MeshOptions): SharedMesh<unknown> {
  const action = 'create a mesh'
  const picked = pickChannelOptions(action, options, NAMES)
  const { shards, unreceivedMax = UNRECEIVED_DEFAULT } = options
  validateThreadCount(action, 'shards', shards)
  validateInteger(action, 'unreceivedMax', unreceivedMax, { min: 1, max: 2 ** 30 })
  const roles = checkRoles(action, options.roles, shards)
  const senders = roles.filter(sends).length
  const receivers = roles.filter(receives).length
  const table = createRingTable(action, 'mesh', senders * receivers, picked)
  return { ...table, kind: 'mesh', roles, unreceivedMax }
}

/**
 * Joins a mesh as one of its shards, once, on this thread. Waits for nobody.
 *
 * With `peers` (of a pool: `shard.peers.map(({ executorId }) => executorId)`, in the order of the mesh) it fails with
 * `ERR_PEER_ENDED` towards those that end before they have joined.
 *
 * @throws {RangeError} for a shard that the mesh has not.
 * @throws {RuntimeError} `ERR_STILL_HELD` if somebody has joined as that shard; else as {@link attachSender}.
 */
export function joinMesh<T>(
  mesh: SharedMesh<T>,
  shard: number,
  options: AttachManyOptions<T> = {},
): Mesh<T> {
  const action = 'join a mesh'
  checkShard(action, mesh, shard)
  checkManyOptions(action, options, mesh.roles.length)
  executor().assertOpen(action)
  return new Mesh(mesh, shard, options)
}

/**
 * One shard's place in a mesh: a sender to each shard, and a receiver of what all of them send.
 *
 * A bounded mesh that cannot deadlock: while a shard waits to send, what others send to it is taken out of the rings, so
 * that they, who may wait for the same, can go on. Of that it holds `unreceivedMax` values at most; then its sends fail
 * with `ERR_LIMIT_EXCEEDED` and their values, as it is to receive before it sends more. What one shard sends to another
 * stays in order.
 */
export class Mesh<T> implements Disposable {
  static {
    showAs(Mesh, (mesh) => `Mesh(shard ${mesh.shard} of ${mesh.shardCount})`)
  }

  /** Which shard this is. */
  readonly shard: number
  readonly shardCount: number
  /** What all shards send to this one, in turns; of one that only sends, it has ended. */
  readonly receiver: SharedReceiver<MeshMessage<T>>
  readonly #roles: readonly MeshRole[]
  readonly #senders: (SharedSender<T> | undefined)[] = []
  #blockedCount = 0

  /** @internal Use {@link joinMesh}. */
  constructor(mesh: SharedMesh<T>, shard: number, options: AttachManyOptions<T>) {
    const { roles, capacity, unreceivedMax } = mesh
    const home = executor()
    const layout = new MeshLayout(roles)
    this.shard = shard
    this.shardCount = roles.length
    this.#roles = roles
    const action = 'join a mesh'
    const { peers, ...rest } = options
    const optionsOf = (peer: number) =>
      peers === undefined ? rest : { ...rest, peer: peers[peer]! }
    const sources = layout.sourcesOf(shard).map((from) => ({
      openReader: () => openReader(action, channelOf<T>(mesh, layout.indexOf(from, shard)), rest),
      name: `shard ${from}`,
      index: from,
      expectedId: peers?.[from],
    }))
    const wrap = (value: T, from: number): MeshMessage<T> => ({ from, value })
    const state = new MergedReceiverState<T, MeshMessage<T>>(home, {
      sources,
      capacity,
      isOfNumbers: false,
      wrap,
    })
    this.receiver = new SharedReceiver(state, capacity)
    const targets = layout.targetsOf(shard)
    let prepared: readonly PreparedSender<T>[]
    try {
      const places = targets.map((to) => ({
        channel: channelOf<T>(mesh, layout.indexOf(shard, to)),
        options: optionsOf(to),
      }))
      prepared = prepareSenders(action, places)
    } catch (error) {
      state.cancel()
      throw error
    }
    const block = (change: 1 | -1): void => {
      this.#blockedCount += change
      assert(this.#blockedCount >= 0, 'a sender that no longer waits has waited')
      if (this.#blockedCount === 0) state.stopSpilling()
      else if (this.#blockedCount === 1 && change === 1) state.spill(unreceivedMax, refuse)
      else if (change === 1 && state.isSpillFull) refuse()
    }
    const refuse = (): void => {
      for (const { state: sending } of prepared) sending.refuseWaiting('inbox')
    }
    state.open()
    for (const [position, { sender, state: sending }] of prepared.entries()) {
      sending.onBlocked = block
      sending.open()
      this.#senders[targets[position]!] = sender
    }
  }

  /**
   * The sender to a shard.
   *
   * @throws {RangeError} for a shard that the mesh has not, or that does not receive; or if this one does not send.
   */
  sender(to: number): SharedSender<T> {
    validateInteger('send through a mesh', 'the shard', to, { min: 0, max: this.shardCount - 1 })
    const sender = this.#senders[to]
    if (sender !== undefined) return sender
    throw new RangeError(
      `Cannot send through a mesh as shard ${this.shard} must send and shard ${to} receive: they are ${this.#roles[this.shard]} and ${this.#roles[to]}`,
    )
  }

  /**
   * Waits for room on the way to a shard, this one maybe, and sends: as {@link SharedSender.send}, whose errors have the
   * value. Rejects with `ERR_LIMIT_EXCEEDED` where this shard has left too much unreceived; for a shard that the mesh has
   * not, or to which this one does not send, with a `RangeError` that has the value as well.
   */
  async send(to: number, value: T, options?: WaitOptions): Promise<void> {
    return this.#senderFor(to, value).send(value, options)
  }

  /** Sends if there is room. @throws as {@link sender}, and as {@link SharedSender.trySend}. */
  trySend(to: number, value: T): void {
    this.#senderFor(to, value).trySend(value)
  }

  /** Sends nothing more: once all shards have, and all was received, receivers end. Again is nothing. */
  close(): void {
    for (const sender of this.#senders) sender?.close()
  }

  /** {@link sender}, whose error gives the value back. */
  #senderFor(to: number, value: T): SharedSender<T> {
    try {
      return this.sender(to)
    } catch (error) {
      throw Object.assign(error as Error, { value })
    }
  }

  /** Closes the receiver as well: others' sends to this shard fail. */
  [Symbol.dispose](): void {
    this.close()
    this.receiver.close()
  }
}

/** @throws {TypeError | RangeError} for what is no mesh, and a shard that it has not. */
export function checkShard(action: string, mesh: unknown, shard: number): void {
  assertTable(action, 'mesh', mesh)
  const { length } = (mesh as SharedMesh<unknown>).roles
  validateInteger(action, 'shard', shard, { min: 0, max: length - 1 })
}

/** Which ring is whose, by the roles of all shards. */
export class MeshLayout {
  readonly #senders: readonly number[]
  readonly #receivers: readonly number[]
  readonly #senderAt: readonly number[]
  readonly #receiverAt: readonly number[]

  constructor(roles: readonly MeshRole[]) {
    const shards = roles.map((_, shard) => shard)
    this.#senders = shards.filter((shard) => sends(roles[shard]!))
    this.#receivers = shards.filter((shard) => receives(roles[shard]!))
    this.#senderAt = positionsOf(this.#senders, roles.length)
    this.#receiverAt = positionsOf(this.#receivers, roles.length)
  }

  sourcesOf(shard: number): readonly number[] {
    return this.#receiverAt[shard] === -1 ? [] : this.#senders
  }

  targetsOf(shard: number): readonly number[] {
    return this.#senderAt[shard] === -1 ? [] : this.#receivers
  }

  indexOf(from: number, to: number): number {
    const sender = this.#senderAt[from]!
    const receiver = this.#receiverAt[to]!
    assert(sender >= 0 && receiver >= 0, 'a ring leads from who sends to who receives')
    return sender * this.#receivers.length + receiver
  }
}

function positionsOf(shards: readonly number[], count: number): number[] {
  const positions: number[] = new Array(count).fill(-1)
  for (const [position, shard] of shards.entries()) positions[shard] = position
  return positions
}

function sends(role: MeshRole): boolean {
  return role !== 'receiver'
}

function receives(role: MeshRole): boolean {
  return role !== 'sender'
}

function checkRoles(
  action: string,
  roles: readonly MeshRole[] | undefined,
  shards: number,
): readonly MeshRole[] {
  if (roles === undefined) return new Array<MeshRole>(shards).fill('both')
  if (!Array.isArray(roles)) throw wrongType(action, 'roles', 'an array', roles)
  if (roles.length !== shards) {
    throw new RangeError(
      `Cannot ${action} as roles must have one for each of ${shards} shards: it has ${roles.length}`,
    )
  }
  for (const role of roles) {
    if (!ROLES.includes(role)) throw wrongType(action, 'roles', `of ${ROLES.join(', ')}`, role)
  }
  if (!roles.some(sends) || !roles.some(receives)) {
    throw new RangeError(`Cannot ${action} as somebody must send and somebody receive: none does`)
  }
  return [...roles]
}
