import { basename, dirname, join } from 'node:path/posix'
import {
  GIB,
  optionNames,
  RuntimeError,
  showAs,
  validateBoolean,
  validateInteger,
  validateOptions,
} from '../base/index.ts'
import { executor, random, refusalOf, refuse, type WaitOptions } from '../executor/index.ts'
import { EEXIST, kernelError } from '../kernel/index.ts'
import type { Lease } from '../memory/index.ts'
import type { ByteSink } from '../streams/index.ts'
import type { ByteRange } from './bulk/merge-ranges.ts'
import type { ReadMany } from './bulk/read-many.ts'
import { RANGE_BYTES_MAX, type ReadManyOptions } from './bulk/read-many-options.ts'
import { SharedReads } from './bulk/shared-reads.ts'
import { DirectFile } from './direct-file.ts'
import { Directory } from './names/directory.ts'
import { link, remove, stat } from './names/name-functions.ts'
import type { TransferStats } from './requests/descriptor.ts'
import type { FileReader, FileReaderOptions } from './streams/file-reader.ts'
import type { FileWriter } from './streams/file-writer.ts'
import { type FilePath, toAbsolute, toPath } from './values/path.ts'
import { type FileIdentity, isSameIdentity } from './values/status.ts'

/** How an {@link ImmutableFile} is opened. */
export interface ImmutableOpenOptions {
  /** `'buffered'` opens a file whose file system refuses O_DIRECT through the page cache instead. */
  readonly fallback?: 'buffered' | undefined
}

/** How an {@link ImmutableFile} is built. */
export interface ImmutableBuildOptions extends ImmutableOpenOptions {
  /** How much is gathered and written at a time; 128 KiB if not given. */
  readonly blockBytes?: number | undefined
  /** How many blocks are written at the same time; 10 if not given. */
  readonly writeBehind?: number | undefined
  /** Space to reserve at first; none if not given. Where the file system can't, it is ignored. */
  readonly reservedBytes?: number | undefined
  /** Whether sealing makes the file survive a loss of power; true if not given. */
  readonly syncAtSeal?: boolean | undefined
}

const BUILD_NAMES = optionNames<ImmutableBuildOptions>({
  fallback: true,
  blockBytes: true,
  writeBehind: true,
  reservedBytes: true,
  syncAtSeal: true,
})
const WRITE_BEHIND_DEFAULT = 10
/** Of the name, in that of the file that is not sealed yet: names have 255 bytes at most. */
const NAME_CHARACTERS_MAX = 60
const BUILD = 'build an immutable file'

/**
 * A file that is written once, then only read: sorted tables, segments, snapshots.
 *
 * It is built by a sink, under a name of its own, and has its name from {@link ImmutableFileSink.seal} on: nobody sees a part of it, not even
 * after a crash. Since it does not change, reads of the same blocks at the same time are one: each gets a slice of the same memory.
 * Belongs to the executor that opened it. Linux 5.19.
 *
 * Source: glommio's `ImmutableFile`.
 *
 * @example Build a file, seal it and read it
 * ```ts run
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { ImmutableFile } from 'percore/io'
 *
 * const path = join(tmpdir(), `percore-immutable-${process.pid}`)
 * await using sink = await ImmutableFile.build(path, { fallback: 'buffered' })
 * for (let index = 0; index < 1000; index++) await sink.write(Buffer.from(`${index},`))
 * await using file = await sink.seal()
 * const [first, second] = await Promise.all([file.read(0, 4), file.read(0, 4)]) // one read
 * console.log(Buffer.from(first.bytes).toString(), file.joinedCount) // 0,1, 1
 * first.release()
 * second.release()
 * await file.remove()
 * ```
 */
export class ImmutableFile implements AsyncDisposable {
  static {
    showAs(ImmutableFile, ({ path, sizeBytes }) => `ImmutableFile '${path}' ${sizeBytes} bytes`)
  }

  /** How long it is, for good. */
  readonly sizeBytes: number
  readonly #file: DirectFile
  readonly #reads: SharedReads

  private constructor(file: DirectFile, sizeBytes: number) {
    this.#file = file
    this.#reads = new SharedReads(file)
    this.sizeBytes = sizeBytes
  }

