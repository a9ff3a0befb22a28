import {
  alignUp,
  GIB,
  isAbortSignal,
  isBytes,
  KernelError,
  KIB,
  MIB,
  optionNames,
  RuntimeError,
  showAs,
  validateBoolean,
  validateInteger,
  validateOptions,
  wrongBytes,
  wrongType,
} from '../../base/index.ts'
import {
  abortHub,
  type Cancellable,
  Deadline,
  refuse,
  validateWaitOptions,
  Waiter,
  type WaitOptions,
} from '../../executor/index.ts'
import { Lease } from '../../memory/index.ts'
import type { ByteSink } from '../../streams/index.ts'
import type { AttachedStream } from '../requests/attached-streams.ts'
import { Sync } from '../requests/file-operations.ts'
import { type StreamTarget, streamClosed } from './stream-target.ts'
import { WriteBehind, type WritePlan } from './write-behind.ts'

/** Where a {@link FileWriter} writes, and how far behind. */
export interface FileWriterOptions {
  /** Where it begins; 0 if not given. Any position, but of a file that is opened for appending. */
  readonly startBytes?: number | undefined
  /**
   * How much is gathered and written at a time; 128 KiB if not given, of a direct file 1 MiB, as few writes that make a file longer are
   * on their way together. Rounded up to what the file is aligned to.
   */
  readonly blockBytes?: number | undefined
  /** How many blocks are written at the same time, 1 at least; 4 if not given. What appends has 1. */
  readonly writeBehind?: number | undefined
  /** Whether {@link FileWriter.end} makes what was written survive a loss of power; false if not given. */
  readonly syncAtEnd?: boolean | undefined
  /** Aborting it gives up what is not written yet. */
  readonly signal?: AbortSignal | undefined
}

const NAMES = optionNames<FileWriterOptions>({
  startBytes: true,
  blockBytes: true,
  writeBehind: true,
  syncAtEnd: true,
  signal: true,
})
const ACTION = 'write a file as a stream'
const BLOCK_BYTES_DEFAULT: number = 128 * KIB
const DIRECT_BLOCK_BYTES_DEFAULT: number = MIB
const WRITE_BEHIND_DEFAULT = 4
const WRITE_BEHIND_MAX = 1024
const POSITION_BYTES_MAX: number = Number.MAX_SAFE_INTEGER - GIB

/**
 * Writes a file from one position on: what is written is gathered in blocks, which go to the file while the next one is filled.
 *
 * {@link write} and {@link push} resolve once they have taken their data, which is at once unless all blocks are on their way.
 * What was taken is in the file after {@link flush} and {@link end}, and survives a loss of power after {@link sync}. Until then
 * nothing is promised: end every writer, or close its file, which does that.
 *
 * A write to the file that fails is reported to whoever waits then, or else to the next call; from then on nothing more is
 * taken, all calls are rejected with it, and {@link flushedBytes} tells how far the file is whole.
 *
 * A direct file is written in whole blocks of the device; where the data ends within one, `flush`, `sync` and
 * `end` write that padded and cut the file to its exact length after. Data behind the stream's end stays.
 * Nobody else should write to the blocks that it writes to.
 *
 * It belongs to the thread of its file.
 *
 * Source: glommio's `DmaStreamWriter`.
 *
 * @example Write many small records
 * ```ts run
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { BufferedFile } from 'percore/io'
 *
 * const path = join(tmpdir(), `percore-writer-${process.pid}`)
 * await using file = await BufferedFile.create(path)
 * const writer = file.writer()
 * const record = new TextEncoder().encode('a record\n')
 * for (let count = 0; count < 10_000; count++) await writer.write(record)
 * await writer.end()
 * console.log(await file.size()) // 90000
 * await file.remove()
 * ```
 */
export class FileWriter implements ByteSink, AsyncDisposable {
  static {
    showAs(FileWriter, (writer) => `FileWriter at ${writer.positionBytes}`)
  }

  readonly #engine: WriteBehind
  readonly #target: StreamTarget
  readonly #syncsAtEnd: boolean
  readonly #signal: AbortSignal | undefined
  readonly #attached: AttachedStream = { fileCloses: () => this.#endWithFile() }
  readonly #signalTarget: Cancellable = { cancel: (reason) => this.#giveUp(reason) }
  #ending: Promise<void> | null = null
  #aborting: Promise<void> | null = null
  #syncedCount = 0

