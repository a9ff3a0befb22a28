import { RuntimeError } from '../base/index.ts'
import { type Executor, ListedWaiter, type TaskQueue } from '../executor/index.ts'
import type { TcpStream } from './tcp-stream.ts'

/** A call of accept() that waits for a connection. */
export abstract class AcceptWaiter<T> extends ListedWaiter<T> {
  /** Whose stream it will be. */
  readonly queue: TaskQueue
  /** Whether it is told of a connection that could not be accepted, rather than waiting on. */
  readonly isTold: boolean

  constructor(current: Executor, isTold: boolean) {
    super(current)
    this.queue = current.currentQueue()
    this.isTold = isTold
  }

  abstract grant(stream: TcpStream): void
  /** The listener has ended. */
  abstract end(reason: Error): void
}

/** A call of accept(). */
export class StreamWaiter extends AcceptWaiter<TcpStream> {
  constructor(current: Executor) {
    super(current, true)
  }

  override grant(stream: TcpStream): void {
    this.fulfil(stream)
  }

  override end(reason: Error): void {
    this.fail(reason)
  }
}

/** A step of an iteration. */
export class StepWaiter extends AcceptWaiter<IteratorResult<TcpStream, undefined>> {
  constructor(current: Executor) {
    super(current, false)
  }

  override grant(stream: TcpStream): void {
    this.fulfil({ value: stream, done: false })
  }

  override end(reason: Error): void {
    if (reason instanceof RuntimeError) this.fulfil({ value: undefined, done: true })
    else this.fail(reason)
  }
}
