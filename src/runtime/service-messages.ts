/** What a pool and its shards tell each other of services: plain data, which is copied on its way. */
import type { ErrorRecord } from '../base/index.ts'
import type { SharedChannel } from '../channels/index.ts'

/** One shard's ends of the rings to another: of those two threads, and of no others. */
export interface LinkEnds {
  readonly peer: number
  readonly outgoing: SharedChannel<Uint8Array>
  readonly incoming: SharedChannel<Uint8Array>
}

/** From the pool to a shard. */
export type ToServices =
  | ({ readonly kind: 'link' } & LinkEnds)
  /** There is none: that shard has no thread now. */
  | { readonly kind: 'noLink'; readonly peer: number }
  /** The thread of that shard has ended. */
  | { readonly kind: 'gone'; readonly peer: number }
  /** Make an instance, and answer by its number. */
  | {
      readonly kind: 'start'
      readonly service: number
      readonly name: string
      readonly argument: unknown
    }
  /** End the instance, and answer. */
  | { readonly kind: 'stop'; readonly service: number }
  /** The service that was asked for runs on all shards. */
  | { readonly kind: 'joined'; readonly request: number; readonly service: number }
  /** It does not. */
  | { readonly kind: 'refused'; readonly request: number; readonly error: ErrorRecord }
  /** The service was left, by the last one once it has ended on all shards; with what failed as it did. */
  | { readonly kind: 'left'; readonly request: number; readonly error: ErrorRecord | null }

/** From a shard to the pool. */
export type FromServices =
  /** There is something for that shard. */
  | { readonly kind: 'link'; readonly peer: number }
  /** Start a service on all shards, or join those who have. */
  | {
      readonly kind: 'join'
      readonly request: number
      readonly name: string
      readonly argument: unknown
      /** The service whose instance is made, and needs it; null if none is. */
      readonly maker: number | null
    }
  /** Nothing will be asked of it any more by who made that request. */
  | { readonly kind: 'leave'; readonly request: number }
  | { readonly kind: 'started'; readonly service: number; readonly methods: readonly string[] }
  | { readonly kind: 'notStarted'; readonly service: number; readonly error: ErrorRecord }
  | { readonly kind: 'stopped'; readonly service: number; readonly error: ErrorRecord | null }
