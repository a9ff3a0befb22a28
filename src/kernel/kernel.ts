import type { Capabilities } from './capabilities.ts'
import type { Directory, ExecutorId } from './directory.ts'
import type { LoopControl } from './loop-control.ts'

/** Which driver answers: the real kernel, or the simulated one. */
export type KernelName = 'uring' | 'sim'

/** What {@link Kernel.setupRing} is asked for. */
export interface RingSetup {
  /** Submission entries: a power of two, 1 … 32,768. */
  readonly entryCount: number
  /** Completion entries: a power of two, at least {@link entryCount}. */
  readonly completionCount: number
  /** `IORING_SETUP_…`, without CQSIZE. */
  readonly flags: number
}

/** Where the parts of a ring are: word indexes into {@link RingMemory.words}. */
export interface RingLayout {
  readonly sqHead: number
  readonly sqTail: number
  readonly sqFlags: number
  readonly sqEntryCount: number
  /** The indirection array, or -1 on a ring set up with NO_SQARRAY. */
  readonly sqArray: number
  readonly cqHead: number
  readonly cqTail: number
  readonly cqOverflow: number
  readonly cqEntryCount: number
  /** The first completion entry. */
  readonly cqes: number
}

/** The memory of one ring, shared with the kernel. */
export interface RingMemory {
  readonly fd: number
  /** Both queues, one mapping. */
  readonly words: Uint32Array<ArrayBuffer>
  /** The submission entries, {@link SQE_WORDS} words each. */
  readonly sqes: Uint32Array<ArrayBuffer>
  readonly layout: RingLayout
  /** `IORING_SETUP_…`, as the kernel accepted them. */
  readonly setupFlags: number
  /** `IORING_FEAT_…` */
  readonly features: number
}

/**
 * A stretch of memory that the kernel may touch: zeroed, aligned, at an address that never changes. It
 * takes room as it is touched.
 *
 * It belongs to the process: it is there while this object, an ArrayBuffer on a part of it or a request
 * that may touch it is.
 */
export interface KernelMemory {
  readonly address: number
  /**
   * All of it, for percore's own use alone: whoever clones a part of it copies everything, other
   * connections' data included.
   */
  readonly bytes: Uint8Array<ArrayBuffer>
  /**
   * A part of it for users, from a multiple of 512 on, with an ArrayBuffer of its own: a clone copies
   * that part. Its holder may detach it, as `transfer()` and byte streams do, and then has that memory
   * for as long as it likes: see {@link shareCount}. A simulated kernel gives a part of {@link bytes}.
   */
  share(offsetBytes: number, lengthBytes: number): Uint8Array
  /** How many ArrayBuffers of {@link share} begin there that have not been collected yet, detached or not. */
  shareCount(offsetBytes: number): number
  /** Detaches a view of {@link share}, so that its holder sees nothing rather than another's bytes. */
  empty(view: Uint8Array): void
}

/**
 * What a ring is to its thread: the one that it parks in; one whose completions appear by themselves, while JavaScript is
 * busy; one whose completions appear only as the thread asks for them (IOPOLL), hence again and again.
 */
export type RingRole = 'park' | 'notify' | 'busyPoll'

/** How {@link LoopHost.addRing} enters a ring. */
export interface RingEntry {
  /** The registered index, or the descriptor itself. */
  readonly enterFd: number
  /** `IORING_ENTER_…` on every call. */
  readonly enterFlags: number
  /** And on calls that may block. */
  readonly waitFlags: number
}

/**
 * Submits what waits in one ring, and collects what only this thread can; never waits. Returns
 * `-errno` where the kernel refused. The same as {@link Kernel.enter}, without numbers to convert.
 */
export type SubmitRing = () => number | undefined

/** Where descriptors begin in the answer of {@link DescriptorTable.receiveRights}. */
export const RIGHTS_HEAD_WORDS = 2
/** ABI: SCM_MAX_FD: how many descriptors one message has at most. */
export const RIGHTS_MAX = 253