  /**
   * Begins a file of that name, which is there once it is sealed.
   *
   * @throws {KernelError} `EEXIST` if there is one; else as `open(2)`.
   * @throws {RuntimeError} `ERR_UNSUPPORTED` where the file system refuses direct I/O, unless `fallback` is given.
   */
  static async build(
    path: FilePath,
    options: ImmutableBuildOptions = {},
  ): Promise<ImmutableFileSink> {
    const checkedPath = toPath(BUILD, 'path', path)
    validateOptions(BUILD, options, BUILD_NAMES)
    const { fallback, reservedBytes = 0, syncAtSeal = true } = options
    const bounds = { min: 0, max: Number.MAX_SAFE_INTEGER }
    validateInteger(BUILD, 'reservedBytes', reservedBytes, bounds)
    validateBoolean(BUILD, 'syncAtSeal', syncAtSeal)
    const { writeBehind = WRITE_BEHIND_DEFAULT, blockBytes } = options
    const refusal = refusalOf(BUILD)
    if (refusal !== null) return refusal
    const target = toAbsolute(executor(), checkedPath)
    if (await isThere(target)) throw kernelError(-EEXIST, { syscall: 'open', path: target })
    const letters = Math.floor(random() * 2 ** 48).toString(36)
    const name = `.${basename(target).slice(0, NAME_CHARACTERS_MAX)}.${letters}.unsealed`
    const openOptions = { read: true, write: true, createNew: true, fallback }
    const file = await DirectFile.open(join(dirname(target), name), openOptions)
    try {
      if (reservedBytes > 0) await file.allocate(reservedBytes, { keepSize: true }).catch(ignore)
      const writer = file.writer({ writeBehind, blockBytes })
      return new ImmutableFileSink(file, writer, { path: target, syncAtSeal, fallback })
    } catch (error) {
      await discardUnsealed(file)
      throw error
    }
  }

  /**
   * Opens a file that nobody changes any more.
   *
   * @throws {KernelError} as `open(2)`: `ENOENT` also of one that has not been sealed.
   */
  static async open(path: FilePath, options: ImmutableOpenOptions = {}): Promise<ImmutableFile> {
    const file = await DirectFile.open(path, options)
    try {
      return new ImmutableFile(file, await file.size())
    } catch (error) {
      await file.close().catch(ignore)
      throw error
    }
  }

  get path(): string {
    return this.#file.path
  }

  /** Which file it is, whatever its names. */
  get identity(): FileIdentity {
    return this.#file.identity
  }

  get isClosed(): boolean {
    return this.#file.isClosed
  }

  /** How many reads were answered by another one that was in flight. */
  get joinedCount(): number {
    return this.#reads.joinedCount
  }

  /** Transfers since it was opened. */
  stats(): TransferStats {
    return this.#file.stats()
  }

