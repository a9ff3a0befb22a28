/** What crosses between a pool and its threads: plain data, but for the port of arguments that had to wait. */
import type { MessagePort, TransferListItem } from 'node:worker_threads'
import type { ErrorRecord } from '../base/index.ts'

/** What moves to another thread rather than being copied: an `ArrayBuffer`, a `MessagePort`. */
export type Transferable = TransferListItem

/** A function to be called in another thread. */
export interface BlockingRequest {
  /** URL of its module. */
  readonly module: string
  /** The name that it is exported by. */
  readonly name: string
}

/** From the pool to a thread. */
export type ToBlockingThread =
  | {
      readonly kind: 'run'
      readonly request: BlockingRequest
      /** The arguments, or where they are to be received. */
      readonly input: readonly unknown[] | MessagePort
    }
  /** Come to an end, once what runs has ended. */
  | { readonly kind: 'end' }

/** From a thread to its pool: how what it ran has ended. */
export type BlockingReply =
  | { readonly kind: 'returned'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly error: ErrorRecord }

/** How a thread ended. */
export interface BlockingThreadEnd {
  readonly exitCode: number
  /** What nobody caught, if that ended it. */
  readonly failure: { readonly error: unknown } | null
}

/** Told in this order, the end last; never from within the calls of the thread. */
export interface BlockingThreadEvents {
  onReply(reply: BlockingReply): void
  onEnd(end: BlockingThreadEnd): void
}

/** Arguments as they were when the function was called: what their caller does to them meanwhile changes nothing. */
export interface PackedArguments {
  /** Lets go of them, if nobody is to get them. */
  discard(): void
}

/** A thread that runs one request at a time, seen from its pool. It does not keep the program alive. */
export interface BlockingThread {
  /** Runs a request at once. @throws {Error} a `DataCloneError`, and then runs nothing. */
  begin(
    request: BlockingRequest,
    values: readonly unknown[],
    transfer: readonly Transferable[],
  ): void
  /** Runs a request whose arguments had to wait. */
  beginPacked(request: BlockingRequest, packed: PackedArguments): void
  /** Lets it end once what it runs has; nothing is run any more. */
  end(): void
  /** Ends it, whatever it does; {@link BlockingThreadEvents.onEnd} follows. */
  terminate(): void
}

/** What makes threads: of this process by `Worker`, or of a simulation. */
export interface BlockingThreads {
  /** How many there may be. */
  readonly countMax: number
  /** What was refused as a thread was made last, which runs all the same. */
  readonly refusals: readonly Error[]
  /** @throws {Error} a `DataCloneError` for what cannot be cloned. */
  pack(values: readonly unknown[], transfer: readonly Transferable[]): PackedArguments
  /** @throws whatever refused it; then there is no thread. */
  start(index: number, events: BlockingThreadEvents): BlockingThread
}
