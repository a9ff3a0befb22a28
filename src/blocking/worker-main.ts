/** What a `Worker` of a {@link BlockingPool} runs: one request after the other. */
import { MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads'
import { assert, recordError } from '../base/index.ts'
import { Lease } from '../memory/index.ts'
import type { BlockingReply, ToBlockingThread } from './protocol.ts'
import { loadFunction, notCloneable } from './run-request.ts'
import { markBlockingThread } from './thread-state.ts'
import { transfersOf } from './transfer-result.ts'

type Run = ToBlockingThread & { readonly kind: 'run' }

assert(parentPort !== null, 'a blocking thread is a worker of its pool')
const pool = parentPort
markBlockingThread()

pool.on('message', (message: ToBlockingThread) => {
  // What modules have left in the event loop, a timer say, does not keep the thread.
  if (message.kind === 'end') process.exit(0)
  void run(message)
})

async function run(message: Run): Promise<void> {
  try {
    const call = await loadFunction(message.request)
    const value = await call(...receive(message.input))
    reply(value)
  } catch (error) {
    pool.postMessage({ kind: 'threw', error: recordError(error) } satisfies BlockingReply)
  }
}

function receive(input: Run['input']): readonly unknown[] {
  if (!(input instanceof MessagePort)) return input
  const port = input
  const received = receiveMessageOnPort(port) as { message: readonly unknown[] } | undefined
  port.close()
  if (received === undefined)
    throw new TypeError('Cannot run as arguments must be readable here: they are not')
  return received.message
}

function reply(value: unknown): void {
  // A clone of it would be an empty object.
  if (value instanceof Lease) throw notCloneable(new TypeError('a lease is not, lease.bytes is'))
  try {
    const transfer = [...transfersOf(value)]
    pool.postMessage({ kind: 'returned', value } satisfies BlockingReply, transfer)
  } catch (error) {
    throw notCloneable(error)
  }
}
