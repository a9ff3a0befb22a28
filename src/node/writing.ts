import type { Duplex } from 'node:stream'
import type { StreamSocket } from '../net/index.ts'
import { systemError, throwUncaught } from './errors.ts'
import type { IdleTimeout } from './idle-timeout.ts'
import type { Halves } from './reading.ts'

/** How Node is told that something is done, or failed. */
export type Callback = (error?: Error | null) => void

/** Chunks below this are put together: a write each would cost more than the copy. */
const MERGED_BYTES_MAX = 4 * 1024
/** How much is put together at most. */
const WHOLE_BYTES_MAX = 64 * 1024

/** The writing half of a socket: one write of Node's at a time, whose callback is called when the kernel has taken it. */
export class Writing {
  /** Bytes whose writes have ended. */
  sentBytes = 0
  readonly #socket: Duplex
  readonly #idle: IdleTimeout
  #callback: Callback | null = null
  #lengthBytes = 0
  // Two for all writes, rather than two closures each.
  readonly #onSent: () => void
  readonly #onFailure: (error: unknown) => void

  constructor({ socket, idle }: Halves) {
    this.#socket = socket
    this.#idle = idle
    this.#onSent = () => this.#finish(null)
    this.#onFailure = (error) => this.#finish(error)
  }

  write(stream: StreamSocket, chunk: Uint8Array, callback: Callback): void {
    this.#callback = callback
    this.#lengthBytes = chunk.length
    stream.write(chunk).then(this.#onSent, this.#onFailure)
  }

  writeAll(
    stream: StreamSocket,
    pieces: readonly { readonly chunk: Uint8Array }[],
    callback: Callback,
  ): void {
    const chunks = mergeSmall(pieces)
    if (chunks.length === 1) {
      this.write(stream, chunks[0]!, callback)
      return
    }
    this.#callback = callback
    this.#lengthBytes = chunks.reduce((sum, { length }) => sum + length, 0)
    Promise.all(chunks.map((chunk) => stream.write(chunk))).then(this.#onSent, this.#onFailure)
  }

  #finish(error: unknown): void {
    const callback = this.#callback!
    this.#callback = null
    this.sentBytes += this.#lengthBytes
    // The caller of destroy() is told nothing of writes that it gave up.
    const failure = error === null || this.#socket.destroyed ? null : systemError(error, 'write')
    if (failure === null) this.#idle.touch()
    try {
      callback(failure)
    } catch (thrown) {
      throwUncaught(thrown)
    }
  }
}

/** The same bytes in fewer pieces: neighbours that are short become one. */
function mergeSmall(pieces: readonly { readonly chunk: Uint8Array }[]): Uint8Array[] {
  const merged: Uint8Array[] = []
  let from = 0
  while (from < pieces.length) {
    let to = from
    let lengthBytes = 0
    for (; to < pieces.length; to++) {
      const { length } = pieces[to]!.chunk
      if (length >= MERGED_BYTES_MAX || lengthBytes + length > WHOLE_BYTES_MAX) break
      lengthBytes += length
    }
    if (to - from < 2) {
      merged.push(pieces[from]!.chunk)
      from++
      continue
    }
    const whole = joinPieces(pieces, from, to, lengthBytes)
    if (whole !== null) merged.push(whole)
    from = to
  }
  return merged.length > 0 ? merged : [pieces[0]!.chunk]
}

function joinPieces(
  pieces: readonly { readonly chunk: Uint8Array }[],
  from: number,
  to: number,
  lengthBytes: number,
): Uint8Array | null {
  if (lengthBytes === 0) return null
  const first = pieces[from]!.chunk
  // What http ends a message with is empty.
  if (first.length === lengthBytes) return first
  const whole = Buffer.allocUnsafe(lengthBytes)
  let position = 0
  for (let index = from; index < to; index++) {
    const { chunk } = pieces[index]!
    whole.set(chunk, position)
    position += chunk.length
  }
  return whole
}