  /** @internal */
  constructor(target: StreamTarget, plan: WritePlan, { syncAtEnd, signal }: FileWriterOptions) {
    this.#engine = new WriteBehind(target, plan)
    this.#target = target
    this.#syncsAtEnd = syncAtEnd === true
    this.#signal = signal
    target.descriptor.streams.add(this.#attached)
    if (signal !== undefined) abortHub(signal).add(this.#signalTarget)
  }

  /** Where the next byte goes that is written; of what appends, how much was. */
  get positionBytes(): number {
    return this.#engine.positionBytes
  }

  /** Up to where all that was written is in the file, without a gap. */
  get flushedBytes(): number {
    return this.#engine.flushedBytes
  }

  /**
   * Takes a copy of `data`; resolves at once unless all blocks are on their way, and then once there is room. It must not
   * change until that.
   *
   * One that is cancelled while it waits may be taken in part, which {@link positionBytes} tells.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` after {@link end} or {@link abort}; `ERR_OUT_OF_MEMORY`;
   * {@link KernelError} as `write(2)`, of what was written before.
   */
  write(data: Uint8Array, options?: WaitOptions): Promise<void> {
    try {
      if (!isBytes(data)) throw wrongBytes('write a file', 'data', data)
      this.#assertOpen('write a file')
      return this.#engine.write(data, options)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * The same, also for a lease, which is the writer's from then on. It is written from where it is, without a copy,
   * if it has 16 KiB or more and, for a direct file, lies and comes at multiples of its alignment. While others are on their way, it waits for
   * those that follow, so that one request writes up to `blockBytes` of them.
   */
  push(data: Uint8Array | Lease, options?: WaitOptions): Promise<void> {
    if (!(data instanceof Lease)) return this.write(data, options)
    try {
      data.assertHeld()
    } catch (error) {
      return refuse(error)
    }
    try {
      this.#assertOpen('write a file')
      return this.#engine.write(data, options)
    } catch (error) {
      data.release()
      return refuse(error)
    }
  }

  /**
   * Resolves once all that was taken is in the file, which has its exact length then.
   *
   * @throws as {@link write}; `ERR_UNALIGNED` where it ends within a block that has to be read, and the file is
   * not open for reading.
   */
  flush(options?: WaitOptions): Promise<void> {
    try {
      this.#assertOpen('flush a file')
      return this.#engine.flush(options)
    } catch (error) {
      return refuse(error)
    }
  }

  /** The same for whole blocks of the device alone, so that none has to be padded: see {@link flushedBytes}. */
  flushAligned(options?: WaitOptions): Promise<void> {
    try {
      this.#assertOpen('flush a file')
      return this.#engine.flushAligned(options)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Makes all that was taken survive a loss of power. Does nothing if nothing was written since the last time.
   *
   * @throws as {@link flush}; {@link KernelError} as `fdatasync(2)`, after which earlier writes may be lost.
   */
  async sync(options?: WaitOptions): Promise<void> {
    const { descriptor } = this.#target
    const steps = new Deadline(descriptor.executor, 'sync a file', options)
    await this.flush(steps.next())
    await this.#syncNow((operation) => operation.start(steps.next()))
  }

  /**
   * Goes on at another position, once all that was taken is in the file. Writes and other moves must wait for it.
   *
   * @throws as {@link flush}; `ERR_STILL_HELD` if something was written meanwhile; `ERR_UNSUPPORTED` of what
   * appends, or has no positions.
   */
  async seek(positionBytes: number, options?: WaitOptions): Promise<void> {
    const action = 'seek in a stream'
    validateInteger(action, 'positionBytes', positionBytes, { min: 0, max: POSITION_BYTES_MAX })
    assertPlaces(action, this.#target)
    const before = this.positionBytes
    const steps = new Deadline(this.#target.descriptor.executor, action, options)
    await this.flush(steps.next())
    await this.#engine.rest(steps.next())
    if (this.positionBytes !== before || !this.#engine.isAtRest) {
      throw new RuntimeError(
        'ERR_STILL_HELD',
        `Cannot ${action} as nothing must be written meanwhile: something was`,
      )
    }
    this.#engine.moveTo(positionBytes)
  }

  /**
   * Writes what was taken, and ends the writer: nothing more is taken. Again waits for the same end. The file stays open.
   *
   * Cancelling ends the wait alone.
   *
   * @throws as {@link flush}, and as {@link sync} with the option `syncAtEnd`.
   */
  end(options?: WaitOptions): Promise<void> {
    if (options === undefined) {
      this.#ending ??= this.#end()
      return this.#ending
    }
    try {
      // First: a call that is refused ends nothing.
      validateWaitOptions(ACTION, options)
    } catch (error) {
      return refuse(error)
    }
    this.#ending ??= this.#end()
    return this.#waitForEnd(this.#ending, options)
  }

  /** The same as {@link end}. */
  close(): Promise<void> {
    return this.end()
  }

  /**
   * Gives up what is not in the file yet, and ends the writer; writes in flight are cancelled, and awaited. Who waits gets
   * `reason`. What is in the file stays, in whole blocks or not.
   */
  abort(reason?: unknown): Promise<void> {
    this.#giveUp(reason ?? this.#closedError('write a file'))
    return this.#aborting ?? Promise.resolve()
  }

  /** Ends it; a failure that was reported is not again. */
  async [Symbol.asyncDispose](): Promise<void> {
    const wasReported = this.#engine.isReported
    await this.end().catch((error) => {
      if (!wasReported) throw error
    })
  }

  #assertOpen(action: string): void {
    this.#engine.assertWhole()
    if (this.#ending !== null) throw this.#closedError(action)
    this.#target.descriptor.assertOpen(action)
  }

  #closedError(action: string): RuntimeError {
    return streamClosed(action, this.#target.descriptor.path, 'writer')
  }

  async #end(): Promise<void> {
    const { descriptor } = this.#target
    descriptor.enter()
    try {
      await this.#writeAll()
    } catch (error) {
      this.#engine.fail(error)
      throw error
    } finally {
      await this.#engine.drain()
      this.#leave()
      descriptor.leave()
    }
  }

  async #writeAll(): Promise<void> {
    const { executor } = this.#target.descriptor
    this.#engine.assertWhole()
    if (executor.isClosed) throw executor.waits.closedError(ACTION)
    await this.#engine.flushShielded()
    if (this.#syncsAtEnd) await this.#syncNow((operation) => operation.startShielded())
  }

  async #syncNow(start: (operation: Sync) => Promise<void>): Promise<void> {
    const engine = this.#engine
    const { writtenCount } = engine
    if (writtenCount === this.#syncedCount) return
    try {
      await start(new Sync(this.#target.descriptor, true))
    } catch (error) {
      if (error instanceof KernelError) engine.fail(error)
      engine.assertWhole()
      throw error
    }
    this.#syncedCount = Math.max(this.#syncedCount, writtenCount)
  }

  #waitForEnd(ending: Promise<void>, options: WaitOptions): Promise<void> {
    try {
      const waiter = new Waiter<void>(this.#target.descriptor.executor)
      waiter.bind(this.#target.descriptor.executor, options, ACTION, () => {})
      ending.then(
        () => waiter.fulfil(),
        (error) => waiter.fail(error),
      )
      return waiter.promise
    } catch (error) {
      ending.catch(() => {})
      return refuse(error)
    }
  }

  #giveUp(reason: unknown): void {
    // What is ended is, and an end that is under way is given up.
    if (this.#aborting !== null) return
    this.#engine.fail(reason)
    this.#engine.stop()
    this.#aborting = this.#engine.drain().then(() => this.#leave())
    this.#ending ??= this.#aborting
  }

  async #endWithFile(): Promise<void> {
    const wasEnding = this.#ending !== null
    const wasReported = this.#engine.isReported
    await this.end().catch((error) => {
      // Whoever has ended it is told.
      if (!wasEnding && !wasReported) throw error
    })
  }

  /** Nothing of it is under way any more. */
  #leave(): void {
    this.#engine.release()
    this.#target.descriptor.streams.remove(this.#attached)
    if (this.#signal !== undefined) abortHub(this.#signal).remove(this.#signalTarget)
  }
}

/**
 * Opens a writer on a file.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind; the signal's reason if it is aborted already.
 * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_UNSUPPORTED` for a start in what appends, or has no positions.
 */
export function openWriter(target: StreamTarget, options: FileWriterOptions = {}): FileWriter {
  const plan = checkWriter(target, options)
  target.descriptor.assertOpen(ACTION)
  options.signal?.throwIfAborted()
  return new FileWriter(target, plan, options)
}

function checkWriter(target: StreamTarget, options: FileWriterOptions): WritePlan {
  validateOptions(ACTION, options, NAMES)
  const { startBytes = 0, signal, syncAtEnd = false } = options
  const { isDirect, alignmentBytes } = target.descriptor
  const blockBytesDefault = isDirect ? DIRECT_BLOCK_BYTES_DEFAULT : BLOCK_BYTES_DEFAULT
  const { blockBytes = blockBytesDefault, writeBehind = WRITE_BEHIND_DEFAULT } = options
  validateInteger(ACTION, 'startBytes', startBytes, { min: 0, max: POSITION_BYTES_MAX })
  validateInteger(ACTION, 'blockBytes', blockBytes, { min: 1, max: GIB })
  validateInteger(ACTION, 'writeBehind', writeBehind, { min: 1, max: WRITE_BEHIND_MAX })
  validateBoolean(ACTION, 'syncAtEnd', syncAtEnd)
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(ACTION, 'signal', 'an AbortSignal', signal)
  }
  if (startBytes > 0) assertPlaces(ACTION, target)
  return { startBytes, blockBytes: alignUp(blockBytes, alignmentBytes), writeBehind }
}

function assertPlaces(action: string, { isSeekable, isAppending, descriptor }: StreamTarget): void {
  if (isSeekable && !isAppending) return
  const reason = isAppending ? 'appends' : 'has no positions'
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${action} to a position as the file must have some to choose: '${descriptor.path}' ${reason}`,
  )
}