  /**
   * Reads any stretch; the lease shows exactly its bytes, fewer where the file ends. Others may have the same memory, so it must not be changed.
   *
   * A read that gives a signal or a time limit is its own; others may join it.
   *
   * @throws as {@link DirectFile.read}.
   */
  read(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<Lease> {
    try {
      const action = 'read a file'
      const bounds = { min: 0, max: RANGE_BYTES_MAX }
      validateInteger(action, 'lengthBytes', lengthBytes, bounds)
      const max = Number.MAX_SAFE_INTEGER - GIB
      validateInteger(action, 'offsetBytes', offsetBytes, { min: 0, max })
      return this.#reads.read(offsetBytes, lengthBytes, options)
    } catch (error) {
      return refuse(error)
    }
  }

  /** As {@link DirectFile.readMany}. */
  readMany<R extends ByteRange>(
    ranges: Iterable<R> | AsyncIterable<R>,
    options: ReadManyOptions = {},
  ): ReadMany<R> {
    return this.#file.readMany(ranges, options)
  }

  /** As {@link BaseFile.stream}. */
  stream(options?: FileReaderOptions): FileReader {
    return this.#file.stream(options)
  }

  /** Removes its name, as {@link BaseFile.remove} does. */
  remove(options?: WaitOptions): Promise<void> {
    return this.#file.remove(options)
  }

  /** Closes it once the reads under way have ended. */
  close(): Promise<void> {
    return this.#file.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** What a sink was made for. */
interface SealPlan {
  readonly path: string
  readonly syncAtSeal: boolean
  readonly fallback: 'buffered' | undefined
}

/**
 * Takes what an {@link ImmutableFile} is to hold, in order; then {@link seal} it, or dispose it, which removes what was written.
 *
 * A process that is killed before leaves a file whose name begins with a dot and ends with `.unsealed`.
 */
export class ImmutableFileSink implements ByteSink, AsyncDisposable {
  static {
    showAs(ImmutableFileSink, ({ path }) => `ImmutableFileSink '${path}'`)
  }

  /** The name that the file gets when it is sealed. */
  readonly path: string
  readonly #file: DirectFile
  readonly #writer: FileWriter
  readonly #plan: SealPlan
  #sealing: Promise<ImmutableFile> | null = null
  #abandoning: Promise<void> | null = null
  /** Whether all that was taken is in the file. */
  #isEnded = false

  /** @internal */
  constructor(file: DirectFile, writer: FileWriter, plan: SealPlan) {
    this.path = plan.path
    this.#file = file
    this.#writer = writer
    this.#plan = plan
  }

  /** Where the next byte goes. */
  get positionBytes(): number {
    return this.#writer.positionBytes
  }

  /** Up to where all that was written is in the file, without a gap. */
  get flushedBytes(): number {
    return this.#writer.flushedBytes
  }

  /** As {@link FileWriter.write}. */
  write(data: Uint8Array, options?: WaitOptions): Promise<void> {
    return this.#writer.write(data, options)
  }

  /** As {@link FileWriter.push}. */
  push(data: Uint8Array | Lease, options?: WaitOptions): Promise<void> {
    return this.#writer.push(data, options)
  }

  /** As {@link FileWriter.end}: nothing more is taken. The file is not there before it is sealed. */
  async end(options?: WaitOptions): Promise<void> {
    await this.#writer.end(options)
    this.#isEnded = true
  }

  /** As {@link abandon}, so that what is not whole is never sealed. Once it has ended it is nothing: all of it is there. */
  abort(): Promise<void> {
    return this.#isEnded ? Promise.resolve() : this.abandon()
  }

  /**
   * Ends the writing, makes it survive a loss of power, and gives the file its name; again is the same file.
   *
   * If it fails before the file has its name, all that was written is removed. Once it has its name it stays, whole, though making
   * that survive, or opening it, may still fail.
   *
   * @throws {KernelError} `EEXIST` if the name was taken meanwhile; `EIO`, `ENOSPC` … of what was written.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once it was abandoned.
   */
  seal(): Promise<ImmutableFile> {
    if (this.#abandoning !== null) {
      const message = 'Cannot seal a file as its sink must not be abandoned: it was'
      return refuse(new RuntimeError('ERR_HANDLE_CLOSED', message))
    }
    this.#sealing ??= this.#seal()
    return this.#sealing
  }

  /** Removes what was written, unless it was sealed; again is nothing. */
  abandon(): Promise<void> {
    if (this.#sealing !== null) {
      // Its failure is told to whoever sealed.
      return this.#sealing.then(ignore, ignore)
    }
    this.#abandoning ??= this.#abandon()
    return this.#abandoning
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.abandon()
  }

  async #seal(): Promise<ImmutableFile> {
    const { path, syncAtSeal, fallback } = this.#plan
    const file = this.#file
    try {
      await this.#writer.end()
      if (syncAtSeal) await file.sync()
      await file.close()
      // Unlike renaming it never replaces a file, on any file system.
      await link(file.path, path)
    } catch (error) {
      await this.#abandon()
      throw error
    }
    const { identity } = file
    await discardUnsealed(file)
    if (syncAtSeal) {
      await using directory = await Directory.open(dirname(path))
      await directory.sync()
    }
    const sealed = await ImmutableFile.open(path, { fallback })
    if (isSameIdentity(sealed.identity, identity)) return sealed
    await sealed.close()
    throw new RuntimeError(
      'ERR_NAME_TAKEN',
      `Cannot open the file that was sealed as ${path} must be its name: it is another file's by now`,
    )
  }

  async #abandon(): Promise<void> {
    await this.#writer.abort().catch(ignore)
    await discardUnsealed(this.#file)
  }
}

/** Closes a file under the name that it was built by, and removes that. */
async function discardUnsealed(file: DirectFile): Promise<void> {
  const { path } = file
  await file.close().catch(ignore)
  await remove(path).catch(ignore)
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

function ignore(): void {}
