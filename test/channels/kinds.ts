/** What the two threads of the hammer of all kinds of channels are told, and tell. */
import type {
  BroadcastChannel,
  MpscChannel,
  SharedChannel,
  SharedMesh,
  SharedOneshot,
  SharedWatch,
} from '../../src/channels/index.ts'

/** What crosses as an object: long ones need the room of many. */
export interface Item {
  readonly number: number
  readonly text: string
}

/** The channels of one round; of pairs, the first goes out of thread 0. */
export interface Round {
  readonly seed: number
  /** How many messages each sender sends. */
  readonly count: number
  readonly numbers: readonly SharedChannel<number>[]
  readonly objects: readonly SharedChannel<Item>[]
  /** From both threads, and a third one, to thread 0. */
  readonly many: MpscChannel<number>
  readonly mesh: SharedMesh<number>
  /** From thread 1 to both. */
  readonly all: BroadcastChannel<number>
  readonly watches: readonly SharedWatch<number>[]
  readonly oneshots: readonly (readonly SharedOneshot<number>[])[]
}

/** What each of these threads is started with. */
export interface KindsPart {
  /** 0 or 1. */
  readonly self: number
  /** Two words for each end: what it waits for, and how many messages it is done with. */
  readonly progress: Int32Array
}

/** The ends of a thread, by their place in {@link KindsPart.progress}. */
export const ENDS: readonly string[] = [
  'numbers out',
  'numbers in',
  'objects out',
  'objects in',
  'many out',
  'many in',
  'mesh out',
  'mesh in',
  'broadcast out',
  'broadcast in',
  'watch out',
  'watch in',
  'oneshots out',
  'oneshots in',
]

/** What an end does, by its number there. */
export const DOES: readonly string[] = ['has ended', 'is busy', 'waits to send', 'waits to receive']

/** What a thread says after a round. */
export interface KindsReport {
  readonly received: number
  readonly parkCount: number
}
