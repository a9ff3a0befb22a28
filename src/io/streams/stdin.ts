import { KIB, RuntimeError, showAs } from '../../base/index.ts'
import {
  type Cancellable,
  Deadline,
  type Executor,
  executor,
  refusalOf,
  refuse,
  type WaitOptions,
} from '../../executor/index.ts'
import { EAGAIN, F_DUPFD_CLOEXEC, kernelError } from '../../kernel/index.ts'
import { type Lease, leaseHeap } from '../../memory/index.ts'
import type { ByteSource } from '../../streams/index.ts'
import { Readable } from '../names/pipe-end.ts'
import { Descriptor } from '../requests/descriptor.ts'
import { Transfer } from '../requests/transfer.ts'
import { NO_POSITION, READ_INTO } from '../requests/transfer-plan.ts'
import { takeNeededBlock } from './stream-target.ts'

const ACTION = 'read standard input'
const STDIN_FD = 0
/** Below it are those that programs take for granted. */
const FREE_FD_MIN = 3
/** What a pipe holds unless it was told otherwise. */
const PIECE_BYTES: number = 64 * KIB

/** Executors whose standard input is being read. */
const readers = new WeakSet<Executor>()

/**
 * Standard input as a source of bytes: a pipe, a file, or a terminal, which gives lines as they are entered. Made
 * by {@link stdin}.
 */
export class Stdin implements ByteSource, AsyncDisposable {
  static {
    showAs(Stdin, (source) => `Stdin ${source.#descriptor.isClosed ? 'closed' : 'open'}`)
  }

  readonly #descriptor: Descriptor
  /** What the pull that is pending waits for. */
  #pending: Cancellable | null = null
  #isPulling = false
  #isAtEnd = false
  #isClosed = false

  /** @internal */
  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor
  }

  /**
   * What there is, up to 64 KiB, or null at the end: of the file, of the pipe's writers, or by ^D at a terminal.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD` while another pull is pending; `ERR_HANDLE_CLOSED`; {@link KernelError} as `read(2)`.
   */
  async pull(options?: WaitOptions): Promise<Lease | null> {
    const descriptor = this.#descriptor
    const refusal = refusalOf(ACTION, descriptor)
    if (refusal !== null) return refusal
    if (this.#isPulling) return refuse(stillHeld('it is being pulled from'))
    if (this.#isAtEnd) return null
    this.#isPulling = true
    try {
      const lease = await this.#read(new Deadline(descriptor.executor, ACTION, options))
      this.#isAtEnd = lease === null
      return lease
    } finally {
      this.#isPulling = false
      this.#pending = null
    }
  }

  /** Leaves the rest to others, such as `process.stdin` and children; a pull that is pending is rejected. */
  async close(): Promise<void> {
    // Again is nothing: another may have taken its place.
    if (!this.#isClosed) readers.delete(this.#descriptor.executor)
    this.#isClosed = true
    this.#pending?.cancel(closedError())
    await this.#descriptor.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #read(steps: Deadline): Promise<Lease | null> {
    const descriptor = this.#descriptor
    while (true) {
      const { memory } = descriptor.executor
      const { lease: buffer, isReserved } = takeNeededBlock(memory, PIECE_BYTES, 1)
      try {
        const read = new Transfer(READ_INTO, descriptor, buffer, buffer, NO_POSITION)
        this.#pending = read
        const count = await read.start(steps.next(), ACTION)
        buffer.trim(count)
        if (count > 0) return isReserved ? copyOf(buffer) : buffer
        buffer.release()
        return null
      } catch (error) {
        buffer.release()
        if ((error as { errno?: number }).errno !== -EAGAIN) throw error
      }
      // It was made not to wait by somebody else who has it, such as process.stdin.
      const poll = new Readable(descriptor)
      this.#pending = poll
      await poll.start(steps.next(), ACTION)
    }
  }
}

/**
 * Standard input, for reading it as bytes, by lines ({@link ByteReader}), or into a pipe.
 *
 * Takes what there is and never reads ahead: what was not pulled is left for others, such as a child. A pull that waits keeps
 * the program alive; a source that nobody pulls from does not, nor does it disturb `process.stdin`. Whoever reads both gets
 * parts from each. On a worker it is that of the process. Where the program was started without one it is empty.
 *
 * One at a time for each thread; its close lets another be made. Linux 5.19.
 *
 * Source: glommio::io::stdin.
 *
 * @throws {RuntimeError} `ERR_STILL_HELD` while this thread has another that is not closed.
 * @throws {KernelError} `EBADF` if it was closed, and in simulation; `EMFILE`.
 *
 * @example Number the lines of standard input
 * ```ts
 * import { stdin } from 'percore/io'
 * import { ByteReader } from 'percore/streams'
 *
 * await using reader = new ByteReader(stdin())
 * let number = 0
 * for await (const line of reader.lines()) console.log(++number, line)
 * ```
 */
export function stdin(): Stdin {
  const home = executor()
  home.assertOpen(ACTION)
  if (readers.has(home)) throw stillHeld('this thread has a source of it')
  // Of its own, so that its close is not that of the program's.
  const fd = home.kernel.controlFd(STDIN_FD, F_DUPFD_CLOEXEC, FREE_FD_MIN)
  if (fd < 0) throw kernelError(fd, { syscall: 'fcntl', fd: STDIN_FD })
  home.descriptors.trackFd(fd, true)
  const source = new Stdin(new Descriptor(home, fd, 'standard input'))
  readers.add(home)
  return source
}

/** What may be handed out: the reserve is not for others to hold. */
function copyOf(buffer: Lease): Lease {
  const copy = leaseHeap(new Uint8Array(buffer.bytes))
  buffer.release()
  return copy
}

function stillHeld(found: string): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot ${ACTION} as there must be one reader at a time: ${found}`,
  )
}

function closedError(): RuntimeError {
  return new RuntimeError('ERR_HANDLE_CLOSED', `Cannot ${ACTION} as it must be open: it was closed`)
}
