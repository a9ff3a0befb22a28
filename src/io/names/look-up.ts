import { RuntimeError } from '../../base/index.ts'
import type { Deadline, Executor } from '../../executor/index.ts'
import { STATX_BYTES } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { encodeStatx, type NameRef, type Ring } from '../../ring/index.ts'
import type { Descriptor } from '../requests/descriptor.ts'
import {
  decodeIdentity,
  type FileIdentity,
  IDENTITY_MASK,
  isSameIdentity,
} from '../values/status.ts'
import { Name } from './name.ts'
import { NameOperation } from './name-operations.ts'

/** What {@link LookUp} is asked for. */
export interface LookUpRequest<T> {
  /** What this is the first step of, for errors. */
  readonly action: string
  readonly syscall: string
  /** `AT_SYMLINK_NOFOLLOW`, or 0 to follow a link that is the last part of the path. */
  readonly flags: number
  /** What to ask for; {@link IDENTITY_MASK} if not given. */
  readonly mask?: number
  /** What the answer is made of: a `struct statx`. */
  readonly decode: (words: Uint32Array) => T
}

/** `statx(2)` of a name: which file it is now, and of which type. */
export class LookUp<T> extends NameOperation<T> {
  readonly #request: LookUpRequest<T>
  #name: NameRef | null = null
  #answer: Lease | null = null

  constructor(executor: Executor, subject: Name, request: LookUpRequest<T>) {
    super(executor, subject)
    this.#request = request
  }

  get action(): string {
    return this.#request.action
  }

  get syscall(): string {
    return this.#request.syscall
  }

  protected override lease(): void {
    this.#name = this.name(this.subject)
    this.#answer = this.hold(this.executor.memory.allocateOwn(STATX_BYTES))
  }

  protected override encode(ring: Ring, base: number): void {
    const { flags, mask = IDENTITY_MASK } = this.#request
    const resultAddress = this.#answer!.address
    encodeStatx(ring.sqes, base, { ...this.#name!, flags, mask, resultAddress })
  }

  protected override interpret(): T {
    const { bytes } = this.#answer!
    return this.#request.decode(new Uint32Array(bytes.buffer, bytes.byteOffset, STATX_BYTES / 4))
  }
}

/** The next step of a wait, and what it is a step of. */
export interface NameStep {
  readonly action: string
  readonly syscall: string
  readonly steps: Deadline
}

/**
 * Makes sure that an open file still has its name, just before that is changed or removed. Another
 * program may still come in between.
 *
 * @throws {RuntimeError} `ERR_NAME_TAKEN` if the name is another file's by now; {@link KernelError} as
 * `statx(2)`, `ENOENT` above all.
 */
export async function checkName(
  { executor, path }: Descriptor,
  identity: FileIdentity,
  { action, syscall, steps }: NameStep,
): Promise<void> {
  const request = { action, syscall, flags: 0, decode: decodeIdentity }
  const named = await new LookUp(executor, Name.absolute(path), request).start(steps.next())
  if (isSameIdentity(named, identity)) return
  throw new RuntimeError(
    'ERR_NAME_TAKEN',
    `Cannot ${action} as its name must still be its own: '${path}' is another file by now`,
  )
}
