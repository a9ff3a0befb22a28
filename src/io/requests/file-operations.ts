import {
  AT_EMPTY_PATH,
  ECANCELED,
  EINTR,
  STATX_BASIC_STATS,
  STATX_BTIME,
  STATX_BYTES,
  STATX_DIOALIGN,
} from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import {
  type AllocateArgs,
  encodeAllocate,
  encodeFsync,
  encodeStatx,
  encodeTruncate,
  type Ring,
} from '../../ring/index.ts'
import type { Descriptor } from './descriptor.ts'
import { FileOperation } from './file-operation.ts'

/** `fsync(2)`, or `fdatasync(2)`. */
export class Sync extends FileOperation<void> {
  readonly #dataOnly: boolean

  constructor(descriptor: Descriptor, dataOnly: boolean) {
    super(descriptor)
    this.#dataOnly = dataOnly
  }

  get action(): string {
    return 'sync a file'
  }

  get syscall(): string {
    return this.#dataOnly ? 'fdatasync' : 'fsync'
  }

  // The kernel tells once that it could not write: nobody would hear of it from a later sync.
  protected override isIrrevocable(result: number): boolean {
    return result < 0 && result !== -ECANCELED && result !== -EINTR
  }

  protected override encode(ring: Ring, base: number): void {
    const file = this.descriptor.targetOn(ring)
    encodeFsync(ring.sqes, base, { file, dataOnly: this.#dataOnly })
  }

  protected override interpret(): void {}
}

/** `fallocate(2)` */
export class Allocate extends FileOperation<void> {
  readonly #args: Omit<AllocateArgs, 'file'>

  constructor(descriptor: Descriptor, args: Omit<AllocateArgs, 'file'>) {
    super(descriptor)
    this.#args = args
  }

  get action(): string {
    return 'allocate space in a file'
  }

  get syscall(): string {
    return 'fallocate'
  }

  protected override encode(ring: Ring, base: number): void {
    encodeAllocate(ring.sqes, base, { file: this.descriptor.targetOn(ring), ...this.#args })
  }

  protected override interpret(): void {}
}

/** `ftruncate(2)`. Linux 6.9; EINVAL before. */
export class Truncate extends FileOperation<void> {
  readonly #sizeBytes: number

  constructor(descriptor: Descriptor, sizeBytes: number) {
    super(descriptor)
    this.#sizeBytes = sizeBytes
  }

  get action(): string {
    return 'truncate a file'
  }

  get syscall(): string {
    return 'ftruncate'
  }

  protected override encode(ring: Ring, base: number): void {
    const file = this.descriptor.targetOn(ring)
    encodeTruncate(ring.sqes, base, { file, sizeBytes: this.#sizeBytes })
  }

  protected override interpret(): void {}
}

const MASK = STATX_BASIC_STATS | STATX_BTIME | STATX_DIOALIGN

/** `statx(2)` of the open file; the value is what `decode` makes of the answer. */
export class Statx<T> extends FileOperation<T> {
  readonly #decode: (words: Uint32Array) => T
  #buffer: Lease | null = null

  constructor(descriptor: Descriptor, decode: (words: Uint32Array) => T) {
    super(descriptor)
    this.#decode = decode
  }

  get action(): string {
    return 'ask about a file'
  }

  get syscall(): string {
    return 'statx'
  }

  protected override prepare(): void {
    this.#buffer = this.executor.memory.allocateOwn(STATX_BYTES + 1)
    // The empty path behind the answer stands for the descriptor itself.
    this.#buffer.bytes[STATX_BYTES] = 0
  }

  protected override unprepare(): void {
    this.#buffer!.release()
  }

  protected override encode(ring: Ring, base: number): void {
    const { address } = this.#buffer!
    encodeStatx(ring.sqes, base, {
      directoryFd: this.descriptor.fd,
      pathAddress: address + STATX_BYTES,
      flags: AT_EMPTY_PATH,
      mask: MASK,
      resultAddress: address,
    })
  }

  protected override interpret(): T {
    const { bytes } = this.#buffer!
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, STATX_BYTES / 4)
    return this.#decode(words)
  }

  override run(): void {
    super.run()
    this.#buffer!.release()
  }
}