/** The descriptors that the loop closes, should the environment end while they are open. */
export interface DescriptorTable {
  /** Whether `fd` is to be closed should the environment end with it open. */
  trackFd(fd: number, tracked: boolean): void
  /** socket(2), tracked from the start: the thread may be terminated at any call. */
  openSocket(domain: number, type: number, protocol: number): number
  /** socketpair(2), tracked likewise: 0, with both descriptors in `fds`, or `-errno`. */
  openSocketPair(domain: number, type: number, fds: Int32Array): number
  /** A further descriptor of what `fd` is one of, whoever has that: tracked from the start; or `-errno`. */
  duplicateFd(fd: number): number
  /**
   * recvmsg(2) on a Unix socket, which never waits: bytes read into `data`, 0 at the end, or `-errno`. Descriptors that came with
   * them are tracked from the start. How many did is `rights[0]`, whether some did not, for want of room or of numbers, is
   * `rights[1]`, and they follow after {@link RIGHTS_HEAD_WORDS}.
   */
  receiveRights(fd: number, data: Uint8Array, rights: Int32Array): number
  /** close(2) of a descriptor that is tracked; once the loop was left, that has closed it. */
  closeFd(fd: number): number
  /**
   * Lets a tracked descriptor go without closing it: the name that {@link takeFd} has it by, on any thread of the
   * process, or `-errno`. Until then it is closed with this loop or, if it `outlives` that, with the process.
   */
  passFd(fd: number, outlives: boolean): number
  /** Takes over what {@link passFd} let go of by that name, tracked; -ENOENT if it is no more. */
  takeFd(name: number): number
  /**
   * The name by which {@link joinFd} gets more descriptors of the same file, on any thread of the process, while one of
   * them is open; or `-errno`.
   */
  shareFd(fd: number): number
  /** A further descriptor, tracked, of a file that is shared by that name; -ENOENT once all are closed. */
  joinFd(name: number): number
  /** A descriptor of a shared file is about to be closed: whether others of it are left. */
  leaveFd(name: number, fd: number): boolean
}

/** Memory that an executor lends to others. */
export interface LoanTable {
  /**
   * Offers a part of that memory to others: the name that {@link MemoryCalls.borrowMemory} takes it by, once; or `-errno`. The part is
   * to be left alone until {@link takeReturned} names it, for which that inbox is rung. It stays mapped while it is borrowed, also
   * when this loop is left.
   */
  lendMemory(memory: KernelMemory, offsetBytes: number, lengthBytes: number, inbox: number): number
  /** The name of a part that has come back, or was never borrowed and was dropped, each once; or a negative number. */
  takeReturned(): number
}

/** An executor's place in the event loop of its thread. */
export interface LoopHost extends DescriptorTable, LoanTable {
  /** Names the executor in the directory, for as long as the loop is not left. */
  readonly id: ExecutorId
  /** What the executor and the loop hook tell each other: in the executor's slot of the directory. */
  readonly control: LoopControl
  /** The host loop's own poll descriptor, to be polled in the main ring; -1 where there is none. */
  readonly hostFd: number
  /** {@link Kernel.setupRing}; until it is added the ring is closed should the environment end. */
  setupRing(setup: RingSetup): RingMemory | number
  /**
   * Lets the loop submit to, wait for and finally close a ring, as its role has it; the first is the one to park in. Returns
   * `-errno` where there is no memory for it; the ring is the caller's still.
   */
  addRing(memory: RingMemory, entry: RingEntry, role: RingRole): SubmitRing | number
  /** Lets requests use that memory: if some outlive the environment, it stays for good. */
  keepMemory(memory: KernelMemory): void
  /** Keeps the host loop alive from now on, while the control block says something is live. */
  reference(): void
  /** Whether the host loop has timers, immediates, new watchers or closings to look at now. */
  isHostDue(): boolean
  /**
   * Cancels what is in flight, closes rings and tracked descriptors, tells all other executors of the process by
   * their inbox 0, and leaves the host loop. The end of the environment does the same, however it comes.
   */
  detach(): void
}

/** What the machine tells of its processors and nodes, and of where this process may run. */
export interface MachinePort {
  /** The number of this process, which is that of its main thread. */
  readonly processId: number
  /** The text of a small file of /proc or /sys, or `-errno`. Blocks: for start-up. */
  readTextFile(path: string): string | number
  /**
   * sched_getaffinity(2) of a thread of this process, of the calling one for 0: the bytes written to `mask`, or
   * `-errno`; `-EINVAL` for a mask too short, or not of whole 64-bit words.
   */
  getAffinity(threadId: number, mask: Uint8Array): number
}

