import { assert, isPowerOfTwo, KernelError, RuntimeError } from '../base/index.ts'
import {
  EAGAIN,
  EBUSY,
  EINTR,
  IORING_OP_NOP,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_NO_SQARRAY,
  IORING_SQ_CQ_OVERFLOW,
  kernelError,
  type LoopHost,
  type RingEntry,
  type RingLayout,
  type RingMemory,
  type RingRole,
  SLOT_FOREIGN,
  SQE_WORDS,
  type SubmitRing,
  WORD_BACKGROUND,
  WORD_CLOSING,
  WORD_FOREIGN,
  WORD_MORE,
} from '../kernel/index.ts'
import {
  COUNTER_FOREIGN,
  COUNTER_IN_FLIGHT,
  COUNTER_STALE,
  COUNTER_SUBMISSIONS,
  type Counters,
} from '../stats/index.ts'
import type { Operation } from './operation.ts'
import { auditQueues } from './queue-audit.ts'
import { refusedRing } from './refusal.ts'
import { dropRing, type RingOptions, registerRingFd, setUpRing } from './set-up.ts'
import { SLOT_BACKGROUND, SLOT_CLOSE, SLOT_DESCRIPTOR, SlotTable } from './slot-table.ts'
import { encodeEntry, type OperationName, SQE_USER_DATA, type SqeWords } from './sqe.ts'

/** Marks completions that nobody waits for. */
const NO_SLOT = -1
/** Of a name, below what it names: what the entry is used for, which quiesce.c looks at as well. */
const USE_BITS = 4
const MESSAGE_BITS = 16
/** How often the kernel is asked to make room before that is an error; */
const SUBMIT_TRIES_MAX = 10_000
/** and where somebody can wait, and asks again later. */
const SUBMIT_TRIES_FEW = 4

/**
 * One io_uring: entries out, completions in. Belongs to the thread that made it.
 *
 * Writing an entry is {@link begin}, an encoder, {@link commit}: no system call, unless the
 * submission queue is full. Nothing here blocks. What runs once per operation has its constants as
 * literals, with their names beside them: V8 loads and checks an imported one at every use.
 */
export class Ring {
  readonly memory: RingMemory
  readonly entry: RingEntry
  readonly index: number
  readonly role: RingRole
  readonly sqes: SqeWords
  /** How many pieces of I/O memory are registered with it: entries may use indexes below. */
  registeredBufferCount = 0
  /** Completions whose slot had been given to another operation, and foreign ones for another ring; dropped. */
  staleCount = 0
  /** Completions that another ring had posted; the hook's word of it wraps, others read the counter. */
  foreignCount = 0
  /** What another ring names its completions by, so that they are not taken for those of a ring that had the descriptor before. */
  readonly foreignToken: number

  /** Rings of buffers that its receives take from, for audits. */
  readonly bufferRings: Set<{ audit(): void }> = new Set()
  /** Called as completions are reaped: the entry that was committed for that number has failed, with `-errno`. */
  onMessageRefused: ((number: number, result: number) => void) | null = null

  readonly #submit: SubmitRing
  readonly #control: Int32Array
  readonly #host: LoopHost
  readonly #words: Int32Array
  readonly #layout: RingLayout
  /**
   * Whether the kernel touches the completion queue in system calls of this thread only: then plain
   * loads and stores are in order, and fences are time lost. By DEFER_TASKRUN, on kernels whose worker
   * threads keep to it: Linux 6.3, hence all that know NO_SQARRAY.
   */
  readonly #isSequential: boolean
  readonly #entryMask: number
  readonly #completionMask: number
  readonly #sqTailIndex: number
  readonly #cqesIndex: number
  readonly #table = new SlotTable()
  #sqTail = 0
  #cqHead = 0
  /** Completions reaped that were not their operation's last. */
  #moreCount = 0
  /** The tail up to which entries are known to be free; the kernel may have freed more. */
  #roomTail = 0
  /** The submission tail when last counted. */
  #countedTail = 0
  #countedHead = 0
  readonly #home: Counters
  #isClosed = false

