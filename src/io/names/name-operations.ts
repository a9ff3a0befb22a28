import type { KernelErrorContext } from '../../base/index.ts'
import { AwaitedOperation, type Executor, type WaitOptions } from '../../executor/index.ts'
import { AT_FDCWD, AT_REMOVEDIR } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import {
  encodeLink,
  encodeMakeDirectory,
  encodeOpen,
  encodeRename,
  encodeSymbolicLink,
  encodeUnlink,
  type NameRef,
  type Ring,
} from '../../ring/index.ts'
import { COUNTER_FILE_OPERATIONS } from '../../stats/index.ts'
import type { Descriptor } from '../requests/descriptor.ts'
import { leasePath } from '../values/path.ts'
import type { Name } from './name.ts'

const NO_NAME: NameRef = { directoryFd: AT_FDCWD, pathAddress: 0 }

/** An operation on names; they are in I/O memory until it has ended. */
export abstract class NameOperation<T> extends AwaitedOperation<T> {
  readonly subject: Name
  readonly #leases: Lease[] = []
  /** Open directories that names begin at: they stay so until it has ended. */
  readonly #bases: Descriptor[] = []

  constructor(executor: Executor, subject: Name) {
    super(executor)
    this.subject = subject
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

  /** Puts a name where the kernel reads it. */
  protected name({ base, path }: Name): NameRef {
    const pathAddress = this.text(path)
    if (base === null) return { directoryFd: AT_FDCWD, pathAddress }
    base.enter()
    this.#bases.push(base)
    return { directoryFd: base.fd, pathAddress }
  }

  /** Puts a text there: its address. */
  protected text(text: string | Uint8Array): number {
    return this.hold(leasePath(this.executor, text)).address
  }

  /** Keeps memory until the operation has ended. */
  protected hold(lease: Lease): Lease {
    this.#leases.push(lease)
    return lease
  }

  protected override describe(): KernelErrorContext {
    return { syscall: this.syscall, path: this.subject.fullPath }
  }

  // Last, since the answer may be in there.
  override run(): void {
    super.run()
    this.#release()
  }

  #release(): void {
    for (const lease of this.#leases) lease.release()
    for (const base of this.#bases) base.leave()
  }
}

/** An operation that changes names: one that was cancelled too late has done so, and says so. */
abstract class NameChange extends NameOperation<void> {
  protected override isIrrevocable(result: number): boolean {
    return result >= 0
  }

  protected override interpret(): void {}
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
  readonly action: string
  readonly #request: OpenFlags
  #name: NameRef = NO_NAME

  constructor(executor: Executor, subject: Name, request: OpenFlags, action = 'open a file') {
    super(executor, subject)
    this.#request = request
    this.action = action
  }

  get syscall(): string {
    return 'open'
  }

  protected override lease(): void {
    this.#name = this.name(this.subject)
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

/** `unlinkat(2)`, or `rmdir(2)`. */
export class Unlink extends NameChange {
  readonly #isDirectory: boolean
  #name: NameRef = NO_NAME

  constructor(executor: Executor, subject: Name, isDirectory = false) {
    super(executor, subject)
    this.#isDirectory = isDirectory
  }

  get action(): string {
    return this.#isDirectory ? 'remove a directory' : 'remove a file'
  }

  get syscall(): string {
    return this.#isDirectory ? 'rmdir' : 'unlink'
  }

  protected override lease(): void {
    this.#name = this.name(this.subject)
  }

  protected override encode(ring: Ring, base: number): void {
    const flags = this.#isDirectory ? AT_REMOVEDIR : 0
    encodeUnlink(ring.sqes, base, { name: this.#name, flags })
  }
}

/** A system call that takes two names. */
interface TwoNamesCall {
  readonly action: string
  readonly syscall: string
  readonly encode: typeof encodeRename
}

/** `renameat2(2)` */
export const RENAME: TwoNamesCall = {
  action: 'rename a file',
  syscall: 'rename',
  encode: encodeRename,
}

/** `linkat(2)` */
export const LINK: TwoNamesCall = { action: 'link a file', syscall: 'link', encode: encodeLink }

/** An operation on a name and another. */
export class TwoNames extends NameChange {
  readonly #call: TwoNamesCall
  readonly #flags: number
  readonly #other: Name
  #from: NameRef = NO_NAME
  #to: NameRef = NO_NAME

  constructor(call: TwoNamesCall, executor: Executor, from: Name, to: Name, flags = 0) {
    super(executor, from)
    this.#call = call
    this.#other = to
    this.#flags = flags
  }

  get action(): string {
    return this.#call.action
  }

  get syscall(): string {
    return this.#call.syscall
  }

  protected override lease(): void {
    this.#from = this.name(this.subject)
    this.#to = this.name(this.#other)
  }

  protected override encode(ring: Ring, base: number): void {
    const args = { from: this.#from, to: this.#to, flags: this.#flags }
    this.#call.encode(ring.sqes, base, args)
  }

  protected override describe(): KernelErrorContext {
    return { ...super.describe(), dest: this.#other.fullPath }
  }
}

/** `symlinkat(2)` */
export class SymbolicLink extends NameChange {
  readonly #target: string
  #targetAddress = 0
  #name: NameRef = NO_NAME

  constructor(executor: Executor, target: string, subject: Name) {
    super(executor, subject)
    this.#target = target
  }

  get action(): string {
    return 'make a symbolic link'
  }

  get syscall(): string {
    return 'symlink'
  }

  protected override lease(): void {
    this.#targetAddress = this.text(this.#target)
    this.#name = this.name(this.subject)
  }

  protected override encode(ring: Ring, base: number): void {
    const args = { targetAddress: this.#targetAddress, name: this.#name }
    encodeSymbolicLink(ring.sqes, base, args)
  }

  protected override describe(): KernelErrorContext {
    return { syscall: this.syscall, path: this.#target, dest: this.subject.fullPath }
  }
}

/** `mkdirat(2)` */
export class MakeDirectory extends NameChange {
  readonly #mode: number
  #name: NameRef = NO_NAME

  constructor(executor: Executor, subject: Name, mode: number) {
    super(executor, subject)
    this.#mode = mode
  }

  get action(): string {
    return 'make a directory'
  }

  get syscall(): string {
    return 'mkdir'
  }

  protected override lease(): void {
    this.#name = this.name(this.subject)
  }

  protected override encode(ring: Ring, base: number): void {
    encodeMakeDirectory(ring.sqes, base, { name: this.#name, mode: this.#mode })
  }
}
