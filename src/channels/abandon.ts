import { wrongType } from '../base/index.ts'
import { currentKernel } from '../kernel/index.ts'
import type { BroadcastChannel } from './broadcast.ts'
import { checkShard, MeshLayout, type SharedMesh } from './mesh.ts'
import type { MpscChannel } from './mpsc-channel.ts'
import { CONSUMER_WORDS, type EndWords, PRODUCER_WORDS, ringEnd } from './peers.ts'
import { channelOf, type RingTable } from './ring-table.ts'
import { abandonEnd, openHeader, openOneshotHeader, type SharedWords } from './shared/index.ts'
import type { SharedChannel } from './shared-channel.ts'
import {
  ONESHOT_RECEIVER_WORDS,
  ONESHOT_SENDER_WORDS,
  type SharedOneshot,
} from './shared-oneshot.ts'
import type { SharedWatch } from './shared-watch.ts'
import { ReaderPlaces } from './watch-readers.ts'

/** What has a sender that can be abandoned: of a watch, its writer. */
export type WithSender =
  | SharedChannel<unknown>
  | SharedOneshot<unknown>
  | SharedWatch<unknown>
  | MpscChannel<unknown>
  | BroadcastChannel<unknown>

/** What has a receiver that can be abandoned. */
export type WithReceiver =
  | SharedChannel<unknown>
  | SharedOneshot<unknown>
  | MpscChannel<unknown>
  | BroadcastChannel<unknown>

/** One end, and the other, which is told of it. */
interface Pair {
  readonly words: SharedWords
  readonly end: EndWords
  readonly other: EndWords
}

/**
 * Says that nobody will attach to the sending end any more, since the thread that was to has ended: the other end then
 * fails with `ERR_PEER_ENDED`, as it does where a sender's thread ends later. Whether it came to that: where somebody has
 * attached before, nothing happens.
 *
 * For threads whose executor has no number yet; where it is known say so by `peer`, or `peers`. Of a channel of many senders all that
 * have not attached are abandoned, so wait for the last of their threads. On any thread, which needs no executor. O(ends).
 *
 * @throws {TypeError} for what is no channel.
 *
 * @example A worker that may end before it has attached
 * ```ts fragment
 * const channel = createSharedChannel<string>({ capacity: 16 })
 * const worker = new Worker(url, { workerData: channel })
 * worker.once('exit', () => abandonSender(channel))
 * for await (const line of attachReceiver(channel)) console.log(line)
 * ```
 */
export function abandonSender(channel: WithSender): boolean {
  const action = 'abandon a sender'
  if (isTable(channel)) {
    if (channel.kind === 'mpsc') return abandonEach(pairsOf(channel, 'producer'))
    if (channel.kind === 'broadcast') return abandonAll(pairsOf(channel, 'producer'))
  }
  if (isWatch(channel)) {
    const places = new ReaderPlaces(channel.places, channel.readers)
    return places.abandonWriter(currentKernel().directory)
  }
  return abandonAll([pairOf(action, channel, 'producer')])
}

/**
 * Says that nobody will attach to the receiving end any more: as {@link abandonSender}, where see. Of a broadcast all receivers that
 * have not attached are abandoned, and waited for no more.
 *
 * @throws {TypeError} for what is no channel.
 */
export function abandonReceiver(channel: WithReceiver): boolean {
  const action = 'abandon a receiver'
  if (isTable(channel)) {
    if (channel.kind === 'mpsc') return abandonAll(pairsOf(channel, 'consumer'))
    if (channel.kind === 'broadcast') return abandonEach(pairsOf(channel, 'consumer'))
  }
  return abandonAll([pairOf(action, channel, 'consumer')])
}

/**
 * Says that nobody will join a mesh as that shard any more: as {@link abandonSender}, where see.
 *
 * @throws {TypeError | RangeError} for what is no mesh, and a shard that it has not.
 */
export function abandonShard(mesh: SharedMesh<unknown>, shard: number): boolean {
  checkShard('abandon a shard', mesh, shard)
  const layout = new MeshLayout(mesh.roles)
  // In the order that it would be joined in: so that either has all ends.
  const incoming = layout.sourcesOf(shard).map((from) => {
    return pairOfRing(channelOf(mesh, layout.indexOf(from, shard)), 'consumer')
  })
  const outgoing = layout.targetsOf(shard).map((to) => {
    return pairOfRing(channelOf(mesh, layout.indexOf(shard, to)), 'producer')
  })
  return abandonAll([...incoming, ...outgoing])
}

/** All ends that one thread would have attached to, or none: the first decides. */
function abandonAll(pairs: readonly Pair[]): boolean {
  for (const [position, pair] of pairs.entries()) {
    if (!abandonOne(pair) && position === 0) return false
  }
  return true
}

/** Ends of several threads: those that are left. */
function abandonEach(pairs: readonly Pair[]): boolean {
  const abandoned = pairs.filter(abandonOne)
  return abandoned.length > 0
}

function abandonOne({ words, end, other }: Pair): boolean {
  if (!abandonEnd(words, end.claim)) return false
  // ORDER: after the claim. An end that attaches tells of itself first, and looks at the other's claim then.
  ringEnd(currentKernel().directory, words, other)
  return true
}

function pairsOf(table: RingTable, end: 'producer' | 'consumer'): Pair[] {
  return Array.from({ length: table.ringCount }, (_, index) => {
    return pairOfRing(channelOf(table, index), end)
  })
}

function pairOfRing({ ring }: SharedChannel<unknown>, end: 'producer' | 'consumer'): Pair {
  const words = openHeader(ring, ring.kind)
  return end === 'producer'
    ? { words, end: PRODUCER_WORDS, other: CONSUMER_WORDS }
    : { words, end: CONSUMER_WORDS, other: PRODUCER_WORDS }
}

function pairOf(action: string, channel: unknown, end: 'producer' | 'consumer'): Pair {
  const { ring } = (channel ?? {}) as Partial<SharedChannel<unknown>>
  if (ring?.memory instanceof SharedArrayBuffer) {
    return pairOfRing(channel as SharedChannel<unknown>, end)
  }
  const { cell } = (channel ?? {}) as Partial<SharedOneshot<unknown>>
  if (!(cell?.memory instanceof SharedArrayBuffer) || isWatch(channel)) {
    throw wrongType(action, 'channel', 'what that is an end of', channel)
  }
  const words = openOneshotHeader(cell)
  return end === 'producer'
    ? { words, end: ONESHOT_SENDER_WORDS, other: ONESHOT_RECEIVER_WORDS }
    : { words, end: ONESHOT_RECEIVER_WORDS, other: ONESHOT_SENDER_WORDS }
}

function isTable(channel: unknown): channel is RingTable {
  const { memory, ringCount } = (channel ?? {}) as Partial<RingTable>
  return memory instanceof SharedArrayBuffer && ringCount !== undefined
}

function isWatch(channel: unknown): channel is SharedWatch<unknown> {
  return ((channel ?? {}) as Partial<SharedWatch<unknown>>).places instanceof SharedArrayBuffer
}