  /** @throws {RuntimeError} `ERR_URING_UNAVAILABLE` or `ERR_MEMLOCK_LIMIT`, with cause and cure. */
  constructor(options: RingOptions) {
    const { kernel, control, host, index, role, entryCount } = options
    const capabilities = kernel.capabilities(host)
    this.#control = control.words
    this.#home = control
    this.#host = host
    this.index = index
    this.role = role
    this.memory = setUpRing(host, role, entryCount, capabilities)
    this.sqes = this.memory.sqes
    const layout = this.memory.layout
    assert(isPowerOfTwo(layout.sqEntryCount), 'submission entries are a power of two')
    assert(isPowerOfTwo(layout.cqEntryCount), 'completion entries are a power of two')
    this.#layout = layout
    const sequential = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_NO_SQARRAY
    this.#isSequential = (this.memory.setupFlags & sequential) === sequential
    this.#words = new Int32Array(this.memory.words.buffer)
    this.#entryMask = (layout.sqEntryCount - 1) | 0
    this.#completionMask = (layout.cqEntryCount - 1) | 0
    this.#sqTailIndex = layout.sqTail
    this.#cqesIndex = layout.cqes
    if (layout.sqArray !== -1) {
      for (let i = 0; i < layout.sqEntryCount; i++) this.#words[layout.sqArray + i] = i
    }
    this.entry = registerRingFd(kernel, this.memory, capabilities)
    const submit = host.addRing(this.memory, this.entry, role)
    if (typeof submit === 'number') {
      dropRing(kernel, host, this.memory, this.entry)
      throw refusedRing(submit)
    }
    this.#submit = submit
    this.foreignToken = Math.floor(kernel.random() * 2 ** 31)
  }

