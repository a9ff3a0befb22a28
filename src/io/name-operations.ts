import type { KernelErrorContext } from '../base/index.ts'
import { AwaitedOperation, type Executor, type WaitOptions } from '../executor/index.ts'
import { AT_FDCWD } from '../kernel/index.ts'
import type { Lease } from '../memory/index.ts'
import { encodeOpen, encodeRename, encodeUnlink, type NameRef, type Ring } from '../ring/index.ts'
import { COUNTER_FILE_OPERATIONS } from '../stats/index.ts'
import { leasePath } from './path.ts'

const NO_NAME: NameRef = { directoryFd: AT_FDCWD, pathAddress: 0 }

/** An operation on names; they are in I/O memory until it has ended. */
export abstract class NameOperation<T> extends AwaitedOperation<T> {
  readonly path: string
  readonly #leases: Lease[] = []

  constructor(executor: Executor, path: string) {
    super(executor)
    this.path = path
  }

  /** What the kernel calls it, for errors of the kernel. */
  abstract get syscall(): string
  /** What the user calls it, for errors of ours. */
  abstract get action(): string
  /** Puts the names where the kernel reads them. */
  protected abstract lease(): void
  protected abstract encode(ring: Ring, base: number): void

  start(options: WaitOptions | undefined): Promise<T> {
    return this.#start(() => this.bind(options, this.action))
  }

  /** The same, but nothing cancels it: for what puts things right again. */
  startShielded(): Promise<T> {
    return this.#start(() => this.shield())
  }

  #start(bind: () => void): Promise<T> {
    const { main } = this.executor.io
    try {
      this.lease()
      bind()
      this.encode(main, main.begin())
    } catch (error) {
      this.unbind()
      this.#release()
      throw error
    }
    this.commit(main)
    this.executor.io.control.counters[COUNTER_FILE_OPERATIONS]!++
    return this.promise
  }

  protected commit(ring: Ring): void {
    ring.commit(this)
  }

  /** Puts a path where the kernel reads it. */
  protected name(path: string): NameRef {
    const lease = this.hold(leasePath(this.executor, path))
    return { directoryFd: AT_FDCWD, pathAddress: lease.address }
  }

  /** Keeps memory until the operation has ended. */
  protected hold(lease: Lease): Lease {
    this.#leases.push(lease)
    return lease
  }

  protected override describe(): KernelErrorContext {
    return { syscall: this.syscall, path: this.path }
  }

  // Last, since the answer may be in there.
  override run(): void {
    super.run()
    this.#release()
  }

  #release(): void {
    for (const lease of this.#leases) lease.release()
  }
}

/** What {@link Open} is asked for. */
export interface OpenFlags {
  readonly flags: number
  readonly mode: number
  /** Whether it may wait for somebody, as for the other end of a pipe. */
  readonly mayWait: boolean
  /** Whether {@link Open.lateFd} takes what a cancelled one still opens: it has made the file as well. */
  readonly keepsLate: boolean
}

/** `openat(2)`; the descriptor is tracked, hence closed with the environment if not before. */
export class Open extends NameOperation<number> {
  /** What was opened though it was cancelled, for the caller to undo; else -1. */
  lateFd = -1
  readonly #request: OpenFlags
  #name: NameRef = NO_NAME

  constructor(executor: Executor, path: string, request: OpenFlags) {
    super(executor, path)
    this.#request = request
  }

  get action(): string {
    return 'open a file'
  }

  get syscall(): string {
    return 'open'
  }

  protected override lease(): void {
    this.#name = this.name(this.path)
  }

  protected override encode(ring: Ring, base: number): void {
    const { directoryFd, pathAddress } = this.#name
    const { flags: openFlags, mode, mayWait } = this.#request
    encodeOpen(ring.sqes, base, { directoryFd, pathAddress, openFlags, mode, mayWait })
  }

  protected override commit(ring: Ring): void {
    ring.commitOpening(this)
  }

  protected override interpret(result: number): number {
    return result
  }

  protected override discard(result: number): void {
    if (this.#request.keepsLate) this.lateFd = result
    else this.executor.descriptors.closeFd(result)
  }
}

/** `unlinkat(2)` */
export class Unlink extends NameOperation<void> {
  #name: NameRef = NO_NAME

  get action(): string {
    return 'remove a file'
  }

  get syscall(): string {
    return 'unlink'
  }

  protected override lease(): void {
    this.#name = this.name(this.path)
  }

  protected override encode(ring: Ring, base: number): void {
    encodeUnlink(ring.sqes, base, { name: this.#name, flags: 0 })
  }

  protected override interpret(): void {}
}

/** `renameat(2)` */
export class Rename extends NameOperation<void> {
  readonly #newPath: string
  #from: NameRef = NO_NAME
  #to: NameRef = NO_NAME

  constructor(executor: Executor, path: string, newPath: string) {
    super(executor, path)
    this.#newPath = newPath
  }

  get action(): string {
    return 'rename a file'
  }

  get syscall(): string {
    return 'rename'
  }

  protected override lease(): void {
    this.#from = this.name(this.path)
    this.#to = this.name(this.#newPath)
  }

  protected override encode(ring: Ring, base: number): void {
    encodeRename(ring.sqes, base, { from: this.#from, to: this.#to, flags: 0 })
  }

  protected override interpret(): void {}
}
