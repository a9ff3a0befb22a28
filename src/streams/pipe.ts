import { optionNames, validateBoolean, validateOptions } from '../base/index.ts'
import {
  Deadline,
  executor,
  refusalOf,
  refuse,
  traceHere,
  type WaitOptions,
} from '../executor/index.ts'
import type { Lease } from '../memory/index.ts'
import type { ByteSink } from './byte-sink.ts'
import type { ByteSource } from './byte-source.ts'
import { settled } from './settled.ts'
import { validateSink, validateSource } from './validate-ends.ts'

/** How {@link pipe} leaves both sides. */
export interface PipeOptions extends WaitOptions {
  /** Whether to end the sink at the end, and abort it on a failure; true if not given. */
  readonly end?: boolean
  /** Whether to close the source on a failure; true if not given. */
  readonly close?: boolean
}

const NAMES = optionNames<PipeOptions>({ end: true, close: true, signal: true, timeoutMs: true })
const ACTION = 'pipe'

/**
 * Moves everything from a source to a sink, and resolves to how many bytes that were, once the sink has ended.
 *
 * A piece is pulled when the sink has taken the one before, so that a slow sink slows the source down. Pieces go over as
 * leases: without a copy, where the sink writes from leases (sockets do, and direct files where it is aligned).
 *
 * At the end of the source the sink is ended, and the source left as it is: a socket's other direction goes on. When
 * either side fails, or the wait ends early, the sink is aborted and the source closed before the promise rejects,
 * so that nothing is left half open; of what had been pulled by then some may not have arrived.
 *
 * @throws what the side throws that failed first; {@link TypeError} for what is no source or sink.
 *
 * @example Send what comes back
 * ```ts run
 * import { TcpListener, TcpStream } from 'percore/net'
 * import { ByteReader, pipe } from 'percore/streams'
 *
 * await using listener = await TcpListener.bind({ port: 0 })
 * const accepting = listener.accept()
 * await using client = await TcpStream.connect({ port: listener.address.port })
 * await using server = await accepting
 * const echoing = pipe(server, server)
 * await client.write(new TextEncoder().encode('hello'))
 * await client.shutdown()
 * const answer = await new ByteReader(client).readToEnd()
 * console.log(answer.length, await echoing) // 5 5
 * ```
 */
export async function pipe(
  source: ByteSource,
  sink: ByteSink,
  options: PipeOptions = {},
): Promise<number> {
  const refusal = refusalOf(ACTION) ?? refuseArguments(source, sink, options)
  if (refusal !== null) return refusal
  const { end = true, close = true, signal, timeoutMs } = options
  const wait = signal === undefined && timeoutMs === undefined ? undefined : { signal, timeoutMs }
  try {
    const steps = wait && new Deadline(executor(), ACTION, wait)
    const movedBytes = await move(source, sink, steps)
    if (end) await sink.end(steps?.next())
    return movedBytes
  } catch (error) {
    const ends = [
      // First: a socket may be both sides, and once it is closed it can't be reset.
      ...(end ? [settled(() => sink.abort?.(error))] : []),
      ...(close ? [settled(() => source.close())] : []),
    ]
    await Promise.all(ends)
    throw traceHere(error)
  }
}

async function move(
  source: ByteSource,
  sink: ByteSink,
  steps: Deadline | undefined,
): Promise<number> {
  let movedBytes = 0
  while (true) {
    const lease = await source.pull(steps?.next())
    if (lease === null) return movedBytes
    const { lengthBytes } = lease
    await sink.push(lease, stepWith(lease, steps))
    movedBytes += lengthBytes
  }
}

/** @throws {RuntimeError} `ERR_TASK_TIMEOUT`; the lease, which no sink has then, is released. */
function stepWith(lease: Lease, steps: Deadline | undefined): WaitOptions | undefined {
  try {
    return steps?.next()
  } catch (error) {
    lease.release()
    throw error
  }
}

function refuseArguments(
  source: unknown,
  sink: unknown,
  options: PipeOptions,
): Promise<never> | null {
  try {
    validateSource(ACTION, source)
    validateSink(ACTION, sink)
    validateOptions(ACTION, options, NAMES)
    if (options.end !== undefined) validateBoolean(ACTION, 'end', options.end)
    if (options.close !== undefined) validateBoolean(ACTION, 'close', options.close)
    return null
  } catch (error) {
    return refuse(error)
  }
}