/** System calls on files for which rings have no opcode, or not in all kernels. */
export interface FileCalls {
  /** getcwd(2): where relative paths start from, or `-errno`. */
  currentDirectory(): string | number
  /** close(2) */
  closeFd(fd: number): number
  /** Closes what {@link DescriptorTable.passFd} let go of by that name; -ENOENT if it is no more. */
  dropPassedFd(name: number): number
  /** fcntl(2) with an integer argument. */
  controlFd(fd: number, command: number, argument: number): number
  /** fstatfs(2): the magic number of the file system. */
  fileSystemOf(fd: number): number
  /** lseek(2) from the beginning: the position now, or `-errno`. */
  seekFd(fd: number, positionBytes: number): number
  /**
   * ftruncate(2), where the rings have no opcode for it: in another thread, since it blocks while the file
   * system works. `done` gets 0 or `-errno` on this thread, later; the descriptor may be closed before.
   */
  truncateFd(fd: number, sizeBytes: number, done: (result: number) => void): void
}

/** Gets what a system call returned, or `-errno`: on this thread, in a later turn of its event loop. */
export type CallDone = (result: number) => void

/** Arguments of {@link AsideCalls.copyRange}. */
export interface CopyRangeArgs {
  readonly fromFd: number
  readonly fromBytes: number
  readonly toFd: number
  readonly toBytes: number
  readonly lengthBytes: number
}

/**
 * System calls on files that may block, and for which rings have no opcode: in another thread.
 *
 * `done` is called unless a call returns `-errno`. The descriptors may be closed meanwhile, by a thread that is
 * terminated too; the call has its own. Memory is the call's until it is done.
 */
export interface AsideCalls {
  /** getdents64(2): the bytes written to `target`, 0 at the end. */
  readDirectory(fd: number, target: Uint8Array, done: CallDone): number
  /** readlinkat(2) of a link that was opened by O_PATH: the length, at most that of `target`. */
  readLink(fd: number, target: Uint8Array, done: CallDone): number
  /** copy_file_range(2): the bytes copied, 0 at the end. */
  copyRange(args: CopyRangeArgs, done: CallDone): number
  /** flock(2). With LOCK_NB, as a thread that waits is one less for others. */
  lock(fd: number, operation: number, done: CallDone): number
  /** fchmod(2) */
  changeMode(fd: number, mode: number, done: CallDone): number
  /** fchown(2): -1 leaves the user, or the group, as it is. */
  changeOwner(fd: number, userId: number, groupId: number, done: CallDone): number
  /** The size of XFS's extents for a file, by FS_IOC_FSSETXATTR. */
  hintExtent(fd: number, sizeBytes: number, done: CallDone): number
}

/** What is done with memory that another thread of the process lends. */
export interface MemoryCalls {
  /** Takes what {@link LoanTable.lendMemory} has offered by that name, with an ArrayBuffer of its own; -ENOENT if it is no more. */
  borrowMemory(name: number): Uint8Array | number
  /**
   * Gives back what was borrowed; its ArrayBuffer is detached. Returns whom to ring, as {@link LOAN_INBOXES} × an executor's id, and the
   * inbox; 0 for nobody: the lender has ended, or somebody has detached the ArrayBuffer before, and then has the memory until it is
   * collected.
   */
  returnMemory(name: number, bytes: Uint8Array): number
  /** Takes back what nobody has borrowed: whom to ring, as above; -ENOENT if it is borrowed, or is no more. */
  dropLoan(name: number): number
}

/** ABI: with native/loans.c: more than any inbox's number. */
export const LOAN_INBOXES = 4096

/** System calls on sockets for which rings have no opcode, or not in all kernels. */
export interface SocketCalls {
  openSocket(domain: number, type: number, protocol: number): number
  /** socketpair(2): 0, with both descriptors in `fds`, or `-errno`. */
  openSocketPair(domain: number, type: number, fds: Int32Array): number
  /** bind(2) to a raw `sockaddr`. */
  bindSocket(fd: number, address: Uint8Array): number
  listenSocket(fd: number, backlog: number): number
  setSocketOption(fd: number, level: number, option: number, value: Uint8Array): number
  /** getsockopt(2): the length written, or `-errno`. */
  getSocketOption(fd: number, level: number, option: number, value: Uint8Array): number
  /** getsockname(2), or getpeername(2): the length of the raw `sockaddr`, or `-errno`. */
  socketName(fd: number, peer: boolean, address: Uint8Array): number
}

