import { assert, RuntimeError, reviveError } from '../base/index.ts'
import { type Executor, ListedWaiter } from '../executor/index.ts'
import type {
  BlockingReply,
  BlockingRequest,
  BlockingThreadEnd,
  PackedArguments,
} from './protocol.ts'

/** Whom a job tells that it has been given up. */
export interface JobOwner {
  /** Nobody waits for it any more, while it runs. */
  jobAbandoned(job: Job): void
}

/** What the caller of a function in another thread waits for. It keeps the program alive. */
export class Job extends ListedWaiter<unknown> {
  readonly request: BlockingRequest
  /** Whether its thread is to end where nobody waits for it any more. */
  readonly terminates: boolean
  /** Its arguments, while it stands in line. */
  packed: PackedArguments | null = null
  readonly #executor: Executor
  readonly #owner: JobOwner
  /** The frames of who called. */
  readonly #site: { readonly stack?: string }

  constructor(
    executor: Executor,
    owner: JobOwner,
    options: {
      readonly request: BlockingRequest
      readonly terminates: boolean
      readonly site: { readonly stack?: string }
    },
  ) {
    super(executor)
    this.#executor = executor
    this.#owner = owner
    this.request = options.request
    this.terminates = options.terminates
    this.#site = options.site
  }

  /** Begins to keep the program alive, until it is settled. */
  hold(): void {
    this.#executor.liveness.hold()
  }

  override fulfil(value: unknown): void {
    this.#settle()
    super.fulfil(value)
  }

  override fail(reason: unknown): void {
    this.#settle()
    super.fail(reason)
  }

  override cancel(reason: unknown): void {
    if (!this.isWaiting) return
    if (this.list !== null) {
      super.cancel(reason)
      return
    }
    this.fail(reason)
    this.#owner.jobAbandoned(this)
  }

  /** Takes what its thread has answered. */
  answer(reply: BlockingReply): void {
    if (!this.isWaiting) return
    if (reply.kind === 'returned') this.fulfil(reply.value)
    else this.fail(this.#withFrames(reviveError(reply.error)))
  }

  /** Its thread has ended without an answer. */
  threadEnded({ exitCode, failure }: BlockingThreadEnd): void {
    if (!this.isWaiting) return
    const { module, name } = this.request
    const error = new RuntimeError(
      'ERR_THREAD_ENDED',
      `Cannot finish '${name}' of ${module} as its thread must not end: ${describeEnd(exitCode, failure?.error)}`,
      failure === null ? undefined : { cause: failure.error },
    )
    this.fail(this.#withFrames(error))
  }

  #settle(): void {
    assert(this.isWaiting, 'a call is answered once')
    this.packed?.discard()
    this.packed = null
    this.#executor.liveness.letGo()
  }

  /** Shows where it failed, and behind that who called. */
  #withFrames(error: unknown): unknown {
    if (!(error instanceof Error)) return error
    const own = error.stack ?? String(error)
    const frames = (this.#site.stack ?? '').split('\n').slice(1)
    const isOwn = error instanceof RuntimeError && error.code === 'ERR_THREAD_ENDED'
    const [head] = own.split('\n    at ')
    error.stack = [isOwn ? head : `${own}\n    at (called from another thread)`, ...frames].join(
      '\n',
    )
    return error
  }
}

function describeEnd(exitCode: number, error: unknown): string {
  if (error === undefined) return `it ended with exit code ${exitCode}`
  const { code } = error as { code?: unknown }
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return 'it ran out of memory'
  return `nobody caught ${String(error)}`
}
