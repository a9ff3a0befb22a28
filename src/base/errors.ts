/** Every code that percore itself gives to an error; kernel errors carry the kernel's name instead. */
export type RuntimeErrorCode =
  | 'ERR_URING_UNAVAILABLE'
  | 'ERR_MEMLOCK_LIMIT'
  | 'ERR_ADDON_MISSING'
  | 'ERR_PACKAGE_MISSING'
  | 'ERR_EXECUTOR_CLOSED'
  | 'ERR_EXECUTOR_EXISTS'
  | 'ERR_QUEUE_NOT_FOUND'
  | 'ERR_QUEUE_ACTIVE'
  | 'ERR_TASK_CANCELLED'
  | 'ERR_TASK_TIMEOUT'
  | 'ERR_SCOPE_ENDED'
  | 'ERR_SCOPE_FAILED'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_BUFFER_RELEASED'
  | 'ERR_HANDLE_CLOSED'
  | 'ERR_NAME_TAKEN'
  | 'ERR_UNALIGNED'
  | 'ERR_UNSUPPORTED'
  | 'ERR_END_OF_FILE'
  | 'ERR_SEMAPHORE_CLOSED'
  | 'ERR_LOCK_CLOSED'
  | 'ERR_GATE_CLOSED'
  | 'ERR_CHANNEL_CLOSED'
  | 'ERR_CHANNEL_FULL'
  | 'ERR_PEER_ENDED'
  | 'ERR_VALUE_UNREADABLE'
  | 'ERR_LATCH_CANCELLED'
  | 'ERR_WOULD_BLOCK'
  | 'ERR_STILL_HELD'
  | 'ERR_TICKET_SPENT'
  | 'ERR_LISTENERS_DIFFER'
  | 'ERR_CPU_UNAVAILABLE'
  | 'ERR_TOO_FEW_CPUS'
  | 'ERR_TOPOLOGY_UNREADABLE'
  | 'ERR_PROPERTIES_INVALID'
  | 'ERR_POOL_START_FAILED'
  | 'ERR_SHARD_FAILED'
  | 'ERR_SHARD_STOPPED'
  | 'ERR_SERVICE_START_FAILED'
  | 'ERR_SERVICE_NOT_RUNNING'
  | 'ERR_THREAD_ENDED'
  | 'ERR_LIMIT_EXCEEDED'
  | 'ERR_SIMULATION_FAILED'
  | 'ERR_SIMULATION_STUCK'

/**
 * An expected failure of the runtime's own making, matched by {@link code}.
 *
 * The message says what was attempted, what is required, and what was found.
 */
export class RuntimeError extends Error {
  override readonly name: string = 'RuntimeError'
  readonly code: RuntimeErrorCode

  constructor(code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Names what the kernel refused: the call, and the file if there is one. */
export interface KernelErrorContext {
  /** The system call or operation as users know it: `read`, `openat`, `accept`. */
  readonly syscall: string
  readonly path?: string | undefined
  /** Of two paths the second. */
  readonly dest?: string | undefined
  readonly fd?: number | undefined
  /** An address a socket call was about: `127.0.0.1:80`. */
  readonly address?: string | undefined
}

/**
 * A failure that the kernel reported, in the shape of Node's own system errors.
 *
 * `code` is the kernel's name (`ENOENT`), `errno` the negative number, as in `node:fs`.
 */
export class KernelError extends Error {
  override readonly name: string = 'KernelError'
  readonly code: string
  readonly errno: number
  readonly syscall: string
  readonly path?: string
  /** Of two paths the second. */
  readonly dest?: string
  readonly fd?: number
  readonly address?: string

  /** @internal */
  constructor(
    description: { code: string; errno: number; text: string },
    context: KernelErrorContext,
  ) {
    const { path, dest } = context
    const subject = path ?? context.address
    const about = subject === undefined ? '' : ` '${subject}'`
    const target = dest === undefined ? '' : ` -> '${dest}'`
    super(`${description.code}: ${description.text}, ${context.syscall}${about}${target}`)
    this.code = description.code
    this.errno = description.errno
    this.syscall = context.syscall
    if (path !== undefined) this.path = path
    if (dest !== undefined) this.dest = dest
    if (context.fd !== undefined) this.fd = context.fd
    if (context.address !== undefined) this.address = context.address
  }
}

/** What operations on a connection fail with whose peer is gone. */
const PEER_GONE_CODES: readonly unknown[] = ['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT']

/** Whether a connection failed as its peer is gone: nobody's mistake. */
export function isPeerGone(error: unknown): boolean {
  return PEER_GONE_CODES.includes((error as { code?: unknown } | null | undefined)?.code)
}
