import { answerReady, type Executor, type WaitOptions } from '../../executor/index.ts'
import type { Descriptor } from '../requests/descriptor.ts'
import type { FileKind } from '../values/status.ts'
import { DirectoryReader, openDirectory, type RawEntry } from './directory-reader.ts'
import { Name } from './name.ts'

/** A name in a directory, and what it stands for. */
export interface DirectoryEntry {
  /** The name alone, without the directory's. Where it is not UTF-8, U+FFFD replaces what is not. */
  readonly name: string
  /** Of a symbolic link `'symbolicLink'`, wherever that leads. */
  readonly kind: FileKind
}

const DONE: IteratorResult<DirectoryEntry, undefined> = { done: true, value: undefined }

/**
 * The names in a directory, in no order, as {@link Directory.list} tells them.
 *
 * Some hundreds of them are in memory at a time. It has a descriptor of its own from the first
 * `next()` to the end, to `return()`, which leaving a loop calls, or to its disposal.
 */
export class DirectoryEntries
  implements AsyncIterableIterator<DirectoryEntry, undefined>, AsyncDisposable
{
  readonly #executor: Executor
  readonly #directory: Descriptor
  readonly #options: WaitOptions | undefined
  #descriptor: Descriptor | null = null
  #reader: DirectoryReader | null = null
  #hasEnded = false
  /** The last call that has to wait, if any is under way: those that follow come after it. */
  #last: Promise<unknown> | null = null

  /** @internal */
  constructor(directory: Descriptor, options: WaitOptions | undefined) {
    this.#executor = directory.executor
    this.#directory = directory
    this.#options = options
  }

  /** The next name. @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} as `getdents64(2)`. */
  next(): Promise<IteratorResult<DirectoryEntry, undefined>> {
    if (this.#last === null) {
      if (this.#hasEnded) return Promise.resolve(DONE)
      const entry = this.#reader?.take() ?? null
      if (entry !== null && entry.kind !== null) {
        const value = { name: entry.name, kind: entry.kind }
        return answerReady(this.#executor, { done: false, value })
      }
      if (entry !== null) return this.#inTurn(() => this.#resolve(entry))
    }
    return this.#inTurn(() => this.#advance())
  }

  /** Ends the listing, once what is under way has come to its end. */
  return(): Promise<IteratorResult<DirectoryEntry, undefined>> {
    return this.#inTurn(async () => {
      await this.#end()
      return DONE
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#last === null ? step() : this.#last.then(step, step)
    this.#last = turn
    const clear = (): void => {
      if (this.#last === turn) this.#last = null
    }
    turn.then(clear, clear)
    return turn
  }

  async #advance(): Promise<IteratorResult<DirectoryEntry, undefined>> {
    if (this.#hasEnded) return DONE
    try {
      this.#reader ??= await this.#open()
      for (;;) {
        const entry = this.#reader.take()
        if (entry !== null) return await this.#resolve(entry)
        if (await this.#reader.read(this.#options)) continue
        await this.#end()
        return DONE
      }
    } catch (error) {
      await this.#end()
      throw error
    }
  }

  async #resolve(entry: RawEntry): Promise<IteratorResult<DirectoryEntry, undefined>> {
    const { name } = entry
    const kind = entry.kind ?? (await this.#kindOf(entry))
    // Removed meanwhile.
    if (kind === null) return await this.#advance()
    return { done: false, value: { name, kind } }
  }

  async #kindOf(entry: RawEntry): Promise<FileKind | null> {
    try {
      return await this.#reader!.kindOf(entry, this.#options)
    } catch (error) {
      await this.#end()
      throw error
    }
  }

  async #open(): Promise<DirectoryReader> {
    const directory = this.#directory
    directory.assertOpen('list a directory')
    const self = Name.listed(directory, '.')
    this.#descriptor = await openDirectory(this.#executor, self, true, this.#options)
    return new DirectoryReader(this.#descriptor)
  }

  async #end(): Promise<void> {
    this.#hasEnded = true
    const descriptor = this.#descriptor
    this.#descriptor = null
    this.#reader = null
    await descriptor?.close()
  }
}
