import { executor, type WaitOptions } from '../../src/executor/index.ts'
import { Waiter } from '../../src/executor/waiter.ts'
import { type Lease, leaseHeap } from '../../src/memory/index.ts'
import type { ByteSink, ByteSource } from '../../src/streams/index.ts'

/** Gives pieces that a test puts in, keeps account of its leases, and poisons those that come back. */
export class TestSource implements ByteSource {
  readonly leases: Lease[] = []
  /** How many bytes are wanted or on leases, at most, at any time. */
  pullCount = 0
  closeCount = 0
  readonly #pieces: (Uint8Array | Error | null)[] = []
  #waiter: Waiter<void> | null = null

  constructor(...pieces: (Uint8Array | string | Error | null)[]) {
    this.add(...pieces)
  }

  add(...pieces: (Uint8Array | string | Error | null)[]): void {
    for (const piece of pieces) {
      this.#pieces.push(typeof piece === 'string' ? Buffer.from(piece) : piece)
    }
    const waiter = this.#waiter
    this.#waiter = null
    waiter?.fulfil()
  }

  get heldCount(): number {
    return this.leases.filter((lease) => !lease.isReleased).length
  }

  async pull(options?: WaitOptions): Promise<Lease | null> {
    this.pullCount++
    options?.signal?.throwIfAborted()
    if (this.#pieces.length === 0) {
      const waiter = new Waiter<void>(executor())
      waiter.bind(executor(), options, 'pull', () => {
        this.#waiter = null
      })
      this.#waiter = waiter
      await waiter.promise
    }
    const piece = this.#pieces[0]!
    // The end and a failure are for good.
    if (piece === null) return null
    if (piece instanceof Error) throw piece
    this.#pieces.shift()
    // Within larger memory, as pieces are.
    const memory = new Uint8Array(piece.length + 7).fill(255)
    memory.set(piece, 3)
    const lease = leaseHeap(memory.subarray(3, 3 + piece.length))
    const release = lease.release.bind(lease)
    lease.release = () => {
      if (!lease.isReleased) memory.fill(254)
      release()
    }
    this.leases.push(lease)
    return lease
  }

  async close(): Promise<void> {
    this.closeCount++
    const waiter = this.#waiter
    this.#waiter = null
    waiter?.fail(Object.assign(new Error('closed'), { code: 'ERR_HANDLE_CLOSED' }))
  }
}

/** Keeps what is pushed; fails at a place that a test names, and waits where it is told to. */
export class TestSink implements ByteSink {
  readonly chunks: Uint8Array[] = []
  isEnded = false
  abortReason: unknown
  abortCount = 0
  leaseCount = 0
  /** The push after so many fails. */
  failsAfter: number = Number.POSITIVE_INFINITY
  failure: Error = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  /** Pushes wait for it. */
  gate: Promise<void> = Promise.resolve()

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  async push(data: Uint8Array | Lease, options?: WaitOptions): Promise<void> {
    const isLease = !(data instanceof Uint8Array)
    const bytes = isLease ? data.bytes.slice() : data.slice()
    if (isLease) {
      this.leaseCount++
      data.release()
    }
    options?.signal?.throwIfAborted()
    if (this.failsAfter-- <= 0) throw this.failure
    this.chunks.push(bytes)
    await this.gate
  }

  async end(): Promise<void> {
    if (this.failsAfter <= 0) throw this.failure
    this.isEnded = true
  }

  async abort(reason?: unknown): Promise<void> {
    this.abortCount++
    this.abortReason = reason
  }
}

/** Cuts bytes after each of the lengths in turn, again and again. */
export function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let start = 0
  for (let turn = 0; start < bytes.length; turn++) {
    const length = Math.max(1, lengths[turn % lengths.length]!)
    pieces.push(bytes.subarray(start, start + length))
    start += length
  }
  return pieces
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString()
}