  /** Operations between submission and terminal completion. */
  get inFlightCount(): number {
    let count = 0
    for (const _ of this.#table.inFlight()) count++
    return count
  }

  /** What the hook counts as in flight, by the queues' own ends: operations, and entries for nobody. */
  get hookedCount(): number {
    return (this.#sqTail - this.#cqHead + this.#moreCount + this.foreignCount) | 0
  }

  /** Entries that the kernel has not been told of. */
  get unsubmittedCount(): number {
    return (this.#sqTail - this.#words[this.#layout.sqHead]!) | 0
  }

  /** Where {@link needPreempt} looks: the words, and the index of the completion tail in them. */
  get completionTail(): { readonly words: Int32Array; readonly index: number } {
    return { words: this.#words, index: this.#layout.cqTail }
  }

  /** Completions that wait to be reaped. */
  get readyCount(): number {
    return (this.#loadTail() - this.#cqHead) | 0
  }

  /** How far completions have been reaped: the tail, when all have. */
  get completionHead(): number {
    return this.#cqHead
  }

  /** Whether the terminal completion of `operation` is still to come here. */
  holds(operation: Operation): boolean {
    return this.#table.holds(operation)
  }

  /** @throws {RuntimeError} `ERR_EXECUTOR_CLOSED` */
  assertOpen(): void {
    if (!this.#isClosed) return
    throw new RuntimeError(
      'ERR_EXECUTOR_CLOSED',
      'Cannot submit an operation as its executor must be open: it was closed',
    )
  }

  /**
   * The first word of the next free entry, for an encoder; one of the commits must follow.
   *
   * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`
   */
  begin(): number {
    if (this.#sqTail === this.#roomTail) this.#findRoom(SUBMIT_TRIES_MAX)
    return (this.#sqTail & this.#entryMask) << 4 // words of an entry: 16
  }

  /** The same, or -1 where the kernel takes no more for now. */
  tryBegin(): number {
    try {
      if (this.#sqTail === this.#roomTail) this.#findRoom(SUBMIT_TRIES_FEW)
      return this.begin()
    } catch (error) {
      if (error instanceof KernelError) return -1
      throw error
    }
  }

  /** Gives the entry begun to `operation`, to be submitted with this turn's. */
  commit(operation: Operation): void {
    const slot = this.#table.take(operation)
    operation.slot = slot
    this.#publish(slot, this.#table.begin(slot, 0))
    if (this.#control[5] === 0) this.#host.reference() // WORD_REFERENCED
  }

  /** The same for an operation that does not keep the program alive. */
  commitBackground(operation: Operation): void {
    const slot = this.#table.take(operation)
    operation.slot = slot
    this.#control[WORD_BACKGROUND + this.index]!++
    this.#publish(slot, this.#table.begin(slot, SLOT_BACKGROUND))
  }

  /**
   * The same for an operation whose results, but for errors, are descriptors. They are tracked when
   * {@link Operation.complete} gets them; what is never reaped is closed with the ring.
   */
  commitOpening(operation: Operation): void {
    const slot = this.#table.take(operation)
    operation.slot = slot
    this.#publish(slot, this.#table.begin(slot, SLOT_DESCRIPTOR))
    if (this.#control[5] === 0) this.#host.reference() // WORD_REFERENCED
  }

  /** The same for one of these that does not keep the program alive. */
  commitOpeningBackground(operation: Operation): void {
    const slot = this.#table.take(operation)
    operation.slot = slot
    this.#control[WORD_BACKGROUND + this.index]!++
    this.#publish(slot, this.#table.begin(slot, SLOT_DESCRIPTOR | SLOT_BACKGROUND))
  }

  /** The same for an operation that closes a descriptor: from here on that is closed in any case. */
  commitClosing(operation: Operation): void {
    const slot = this.#table.take(operation)
    operation.slot = slot
    // First, so that no close goes uncounted where the thread is terminated in between.
    this.#control[WORD_CLOSING + this.index]!++
    this.#publish(slot, this.#table.begin(slot, SLOT_CLOSE))
    if (this.#control[5] === 0) this.#host.reference() // WORD_REFERENCED
  }

  /** Submits the entry begun for nobody, but has {@link onMessageRefused} called with that number if it fails. */
  commitMessage(number: number): void {
    assert(number > 0 && number < 2 ** MESSAGE_BITS, 'what is sent for is a small number')
    this.#control[WORD_BACKGROUND + this.index]!++
    this.#publish(NO_SLOT, number << USE_BITS)
  }

  /** Submits the entry begun for nobody: its completion is dropped. */
  commitUnwatched(): void {
    this.#control[WORD_BACKGROUND + this.index]!++
    this.#publish(NO_SLOT, 0)
  }

  /** The name of an operation in flight, for entries that cancel or change it. */
  nameOf(operation: Operation): OperationName {
    assert(this.holds(operation), 'a name is that of an operation in flight')
    return { slot: operation.slot, generation: this.#table.names[operation.slot]! }
  }

  /**
   * Takes `operation` back if the kernel has not seen it: it completes as a no-op.
   *
   * Returns false if it is too late, and only the kernel can cancel it. O(n) of the entries that are not
   * submitted yet, hence at most the entries of the ring, however many operations are in flight.
   */
  withdraw(operation: Operation): boolean {
    const { slot, generation } = this.nameOf(operation)
    assert((generation & SLOT_CLOSE) === 0, 'what closes a descriptor is not withdrawn')
    const { sqes } = this
    // A search, since cancelling what was just begun is rare, and a record of it would cost always.
    for (
      let index = this.#words[this.#layout.sqHead]!;
      index !== this.#sqTail;
      index = (index + 1) | 0
    ) {
      const base = (index & this.#entryMask) * SQE_WORDS
      if (sqes[base + SQE_USER_DATA] !== slot || sqes[base + SQE_USER_DATA + 1] !== generation)
        continue
      encodeEntry(sqes, base, IORING_OP_NOP, -1, 0, 0, 0, 0)
      // The no-op's 0 is no descriptor.
      sqes[base + SQE_USER_DATA + 1] = this.#table.deliverNothing(slot)
      return true
    }
    return false
  }

  /**
   * Submits what is waiting now rather than at the end of the turn. Does not block. Returns 0, or
   * `-errno` where the kernel took nothing.
   */
  submit(): number {
    return this.#isClosed ? 0 : (this.#submit() ?? 0)
  }

  /**
   * Hands every completion to its operation, and returns how many there were.
   *
   * Runs no user code. May be called again from within, by an operation that submits another.
   */
  reap(): number {
    const words = this.#words
    const layout = this.#layout
    const table = this.#table
    if (words[layout.sqFlags]! & IORING_SQ_CQ_OVERFLOW) this.submit()
    const tail = this.#loadTail()
    assert(((tail - this.#cqHead) | 0) >= 0, 'completions are not taken back')
    assert(((tail - this.#cqHead) | 0) <= layout.cqEntryCount, 'completions fit their queue')
    const cqes = this.#cqesIndex
    const mask = this.#completionMask
    let count = 0
    for (let head = this.#cqHead; ((tail - head) | 0) > 0; head = this.#cqHead) {
      this.#cqHead = (head + 1) | 0
      count++
      // Here rather than in a method: V8 would not inline one that calls so much, and a call each is 3 ns.
      const base = cqes + ((head & mask) << 2)
      const slot = words[base]!
      const name = words[base + 1]!
      const { names } = table
      if (slot < 0 || slot >= names.length || names[slot] !== name) {
        this.#drop(slot, name, words[base + 2]!)
        continue
      }
      const operation = table.operations[slot]!
      const result = words[base + 2]!
      const flags = words[base + 3]!
      const use = name & 15 // USE_MASK
      if ((flags & 2) !== 0)
        this.#goOn(name, result) // IORING_CQE_F_MORE
      else if (use === 0) table.end(slot, name)
      else this.#retire(slot, name, result)
      operation.complete(result, flags)
    }
    // What a reap from within has counted is not counted again.
    const { counters } = this.#home
    counters[11 + this.index]! += (this.#cqHead - this.#countedHead) | 0 // COUNTER_COMPLETIONS
    counters[8 + this.index]! += (this.#sqTail - this.#countedTail) >>> 0 // COUNTER_SUBMISSIONS
    counters[52 + this.index] = table.size // COUNTER_IN_FLIGHT
    this.#countedTail = this.#sqTail
    this.#countedHead = this.#cqHead
    this.#publishHead()
    return count
  }

  /**
   * Takes no more: {@link begin} throws from now on. The loop that it was added to closes its
   * descriptor, whose number may soon be another ring's.
   */
  close(): void {
    this.#isClosed = true
    this.#roomTail = this.#sqTail
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Every operation whose terminal completion is still to come. */
  inFlight(): Iterable<Operation> {
    return this.#table.inFlight()
  }

  /** Checks queues and slots, and what the hook is told of them. O(slots): for audits, between turns. */
  audit(): void {
    const table = this.#table
    table.audit()
    const { counters } = this.#home
    auditQueues({
      layout: this.#layout,
      words: this.#words,
      sqTail: this.#sqTail,
      roomTail: this.#roomTail,
      countedTail: this.#countedTail,
      cqHead: this.#cqHead,
      countedHead: this.#countedHead,
    })
    // What was submitted since the last reap is counted by the next.
    const isCounted = this.#countedTail === this.#sqTail
    const countedCount = counters[COUNTER_IN_FLIGHT + this.index]!
    assert(!isCounted || countedCount === table.size, 'what is in flight is counted for others')
    assert(table.size <= this.hookedCount, 'the hook counts what is in flight')
    for (const buffers of this.bufferRings) buffers.audit()
    const backgroundCount = this.#control[WORD_BACKGROUND + this.index]!
    assert(table.countUse(SLOT_BACKGROUND) <= backgroundCount, 'the hook counts the background')
    const closingCount = this.#control[WORD_CLOSING + this.index]!
    assert(table.countUse(SLOT_CLOSE) === closingCount, 'the hook counts what closes a descriptor')
  }

  #goOn(name: number, result: number): void {
    assert((name & 8) === 0, 'what closes a descriptor ends at once') // SLOT_CLOSE
    this.#moreCount++
    if ((name & 4) !== 0) this.#track(result) // SLOT_DESCRIPTOR
  }

  #retire(slot: number, name: number, result: number): void {
    if ((name & SLOT_BACKGROUND) !== 0) this.#leaveBackground()
    this.#table.end(slot, name)
    if ((name & SLOT_DESCRIPTOR) !== 0) this.#track(result)
    if ((name & SLOT_CLOSE) === 0) return
    // With the head, lest a terminated thread's close be counted twice.
    this.#publishHead()
    assert(this.#control[WORD_CLOSING + this.index]! > 0, 'a close is counted until it is over')
    this.#control[WORD_CLOSING + this.index]!--
  }

  /**
   * Makes a descriptor the loop's to close. A terminated thread stops at any call: until it is tracked
   * it is found in the queue, and no more by the time that its number can be another file's.
   */
  #track(result: number): void {
    if (result < 0) return
    this.#host.trackFd(result, true)
    this.#publishHead()
  }

  // All at once: from them the loop tells how much is in flight when a thread was terminated.
  #publishHead(): void {
    this.#control[WORD_MORE + this.index] = this.#moreCount
    this.#control[WORD_FOREIGN + this.index] = this.foreignCount
    // ORDER: release, so that the kernel reuses an entry only after we have read it.
    if (this.#isSequential) this.#words[this.#layout.cqHead] = this.#cqHead
    else Atomics.store(this.#words, this.#layout.cqHead, this.#cqHead)
  }

  #loadTail(): number {
    // ORDER: acquire, pairs with the kernel's release of the tail; entries before it are complete.
    return this.#isSequential
      ? this.#words[this.#layout.cqTail]!
      : Atomics.load(this.#words, this.#layout.cqTail)
  }

  #leaveBackground(): void {
    const index = WORD_BACKGROUND + this.index
    assert(this.#control[index]! > 0, 'what leaves the background was in it')
    this.#control[index]!--
  }

  #drop(slot: number, name: number, result: number): void {
    if (slot === NO_SLOT) {
      this.#leaveBackground()
      if (name !== 0 && result < 0) this.onMessageRefused?.(name >>> USE_BITS, result)
      return
    }
    if (slot === SLOT_FOREIGN) this.foreignCount++
    if (slot === SLOT_FOREIGN) this.#home.counters[COUNTER_FOREIGN]!++
    if (slot === SLOT_FOREIGN && name === this.foreignToken) return
    this.staleCount++
    this.#home.counters[COUNTER_STALE]!++
  }

  #publish(userDataLow: number, userDataHigh: number): void {
    const tail = this.#sqTail
    assert(tail !== this.#roomTail, 'an entry is committed where there is room')
    const sqes = this.sqes
    const base = (tail & this.#entryMask) << 4
    sqes[base + 8] = userDataLow
    sqes[base + 9] = userDataHigh
    this.#sqTail = (tail + 1) | 0
    // Plain: the kernel reads it in a system call of this same thread, never on its own (no SQPOLL).
    this.#words[this.#sqTailIndex] = this.#sqTail
  }

  /** Counts what was submitted since the last look at completions. */
  syncCounters(): void {
    const { counters } = this.#home
    assert(((this.#sqTail - this.#countedTail) | 0) >= 0, 'what was submitted is counted once')
    counters[COUNTER_SUBMISSIONS + this.index]! += (this.#sqTail - this.#countedTail) >>> 0
    counters[COUNTER_IN_FLIGHT + this.index] = this.#table.size
    this.#countedTail = this.#sqTail
  }

  #findRoom(triesMax: number): void {
    this.assertOpen()
    this.syncCounters()
    if (this.unsubmittedCount > this.#entryMask) this.#makeRoom(triesMax)
    this.#roomTail = (this.#words[this.#layout.sqHead]! + this.#entryMask + 1) | 0
    assert(((this.#roomTail - this.#sqTail) | 0) > 0, 'there is room where it was looked for')
  }

  #makeRoom(triesMax: number): void {
    for (let tries = 0; tries < triesMax; tries++) {
      const result = this.submit()
      if (this.unsubmittedCount <= this.#entryMask) return
      if (result < 0 && result !== -EBUSY && result !== -EAGAIN && result !== -EINTR) {
        throw kernelError(result, { syscall: 'io_uring_enter', fd: this.memory.fd })
      }
      // The kernel takes no more while completions wait to be reaped.
      this.reap()
    }
    throw kernelError(-EBUSY, { syscall: 'io_uring_enter', fd: this.memory.fd })
  }
}
