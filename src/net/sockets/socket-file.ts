/** The file that a Unix socket is found by. */
import type { KernelErrorContext } from '../../base/index.ts'
import { AwaitedOperation, type Executor, type WaitOptions } from '../../executor/index.ts'
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  ENOENT,
  STATX_BYTES,
  STATX_INO,
  STATX_TYPE,
} from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { encodeStatx, encodeUnlink, type NameRef, type Ring } from '../../ring/index.ts'

// ABI: struct statx, in words of 32 bits; the mode's type.
const STX_MODE = 7
const STX_INO = 8
const STX_DEV_MAJOR = 34
const STX_DEV_MINOR = 35
const S_IFMT = 0o170000
const S_IFSOCK = 0o140000

/** Which socket a path leads to, as text; of another kind of file null. */
export type SocketIdentity = string | null

/**
 * Looks what is at a path.
 *
 * @throws {KernelError} such as `ENOENT`.
 */
export function identifySocket(
  executor: Executor,
  path: string,
  options: WaitOptions | undefined,
): Promise<SocketIdentity> {
  return new IdentifyOperation(executor, path, false).start(options)
}

/** The same of a name that was just made; nothing cancels it, or nobody could remove the name. */
export function identifyOwnSocket(executor: Executor, path: string): Promise<SocketIdentity> {
  return new IdentifyOperation(executor, path, true).start(undefined)
}

/**
 * Removes the name of a socket, if it still is the name of that one; another program may come in between. Nothing cancels it: it is
 * a part of closing.
 *
 * @throws {KernelError} as `unlink(2)`; nothing if there is no such name any more.
 */
export async function removeSocketFile(
  executor: Executor,
  path: string,
  identity: string,
): Promise<void> {
  try {
    const found = await identifyOwnSocket(executor, path)
    if (found === identity) await new RemoveOperation(executor, path, true).start(undefined)
  } catch (error) {
    if ((error as { errno?: number }).errno !== -ENOENT) throw error
  }
}

/** An operation on a path. */
abstract class PathOperation<T> extends AwaitedOperation<T> {
  readonly #path: string
  readonly #isShielded: boolean
  #lease: Lease | null = null

  constructor(executor: Executor, path: string, isShielded: boolean) {
    super(executor)
    this.#path = path
    this.#isShielded = isShielded
  }

  protected abstract readonly syscall: string
  protected abstract encode(ring: Ring, base: number, name: NameRef): void

  start(options: WaitOptions | undefined): Promise<T> {
    const { memory, io } = this.executor
    const ring = io.ringFor(this.executor.currentQueue())
    try {
      if (this.#isShielded) this.shield()
      else this.bind(options, 'look at a socket')
      const bytes = Buffer.from(`${this.#path}\0`)
      this.#lease = memory.allocateOwn(bytes.length)
      this.#lease.bytes.set(bytes)
      const name = { directoryFd: AT_FDCWD, pathAddress: this.#lease.address }
      this.encode(ring, ring.begin(), name)
    } catch (error) {
      this.unbind()
      this.finish()
      throw error
    }
    ring.commit(this)
    return this.promise
  }

  protected override describe(): KernelErrorContext {
    return { syscall: this.syscall, path: this.#path }
  }

  protected override finish(): void {
    this.#lease?.release()
    this.#lease = null
  }
}

class IdentifyOperation extends PathOperation<SocketIdentity> {
  protected readonly syscall = 'statx'
  #answer: Lease | null = null
  #identity: SocketIdentity = null

  protected override encode(ring: Ring, base: number, name: NameRef): void {
    this.#answer = this.executor.memory.allocateOwn(STATX_BYTES)
    const resultAddress = this.#answer.address
    const mask = STATX_TYPE | STATX_INO
    encodeStatx(ring.sqes, base, { ...name, flags: AT_SYMLINK_NOFOLLOW, mask, resultAddress })
  }

  override complete(result: number, flags: number): void {
    // Now, while the memory is its own.
    if (result >= 0) this.#identity = decodeIdentity(this.#answer!.bytes)
    super.complete(result, flags)
  }

  protected override interpret(): SocketIdentity {
    return this.#identity
  }

  protected override finish(): void {
    super.finish()
    this.#answer?.release()
    this.#answer = null
  }
}

function decodeIdentity(bytes: Uint8Array): SocketIdentity {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, STATX_BYTES / 4)
  if ((words[STX_MODE]! & S_IFMT) !== S_IFSOCK) return null
  const device = `${words[STX_DEV_MAJOR]}:${words[STX_DEV_MINOR]}`
  return `${device}:${words[STX_INO + 1]! * 2 ** 32 + words[STX_INO]!}`
}

class RemoveOperation extends PathOperation<void> {
  protected readonly syscall = 'unlink'

  protected override encode(ring: Ring, base: number, name: NameRef): void {
    encodeUnlink(ring.sqes, base, { name, flags: 0 })
  }

  protected override interpret(): void {}
}
