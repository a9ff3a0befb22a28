import { type Channel, channel } from 'node:diagnostics_channel'
import { fileURLToPath } from 'node:url'
import { RuntimeError } from '../base/index.ts'
import type { Kernel } from '../kernel/index.ts'

/** What is asked before an executor attaches. Its shape is the same in all versions of the package. */
interface Question {
  /** Filled in by the copy of the package that has the thread. */
  holder: Holder | null
}

/** The executor that has a thread. */
interface Holder {
  /** The executor's name. */
  readonly name: string
  /** The files of the copy of the package that made it. */
  readonly location: string
}

/**
 * Node's own registry by name: the same for all copies of the package on a thread, and for all realms.
 * A symbol of the global object would not do: each realm, as test runners make them, has one of its own.
 */
const thread: Channel = channel('percore.executor')

/**
 * Refuses a second executor on the real event loop of a thread, which only another copy of the package
 * can have attached: each would sleep in the kernel while the other has work, and neither go on.
 *
 * @throws {RuntimeError} `ERR_EXECUTOR_EXISTS` naming both copies.
 */
export function assertThreadFree({ name: driver }: Kernel): void {
  if (driver === 'sim') return
  const question: Question = { holder: null }
  thread.publish(question)
  const { holder } = question
  if (holder === null) return
  throw new RuntimeError(
    'ERR_EXECUTOR_EXISTS',
    `Cannot attach an executor as a thread must have only one: it has '${holder.name}' of another copy of percore, in ${holder.location}, and this copy is in ${ownLocation()}; install one for all (npm dedupe), or close that executor first`,
  )
}

/** Answers other copies of the package from now on; what it returns ends that. */
export function claimThread({ name: driver }: Kernel, name: string): () => void {
  if (driver === 'sim') return nothing
  const answer = (message: unknown): void => {
    const question = message as Question
    question.holder ??= { name, location: ownLocation() }
  }
  thread.subscribe(answer)
  return () => {
    thread.unsubscribe(answer)
  }
}

function nothing(): void {}

function ownLocation(): string {
  // From dist/src/executor to the root of the package; in a bundle, to wherever that is.
  return fileURLToPath(new URL('../../..', import.meta.url))
}
