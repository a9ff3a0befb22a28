import { RuntimeError } from '../../base/index.ts'
import { type Executor, ListedWaiter, type TaskQueue } from '../../executor/index.ts'
import type { StreamSocket } from '../streams/stream-socket.ts'

/** A call of accept() that waits for a connection. */
export abstract class AcceptWaiter<
  Stream extends StreamSocket,
  T = unknown,
> extends ListedWaiter<T> {
  /** Whose stream it will be. */
  readonly queue: TaskQueue
  /** Whether it is told of a connection that could not be accepted, rather than waiting on. */
  readonly isTold: boolean

  constructor(current: Executor, isTold: boolean) {
    super(current)
    this.queue = current.currentQueue()
    this.isTold = isTold
  }

  abstract grant(stream: Stream): void
  /** The listener has ended. */
  abstract end(reason: Error): void
}

/** A call of accept(). */
export class StreamWaiter<Stream extends StreamSocket> extends AcceptWaiter<Stream, Stream> {
  constructor(current: Executor) {
    super(current, true)
  }

  override grant(stream: Stream): void {
    this.fulfil(stream)
  }

  override end(reason: Error): void {
    this.fail(reason)
  }
}

/** A step of an iteration. */
export class StepWaiter<Stream extends StreamSocket> extends AcceptWaiter<
  Stream,
  IteratorResult<Stream, undefined>
> {
  constructor(current: Executor) {
    super(current, false)
  }

  override grant(stream: Stream): void {
    this.fulfil({ value: stream, done: false })
  }

  override end(reason: Error): void {
    if (reason instanceof RuntimeError) this.fulfil({ value: undefined, done: true })
    else this.fail(reason)
  }
}
