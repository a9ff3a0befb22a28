import { NS_PER_MS, Prng } from '../base/index.ts'
import {
  type AsideCalls,
  type Capabilities,
  type Directory,
  EBADF,
  EBUSY,
  EFAULT,
  EINVAL,
  ENOSPC,
  ENOTCONN,
  ENOTSOCK,
  EOPNOTSUPP,
  ETIME,
  F_DUPFD_CLOEXEC,
  F_GETFD,
  F_GETFL,
  F_SETFL,
  IORING_ENTER_GETEVENTS,
  IORING_OP_TIMEOUT,
  type Kernel,
  type KernelMemory,
  type LoopHost,
  O_RDWR,
  O_WRONLY,
  type RingMemory,
  type RingSetup,
} from '../kernel/index.ts'
import { loopback, readAddress, writeAddress } from './address.ts'
import { SimAside } from './aside.ts'
import { SimCore } from './core.ts'
import type { Description } from './descriptors.ts'
import type { FileSystem } from './file-system.ts'
import { SIM_PROCESS_ID, type SimThreadPlace } from './machine.ts'
import { OpenFile } from './open-file.ts'
import { createOperations } from './operations.ts'
import { checkOptions, type SimKernelOptions } from './options.ts'
import { register } from './registration.ts'
import { SimLoop, type SimLoopEvents } from './sim-loop.ts'
import { SimMemory } from './sim-memory.ts'
import { SimRing } from './sim-ring.ts'
import { SimSocket } from './socket.ts'
import { getOption, setOption } from './socket-options.ts'

const EDEADLK = 35
const ESPIPE = 29
const EXT4_MAGIC = 0xef53
/** Of the one disk that there is, 8:0. */
const DISK_QUEUE = '/sys/dev/block/8:0/queue'
/** A timeout that ends later is no tick of `needPreempt()`. */
const BUSY_NS_MAX = 2_000_000
/** 2000-01-01, in UTC. */
const EPOCH_MS = 946_684_800_000

/** What a simulated process still has. */
export interface SimLeftovers {
  /** Open descriptors but for rings: number and what it is. */
  readonly descriptors: readonly string[]
  /** Requests in flight: opcode and descriptor. */
  readonly requests: readonly string[]
  /** Completions that nobody has reaped. */
  readonly unreapedCount: number
  /** Groups of provided buffers that are registered. */
  readonly bufferGroupCount: number
}

/**
 * A simulated Linux: io_uring in its own ABI, a disk, a loopback network and a clock, from a seed.
 *
 * Equal seeds and programs give equal runs. Time is virtual, and passes only when nothing else is to
 * do. One process, of as many threads as {@link thread} has made: each has an event loop of its own, and they
 * take turns, in an order that the seed decides. All of it belongs to one real thread.
 *
 * Source: TigerBeetle's VOPR, FoundationDB's simulation; here below io_uring instead of above it.
 */
export class SimKernel implements Kernel {
  readonly name = 'sim'
  readonly processId: number = SIM_PROCESS_ID
  /** @internal */
  readonly aside: AsideCalls
  readonly #core: SimCore
  readonly #events: SimLoopEvents
  readonly #programPrng: Prng
  readonly #place: SimThreadPlace

