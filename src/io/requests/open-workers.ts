import { assert, NO_QUEUE, NS_PER_MS } from '../../base/index.ts'
import type { Executor } from '../../executor/index.ts'
import { IORING_OP_NOP, IORING_REGISTER_IOWQ_MAX_WORKERS, IOSQE_ASYNC } from '../../kernel/index.ts'
import { Timer } from '../../reactor/index.ts'
import { encodeEntry } from '../../ring/index.ts'

/** What takes longer than that may wait for somebody rather than for a disk. */
const STUCK_NS: number = 10 * NS_PER_MS
/** An open that is known to wait, and counts as stuck from the beginning. */
const WAITING = -1

const workersOf = new WeakMap<Executor, OpenWorkers>()

/**
 * Runs an open, and sees to it that others go on should it wait for long, as one of a pipe may.
 *
 * O(1); a system call where it waits.
 *
 * @param mayWait Whether it is known to.
 */
export async function withWorker<T>(
  executor: Executor,
  mayWait: boolean,
  run: () => Promise<T>,
): Promise<T> {
  let workers = workersOf.get(executor)
  if (workers === undefined) {
    workers = new OpenWorkers(executor)
    workersOf.set(executor, workers)
  }
  const round = workers.begin(mayWait)
  try {
    return await run()
  } finally {
    workers.end(round)
  }
}

/**
 * The threads that the kernel opens files in, where it can't at once.
 *
 * There are few of them, four for each processor, and they do what else blocks as well: so many opens of
 * pipes that nobody opens at the other end would stop all others, and syncs. So the kernel gets one more
 * for each open that is under way for long. All are looked at together, once in a while. Linux 5.15;
 * before, they do stop others.
 */
class OpenWorkers extends Timer {
  readonly #executor: Executor
  /** What the kernel set its limit to; 0 where it has none to set. */
  readonly #initialLimit: number
  #limit: number
  #round = 0
  #count = 0
  /** How many of them began in this round. */
  #freshCount = 0

  constructor(executor: Executor) {
    super(NO_QUEUE, { keepsAlive: false })
    this.#executor = executor
    this.#initialLimit = setLimit(executor, 0)
    this.#limit = this.#initialLimit
  }

  /** Returns what {@link end} must be given. */
  begin(mayWait: boolean): number {
    this.#count++
    if (mayWait) {
      this.#adapt()
      return WAITING
    }
    this.#freshCount++
    if (this.#count * 2 >= this.#initialLimit) this.#watch()
    return this.#round
  }

  end(round: number): void {
    assert(this.#count > 0, 'each open ends once')
    this.#count--
    if (round === this.#round) this.#freshCount--
    if (this.#count === 0) this.#adapt()
  }

  override expire(): void {
    this.#adapt()
    this.#round++
    this.#freshCount = 0
    if (this.#count > 0) this.#watch()
  }

  override run(): void {}

  #watch(): void {
    const { timers, isClosed } = this.#executor
    if (this.#initialLimit === 0 || this.isArmed || isClosed) return
    timers.arm(this, timers.nowNs() + STUCK_NS)
  }

  #adapt(): void {
    if (this.#initialLimit === 0 || this.#executor.isClosed) return
    const limit = this.#initialLimit + this.#count - this.#freshCount
    if (limit === this.#limit) return
    const isRaised = limit > this.#limit
    this.#limit = limit
    setLimit(this.#executor, limit)
    if (isRaised) this.#wake()
  }

  /** The kernel makes a thread when something comes for one, not when it may have more of them. */
  #wake(): void {
    const { main } = this.#executor.io
    const base = main.tryBegin()
    if (base < 0) return
    encodeEntry(main.sqes, base, IORING_OP_NOP | (IOSQE_ASYNC << 8), -1, 0, 0, 0, 0)
    main.commitUnwatched()
  }
}

/** Returns the limit until now; 0 changes nothing. */
function setLimit({ io, kernel }: Executor, count: number): number {
  // ABI: the threads for what blocks for a bounded time, as the kernel thinks of files; all others.
  const limits = Uint32Array.of(count, 0)
  const { fd } = io.main.memory
  const result = kernel.register(fd, IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2)
  return result < 0 ? 0 : limits[0]!
}
