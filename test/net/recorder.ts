import { setImmediate as nextRound } from 'node:timers/promises'
import type { ChunkConsumer, TcpStream } from '../../src/net/index.ts'

/** A consumer that notes what it is told; `take` is what it does with a chunk. */
export class Recorder implements ChunkConsumer<TcpStream> {
  chunkCount = 0
  lengthBytes = 0
  endCount = 0
  /** Resolves to the error that onEnd was told. */
  readonly ended: Promise<unknown>
  readonly #take: (chunk: Uint8Array, stream: TcpStream) => unknown
  #resolve: (error: unknown) => void = () => {}

  constructor(take: (chunk: Uint8Array, stream: TcpStream) => unknown = () => {}) {
    this.#take = take
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  onChunk(chunk: Uint8Array, stream: TcpStream): unknown {
    this.chunkCount++
    this.lengthBytes += chunk.length
    return this.#take(chunk, stream)
  }

  onEnd(error: unknown): void {
    this.endCount++
    this.#resolve(error)
  }
}

/** A promise, and what settles it. */
export interface Held {
  readonly promise: Promise<void>
  readonly release: () => void
  readonly fail: (error: unknown) => void
}

export function hold(): Held {
  let release = (): void => {}
  let fail = (_error: unknown): void => {}
  const promise = new Promise<void>((resolve, reject) => {
    release = resolve
    fail = reject
  })
  return { promise, release, fail }
}

/** Lets whatever could happen, happen. */
export async function rounds(): Promise<void> {
  for (let round = 0; round < 20; round++) await nextRound()
}