  /** @throws {TypeError | RangeError} for options of the wrong kind. */
  constructor(options?: SimKernelOptions, events?: SimLoopEvents)
  /** @internal */
  constructor(options: SimKernelOptions, events: SimLoopEvents, parent: SimKernel)
  constructor(options: SimKernelOptions = {}, events: SimLoopEvents = {}, parent?: SimKernel) {
    this.#core = parent === undefined ? createCore(options) : parent.#core
    this.#place = this.#core.machine.addThread(parent === undefined ? null : parent.#place)
    this.#events = events
    this.aside = new SimAside(this.#core)
    this.#programPrng = new Prng(this.#core.options.seed + ++this.#core.kernelCount)
  }

  /**
   * The kernel as another thread of the same process sees it: descriptors, files, network and time are shared. It runs
   * where this one does, until it is bound elsewhere.
   */
  thread(events: SimLoopEvents = this.#events): SimKernel {
    return new SimKernel({}, events, this)
  }

  get seed(): number {
    return this.#core.options.seed
  }

  /** Whether it is this thread's turn, which its microtasks are part of. */
  get isInTurn(): boolean {
    const { isInTurn, turnThreadId } = this.#core
    return isInTurn && turnThreadId === this.threadId
  }

  /** The number of the thread whose kernel this is: what is traced has it. */
  get threadId(): number {
    return this.#place.id
  }

  /** The simulated disk, to arrange and check. */
  get files(): FileSystem {
    return this.#core.files
  }

  /** A random number generator that is the simulation's own: what it decides is replayed. */
  get prng(): Prng {
    return this.#core.prng
  }

  /**
   * The disk as it is found when the machine loses power now; the program goes on undisturbed.
   *
   * Start the next simulation with it as `disk`, to see whether the program recovers.
   */
  crash(): FileSystem {
    return this.#core.files.crash(this.#core.prng)
  }

  /**
   * @internal Calls back once the threads have gone so many steps further, or none can go on: between two steps, where
   * a thread may be ended.
   */
  interrupt(stepCount: number, callback: () => void): void {
    this.#core.threads.interrupt(stepCount, callback)
  }

  /** @internal Calls back after some virtual time, between two steps of threads; what it returns calls that off. */
  after(delayNs: number, callback: () => void): () => void {
    const { clock, threads } = this.#core
    const event = clock.schedule(delayNs, () => threads.interrupt(0, callback))
    return () => clock.cancel(event)
  }

  /** @internal Stands still until `real` has settled: what takes real time is not in the seed. */
  async during<T>(real: Promise<T>): Promise<T> {
    const thaw = this.#core.threads.freeze()
    try {
      return await real
    } finally {
      thaw()
    }
  }

  /** What a process that ends should have given back. */
  leftovers(): SimLeftovers {
    const { descriptors, rings } = this.#core
    const open = [...descriptors.entries()].filter(
      ({ description }) => !(description instanceof SimRing),
    )
    const requests = [...rings].flatMap((ring) => [...ring.inFlight])
    return {
      descriptors: open.map(({ fd, description }) => `${fd} ${description.label}`),
      requests: requests.map((request) => {
        const { description } = request
        const name = this.#core.nameOf(request)
        return description === null ? name : `${name} on ${description.label}`
      }),
      unreapedCount: [...rings].reduce((sum, ring) => sum + ring.unreapedCount, 0),
      bufferGroupCount: [...rings].reduce((sum, ring) => sum + ring.bufferGroups.size, 0),
    }
  }

  /** Breaks the connection of a socket, as a machine that crashed would. */
  resetConnection(fd: number): void {
    this.#core.network.reset(this.#core.descriptors.get(fd))
  }

  /** @internal */
  capabilities(): Capabilities {
    return this.#core.capabilities
  }

  setupRing(setup: RingSetup): RingMemory | number {
    const ring = SimRing.create(this.#core, this.#place.id, setup)
    if (typeof ring === 'number') return ring
    this.#core.rings.add(ring)
    return ring.memory
  }

  enter(
    fd: number,
    submitCount: number,
    waitCount: number,
    flags: number,
    timeoutNs: number,
  ): number {
    const core = this.#core
    const ring = core.descriptors.get(fd)
    if (!(ring instanceof SimRing)) return ring === null ? -EBADF : -EOPNOTSUPP
    if (submitCount > 0 && core.chance(core.faults.enterBusy)) {
      ring.collect()
      return -EBUSY
    }
    core.clock.advanceTo(core.clock.nowNs + core.prng.int(100, 1_000))
    const submitted = ring.enter(submitCount, flags)
    if (core.isInTurn && ring.isImmediate && submitted > 0) this.#keepBusy(ring)
    if (!(flags & IORING_ENTER_GETEVENTS) || waitCount === 0) return submitted
    if (submitted < submitCount) return submitted
    const waited = this.#wait(ring, waitCount, timeoutNs)
    return submitted > 0 ? submitted : waited
  }

  register(
    fd: number,
    opcode: number,
    argument: Uint32Array | Int32Array | Uint8Array | null,
    count: number,
  ): number {
    const ring = this.#core.descriptors.get(fd)
    if (!(ring instanceof SimRing)) return ring === null ? -EBADF : -EOPNOTSUPP
    return register(this.#core, ring, opcode, argument, count)
  }

  closeRing(memory: RingMemory): void {
    const ring = this.#core.descriptors.get(memory.fd)
    if (ring instanceof SimRing) {
      this.#core.closeRing(ring)
      this.#core.descriptors.close(memory.fd)
    }
  }

  allocate(lengthBytes: number): KernelMemory {
    const memory = new SimMemory(this.#core.memory, lengthBytes)
    this.#core.machine.nodeOf(this.#place, memory.bytes.buffer)
    return memory
  }

  adviseHugePages(): void {}

  leftBytes(): number {
    return 0
  }

  addressOf(view: Uint8Array | Uint32Array | Int32Array): number {
    return this.#core.memory.addressOf(view)
  }

  /** Virtual time, which passes a little with each question: a loop that waits for it ends. */
  nowNs(): number {
    const { clock, prng } = this.#core
    clock.advanceTo(clock.nowNs + prng.int(20, 200))
    return clock.nowNs
  }

  /** Virtual time as if it had begun with the year 2000. */
  wallClockMs(): number {
    return EPOCH_MS + Math.floor(this.nowNs() / NS_PER_MS)
  }

  /** From a sequence of its own: that a program asks does not change what the machine does. */
  random(): number {
    return this.#programPrng.uint32() / 2 ** 32
  }

  get directory(): Directory {
    return this.#core.directory
  }

  attachLoop(turn: () => void): LoopHost | number {
    const slot = this.#core.directory.claim()
    if (slot === null) return -ENOSPC
    const ownTurn = (): void => {
      this.#core.turnThreadId = this.threadId
      turn()
    }
    return new SimLoop(this, this.#core, slot, ownTurn, this.#events)
  }

  currentDirectory(): string {
    return '/'
  }

  closeFd(fd: number): number {
    return this.#core.descriptors.close(fd)
  }

  dropPassedFd(name: number): number {
    return this.#core.transit.drop(name)
  }

  borrowMemory(name: number): Uint8Array | number {
    return this.#core.loans.borrow(name)
  }

  returnMemory(name: number): number {
    return this.#core.loans.giveBack(name)
  }

  dropLoan(name: number): number {
    return this.#core.loans.drop(name)
  }

  controlFd(fd: number, command: number, argument: number): number {
    const description = this.#core.descriptors.get(fd)
    if (description === null) return -EBADF
    switch (command) {
      case F_GETFD:
        return 1
      case F_GETFL:
        return description.statusFlags
      case F_SETFL:
        description.statusFlags = argument
        return 0
      case F_DUPFD_CLOEXEC:
        return this.#core.descriptors.install(description)
      default:
        return -EINVAL
    }
  }

  seekFd(fd: number, positionBytes: number): number {
    const file = this.#core.descriptors.get(fd)
    if (!(file instanceof OpenFile)) return file === null ? -EBADF : -ESPIPE
    if (positionBytes < 0) return -EINVAL
    file.position = positionBytes
    return positionBytes
  }

  truncateFd(fd: number, sizeBytes: number, done: (result: number) => void): void {
    const result = truncate(this.#core.descriptors.get(fd), sizeBytes)
    queueMicrotask(() => done(result))
  }

  fileSystemOf(fd: number): number {
    return this.#core.descriptors.get(fd) === null ? -EBADF : EXT4_MAGIC
  }

  readTextFile(path: string): string | number {
    const { hasPollQueues, directAlignmentBytes } = this.#core.options
    if (path === `${DISK_QUEUE}/io_poll`) return hasPollQueues ? '1\n' : '0\n'
    if (path === `${DISK_QUEUE}/logical_block_size`) return `${directAlignmentBytes}\n`
    return this.#core.machine.readTextFile(path)
  }

  threadIds(): readonly number[] {
    return this.#core.machine.threadIds()
  }

  getAffinity(threadId: number, mask: Uint8Array): number {
    return this.#core.machine.getAffinity(this.#place, threadId, mask)
  }

  setAffinity(threadId: number, mask: Uint8Array): number {
    return this.#core.machine.setAffinity(this.#place, threadId, mask)
  }

  getMemoryPolicy(nodes: Uint8Array): number {
    return this.#core.machine.getMemoryPolicy(this.#place, nodes)
  }

  setMemoryPolicy(mode: number, nodes: Uint8Array): number {
    return this.#core.machine.setMemoryPolicy(this.#place, mode, nodes)
  }

  nodesOfPages(addresses: Float64Array, nodes: Int32Array): number {
    const { memory, machine } = this.#core
    for (let index = 0; index < addresses.length; index++) {
      const buffer = memory.bufferAt(addresses[index]!)
      nodes[index] = buffer === null ? -EFAULT : machine.nodeOf(this.#place, buffer)
    }
    return 0
  }

  openSocket(domain: number, type: number, protocol: number): number {
    if (protocol < 0) return -EINVAL
    const socket = this.#core.network.create(domain, type)
    return typeof socket === 'number' ? socket : this.#core.descriptors.install(socket)
  }

  openSocketPair(domain: number, type: number, fds: Int32Array): number {
    const { network, descriptors } = this.#core
    const pair = network.createPair(domain, type)
    if (typeof pair === 'number') return pair
    const first = descriptors.install(pair[0])
    if (first < 0) return first
    const second = descriptors.install(pair[1])
    if (second < 0) {
      this.closeFd(first)
      return second
    }
    fds[0] = first
    fds[1] = second
    return 0
  }

  bindSocket(fd: number, address: Uint8Array): number {
    const socket = this.#socket(fd)
    if (typeof socket === 'number') return socket
    const parsed = readAddress(address)
    return typeof parsed === 'number' ? parsed : this.#core.network.bind(socket, parsed)
  }

  listenSocket(fd: number, backlog: number): number {
    const socket = this.#socket(fd)
    return typeof socket === 'number' ? socket : this.#core.network.listen(socket, backlog)
  }

  setSocketOption(fd: number, level: number, option: number, value: Uint8Array): number {
    const socket = this.#socket(fd)
    return typeof socket === 'number' ? socket : setOption(socket, level, option, value)
  }

  getSocketOption(fd: number, level: number, option: number, value: Uint8Array): number {
    const socket = this.#socket(fd)
    return typeof socket === 'number' ? socket : getOption(this.#core, socket, level, option, value)
  }

  socketName(fd: number, peer: boolean, address: Uint8Array): number {
    const socket = this.#socket(fd)
    if (typeof socket === 'number') return socket
    if (peer && socket.remote === null) return -ENOTCONN
    const name = peer ? socket.remote : socket.local
    return writeAddress(address, name ?? { ...loopback(socket.domain, 0), host: '' })
  }

  #socket(fd: number): SimSocket | number {
    const socket = this.#core.descriptors.get(fd)
    if (socket === null) return -EBADF
    return socket instanceof SimSocket ? socket : -ENOTSOCK
  }

  /**
   * Lets a busy program take as long as the shortest timeout on a ring that completes by itself.
   *
   * There is no way to let time pass under a loop that only looks at a word, as `needPreempt()` does:
   * so it has passed when the loop looks next, and a while more, by the seed.
   */
  #keepBusy(ring: SimRing): void {
    const { clock, prng } = this.#core
    let dueNs = Number.POSITIVE_INFINITY
    for (const { opcode, event } of ring.inFlight) {
      if (opcode === IORING_OP_TIMEOUT && event !== null) dueNs = Math.min(dueNs, event.atNs)
    }
    if (dueNs - clock.nowNs > BUSY_NS_MAX) return
    clock.advanceTo(dueNs + prng.int(0, 50_000))
  }

  /** Lets time pass until there are so many completions: 0, -ETIME, or -EDEADLK if that can't be. */
  #wait(ring: SimRing, waitCount: number, timeoutNs: number): number {
    const { clock } = this.#core
    const limitNs = timeoutNs < 0 ? Number.POSITIVE_INFINITY : clock.nowNs + timeoutNs
    while (ring.readyCount < waitCount) {
      const nextNs = Math.min(clock.nextNs, limitNs)
      if (nextNs === Number.POSITIVE_INFINITY) return -EDEADLK
      clock.advanceTo(nextNs)
      ring.collect()
      if (ring.readyCount < waitCount && clock.nowNs >= limitNs) return -ETIME
    }
    return 0
  }
}

function createCore(options: SimKernelOptions): SimCore {
  const checked = checkOptions(options)
  return new SimCore(checked, new Prng(checked.seed), createOperations(checked.hasFtruncate))
}

function truncate(file: Description | null, sizeBytes: number): number {
  if (!(file instanceof OpenFile)) return file === null ? -EBADF : -EINVAL
  const isWritable = (file.statusFlags & (O_WRONLY | O_RDWR)) !== 0
  if (file.inode.kind !== 'file' || !isWritable || sizeBytes < 0) return -EINVAL
  file.inode.truncate(sizeBytes)
  return 0
}
