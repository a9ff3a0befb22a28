import { allocateBuffer, type Lease, yieldNow } from 'percore'
import { Batch } from './batch.ts'
import { HEADER_BYTES } from './record.ts'
import { Segment } from './segment.ts'

export interface LogOptions {
  /** An existing directory, for this log alone. */
  readonly folder: string
  /** How large a segment's file is; a multiple of 4 KiB. 64 MiB if not given. */
  readonly segmentBytes?: number
  /** How much is written at a time at most; a record may be half as long. 1 MiB if not given. */
  readonly batchBytes?: number
}

/** A record of the log, and where the next one is. */
export interface LogRecord {
  readonly data: Uint8Array
  readonly nextOffset: number
}

/** An append that finds no room in the batch that is being filled. */
interface WaitingAppend {
  readonly data: Uint8Array
  readonly resolve: (offset: Promise<number>) => void
  readonly reject: (error: unknown) => void
}

/**
 * An append-only log that survives crashes: what `append()` has resolved for is there, and what it has not is absent, or whole.
 *
 * One write and one `datasync` at a time commit all records that came during those before. Belongs to one thread.
 */
export class Log implements AsyncDisposable {
  readonly #folder: string
  readonly #segmentBytes: number
  readonly #dataBytesMax: number
  readonly #segments: Segment[]
  /** Takes the records that come; the other buffer is being written, or waits for its turn. */
  #filling: Batch
  #spare: Lease
  readonly #waiting: WaitingAppend[] = []
  /** The offset behind the last record that is on the disk. */
  #endOffset: number
  #committing: Promise<void> | null = null
  #failure: { readonly error: unknown } | null = null
  commitCount = 0

  private constructor(
    options: Required<LogOptions>,
    state: { segments: Segment[]; filling: Batch; spare: Lease },
  ) {
    this.#folder = options.folder
    this.#segmentBytes = options.segmentBytes
    this.#dataBytesMax = options.batchBytes / 2
    this.#segments = state.segments
    this.#filling = state.filling
    this.#spare = state.spare
    this.#endOffset = state.filling.endOffset
  }

  /** Opens the log in a folder, or begins one; finds out where it ended. */
  static async open(options: LogOptions): Promise<Log> {
    const all = { segmentBytes: 64 << 20, batchBytes: 1 << 20, ...options }
    const { folder, segmentBytes, batchBytes } = all
    const isWhole = segmentBytes % 4096 === 0 && batchBytes % 4096 === 0
    if (!isWhole || batchBytes < 16_384 || segmentBytes < 2 * batchBytes) {
      throw new RangeError(
        'Cannot open a log as batches must have 16 KiB, segments two batches, both of whole pages',
      )
    }
    const segments: Segment[] = []
    const leases = [allocateBuffer(batchBytes), allocateBuffer(batchBytes)] as const
    try {
      for (;;) {
        const segment = await Segment.open(folder, segments.length + 1)
        if (segment === null) break
        segments.push(segment)
      }
      await Segment.refuseLater(folder, segments.length + 2)
      const last = segments.at(-1)
      let filling: Batch
      if (last === undefined) {
        const place = { number: 1, baseOffset: 0, sizeBytes: segmentBytes }
        const first = await Segment.create(folder, place)
        segments.push(first)
        filling = Batch.first(first, leases[0])
      } else {
        const endOffset = await last.findEnd()
        await last.cut(endOffset, segmentBytes)
        filling = await Batch.resume(last, leases[0], endOffset)
      }
      return new Log(all, { segments, filling, spare: leases[1] })
    } catch (error) {
      for (const lease of leases) lease.release()
      await Promise.allSettled(segments.map((segment) => segment.close()))
      throw error
    }
  }

  /** The offset that the next record gets, once all that were appended are on the disk. */
  get endOffset(): number {
    return this.#endOffset
  }

  /** Appends a record; resolves to its offset once it is on the disk. The bytes are copied, unless the log is behind: then later. */
  append(data: Uint8Array): Promise<number> {
    if (this.#failure !== null) return Promise.reject(this.#failure.error)
    if (data.length === 0 || data.length > this.#dataBytesMax) {
      return Promise.reject(
        new RangeError(`Cannot append as a record must have 1 to ${this.#dataBytesMax} bytes`),
      )
    }
    this.#committing ??= this.#commitAll()
    if (this.#waiting.length === 0 && this.#filling.fits(data.length, this.#segmentBytes)) {
      return this.#push(data)
    }
    return new Promise<number>((resolve, reject) => {
      this.#waiting.push({ data, resolve, reject })
    })
  }

  /** The record at an offset that `append()` or the record before gave; null at the end of the log. */
  async read(offset: number): Promise<LogRecord | null> {
    if (offset === this.#endOffset) return null
    const segment = this.#segments.findLast(({ baseOffset }) => baseOffset <= offset)
    const isWithin = Number.isInteger(offset) && offset >= 0 && offset < this.#endOffset
    const data = isWithin ? ((await segment?.read(offset)) ?? null) : null
    if (data === null) throw new RangeError(`Cannot read as no whole record begins at ${offset}`)
    return { data, nextOffset: offset + HEADER_BYTES + data.length }
  }

  /** Waits for what was appended, then ends. */
  async close(): Promise<void> {
    this.#failure ??= { error: new Error('Cannot append as the log must be open: it was closed') }
    await this.#committing
    this.#filling.lease.release()
    this.#spare.release()
    await Promise.all(this.#segments.map((segment) => segment.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #push(data: Uint8Array): Promise<number> {
    const batch = this.#filling
    const offset = batch.push(data)
    return batch.committed.then(() => offset)
  }

  /** Commits one batch after the other, until none has records. */
  async #commitAll(): Promise<void> {
    try {
      // What else comes in this turn goes with the first.
      await yieldNow()
      while (this.#filling.recordCount > 0 || this.#waiting.length > 0) {
        if (this.#filling.recordCount > 0) await this.#commitOne()
        else await this.#beginSegment()
        this.#admit()
      }
    } catch (error) {
      // The kernel may have dropped what it could not write, so no later sync proves anything: only a recovery does.
      this.#failure = { error }
      this.#filling.fail(error)
      for (const { reject } of this.#waiting.splice(0)) reject(error)
    }
    this.#committing = null
  }

  async #commitOne(): Promise<void> {
    const batch = this.#filling
    this.#filling = batch.next(this.#spare)
    this.#spare = batch.lease
    this.#admit()
    try {
      await batch.write()
    } catch (error) {
      batch.fail(error)
      throw error
    }
    this.commitCount++
    this.#endOffset = batch.endOffset
    batch.commit()
  }

  /** Lets in those that wait, in their order, as far as there is room. */
  #admit(): void {
    while (this.#waiting.length > 0) {
      const { data, resolve } = this.#waiting[0]!
      if (!this.#filling.fits(data.length, this.#segmentBytes)) return
      this.#waiting.shift()
      resolve(this.#push(data))
    }
  }

  /** Goes on in a new file: the one that is full is on the disk. */
  async #beginSegment(): Promise<void> {
    const place = {
      number: this.#segments.length + 1,
      baseOffset: this.#endOffset,
      sizeBytes: this.#segmentBytes,
    }
    const segment = await Segment.create(this.#folder, place)
    this.#segments.push(segment)
    this.#filling = Batch.first(segment, this.#filling.lease)
  }
}