/**
 * The port: what percore asks of an operating system, in io_uring's own ABI.
 *
 * A driver reads submission entries and writes completion entries as words, so that everything
 * above runs unmodified on each. Calls return what the system call returns, or `-errno`; none
 * blocks but {@link enter} with a wait count.
 */
export interface Kernel extends MachinePort, FileCalls, MemoryCalls, SocketCalls {
  readonly name: KernelName
  /**
   * What it offers. The first thread of the process that asks tries it out, with some dozens of system calls on rings that are
   * closed again: opened by `host` where a loop is to close them with its thread.
   *
   * @internal
   */
  capabilities(host?: LoopHost): Capabilities
  /** @internal */
  readonly aside: AsideCalls

  /** io_uring_setup(2) and the mappings. Returns the ring, or `-errno`. */
  setupRing(setup: RingSetup): RingMemory | number
  /** io_uring_enter(2); `timeoutNs` below 0 waits for ever. */
  enter(
    fd: number,
    submitCount: number,
    waitCount: number,
    flags: number,
    timeoutNs: number,
  ): number
  /** io_uring_register(2). Memory named inside `argument` is named by {@link addressOf}. */
  register(
    fd: number,
    opcode: number,
    argument: Uint32Array | Int32Array | Uint8Array | null,
    count: number,
  ): number
  /** Closes a ring that no loop owns. */
  closeRing(memory: RingMemory): void

  /**
   * Memory that the kernel may touch, aligned to 64 KiB, and to 2 MiB if it is as long. Throws RangeError
   * when there is none left, and a RuntimeError where the host of JavaScript takes none from outside.
   */
  allocate(lengthBytes: number): KernelMemory
  /** Asks for huge pages under memory that is about to be filled; where it is short, or there are none, nothing. */
  adviseHugePages(view: Uint8Array): void
  /**
   * Bytes of this process that stay mapped until it ends: parts of {@link KernelMemory.share} which others had
   * detached, and might use still, when the thread that made them ended.
   */
  leftBytes(): number
  /** The address of a view's first byte, as an exact number. */
  addressOf(view: Uint8Array | Uint32Array | Int32Array): number

  /** The monotonic clock. */
  nowNs(): number
  /** Milliseconds since 1970, by the clock that can be set. */
  wallClockMs(): number
  /** A number from 0 to 1, without 1, for programs; not for secrets. */
  random(): number

  /**
   * In simulation only: lets neither turns nor virtual time pass until that has settled, for what the host does in its own
   * time and must not show in the run.
   */
  during?<T>(real: Promise<T>): Promise<T>

  /** The executors of this process. */
  readonly directory: Directory
  /**
   * Takes a slot of the directory, and a place in this thread's event loop; `turn` runs once per round. Or `-errno`:
   * `-ENOSPC` where no slot is free, `-ENOMEM` where there is no memory.
   */
  attachLoop(turn: () => void): LoopHost | number

  /** The numbers of the threads of this process, those of Node and libuv among them; none where that is not told. */
  threadIds(): readonly number[]
  /** sched_setaffinity(2): threads that this one makes inherit it. 0 or `-errno`. */
  setAffinity(threadId: number, mask: Uint8Array): number
  /**
   * get_mempolicy(2) of the calling thread: writes the nodes of its policy, in whole 64-bit words, and returns
   * `MPOL_…` with its flags, or `-errno`; -ENOSYS without NUMA, -EPERM in many containers.
   */
  getMemoryPolicy(nodes: Uint8Array): number
  /** set_mempolicy(2) of the calling thread: threads that it makes inherit it. 0 or `-errno`. */
  setMemoryPolicy(mode: number, nodes: Uint8Array): number
  /**
   * The node of the page at each address, or `-ENOENT` where that page was never touched: move_pages(2) that moves none.
   * 0 or `-errno`.
   */
  nodesOfPages(addresses: Float64Array, nodes: Int32Array): number
}
