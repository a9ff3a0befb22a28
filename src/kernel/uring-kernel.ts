import { ftruncate, readdirSync, readFileSync } from 'node:fs'
import { assert } from '../base/index.ts'
import {
  CQE_WORDS,
  F_DUPFD_CLOEXEC,
  IORING_FEAT_SINGLE_MMAP,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_NO_SQARRAY,
  MADV_HUGEPAGE,
  SQE_WORDS,
} from './abi.ts'
import { type Addon, loadAddon, type NativeLoop } from './addon.ts'
import { CAPABILITY_WORDS, type Capabilities } from './capabilities.ts'
import { type Directory, type ExecutorId, HEADER_CAPABILITIES, OwnSlot } from './directory.ts'
import { EACCES, ENOENT, ENOSYS } from './errno.ts'
import { hostRandom, hostWallClockMs } from './host-clock.ts'
import type {
  AsideCalls,
  Kernel,
  KernelMemory,
  LoopHost,
  RingEntry,
  RingLayout,
  RingMemory,
  RingRole,
  RingSetup,
  SubmitRing,
} from './kernel.ts'
import { RIGHTS_HEAD_WORDS } from './kernel.ts'
import { WORD_HOLDER } from './loop-control.ts'
import { shareCapabilities } from './probe.ts'
import { UringAside } from './uring-aside.ts'
import { UringDirectory } from './uring-directory.ts'
import { HUGE_PAGE_BYTES, UringMemory } from './uring-memory.ts'

// ABI: struct io_uring_params, in words.
const PARAMS_WORDS = 30
const PARAMS_SQ_ENTRIES = 0
const PARAMS_CQ_ENTRIES = 1
const PARAMS_FLAGS = 2
const PARAMS_FEATURES = 5
// struct io_sqring_offsets: head, tail, ring_mask, ring_entries, flags, dropped, array
const PARAMS_SQ_OFFSETS = 10
// struct io_cqring_offsets: head, tail, ring_mask, ring_entries, overflow, cqes, flags
const PARAMS_CQ_OFFSETS = 20

// ABI: with native/queues.h.
const ROLES: Readonly<Record<RingRole, number>> = { park: 0, notify: 1, busyPoll: 2 }

/**
 * The real kernel, through the native layer. One per thread.
 *
 * @throws {RuntimeError} `ERR_ADDON_MISSING`
 */
export class UringKernel implements Kernel {
  readonly name = 'uring'
  readonly processId: number = process.pid
  readonly #addon: Addon = loadAddon()
  readonly aside: AsideCalls = new UringAside(this.#addon)
  readonly #clock = new Float64Array(1)
  #capabilities: Capabilities | null = null
  readonly #readClock: () => void = this.#addon.clockReader(this.#clock)

  capabilities(host?: LoopHost): Capabilities {
    if (this.#capabilities !== null) return this.#capabilities
    const { words } = this.directory.slot(0)
    const shared = words.subarray(HEADER_CAPABILITIES, HEADER_CAPABILITIES + CAPABILITY_WORDS)
    const capabilities = shareCapabilities(this, shared, host)
    if (capabilities.isAvailable) this.#capabilities = capabilities
    return capabilities
  }

  setupRing(setup: RingSetup): RingMemory | number {
    const addon = this.#addon
    return createRing(addon, setup, {
      open: (entryCount, params) => addon.ringSetup(entryCount, params),
      close: (fd) => addon.fdClose(fd),
    })
  }

  enter(
    fd: number,
    submitCount: number,
    waitCount: number,
    flags: number,
    timeoutNs: number,
  ): number {
    return this.#addon.ringEnter(fd, submitCount, waitCount, flags, timeoutNs)
  }

  register(
    fd: number,
    opcode: number,
    argument: Uint32Array | Int32Array | Uint8Array | null,
    count: number,
  ): number {
    return this.#addon.ringRegister(fd, opcode, argument, count)
  }

  closeRing(memory: RingMemory): void {
    this.#addon.fdClose(memory.fd)
  }

  allocate(lengthBytes: number): KernelMemory {
    return new UringMemory(this.#addon, lengthBytes)
  }

  leftBytes(): number {
    return this.#addon.memoryLeftBytes()
  }

  adviseHugePages(view: Uint8Array): void {
    const address = this.addressOf(view)
    const start = Math.ceil(address / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES - address
    const end = Math.floor((address + view.length) / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES - address
    if (end > start) this.#addon.memoryAdvise(view.subarray(start, end), MADV_HUGEPAGE)
  }

  addressOf(view: Uint8Array | Uint32Array | Int32Array): number {
    return this.#addon.memoryAddress(view)
  }

  nowNs(): number {
    this.#readClock()
    return this.#clock[0]!
  }

  wallClockMs(): number {
    return hostWallClockMs()
  }

  random(): number {
    return hostRandom()
  }

  get directory(): Directory {
    return UringDirectory.ofThread(this.#addon)
  }

  attachLoop(turn: () => void): LoopHost | number {
    // First, since it throws where this host of JavaScript takes no memory from outside.
    const { directory } = this
    assert(directory.usedCount >= 0, 'the directory is there')
    const loop = this.#addon.loopAttach(turn)
    return typeof loop === 'number' ? loop : new UringLoopHost(this.#addon, loop, directory)
  }

  currentDirectory(): string | number {
    try {
      return process.cwd()
    } catch (error) {
      // It was removed.
      return (error as { errno?: number }).errno ?? -ENOENT
    }
  }

  closeFd(fd: number): number {
    return this.#addon.fdClose(fd)
  }

  dropPassedFd(name: number): number {
    return this.#addon.fdDropPassed(name)
  }

  borrowMemory(name: number): Uint8Array | number {
    return this.#addon.memoryBorrow(name)
  }

  returnMemory(name: number, bytes: Uint8Array): number {
    return this.#addon.memoryReturn(name, bytes.buffer)
  }

  dropLoan(name: number): number {
    return this.#addon.memoryDropLoan(name)
  }

  controlFd(fd: number, command: number, argument: number): number {
    return this.#addon.fdControl(fd, command, argument)
  }

  fileSystemOf(fd: number): number {
    return this.#addon.fdFileSystem(fd)
  }

  seekFd(fd: number, positionBytes: number): number {
    return this.#addon.fdSeek(fd, positionBytes)
  }

  truncateFd(fd: number, sizeBytes: number, done: (result: number) => void): void {
    // Of its own, since a terminated thread closes ours, and the number may be another file's by then.
    const ownFd = this.#addon.fdControl(fd, F_DUPFD_CLOEXEC, 0)
    if (ownFd < 0) {
      process.nextTick(done, ownFd)
      return
    }
    ftruncate(ownFd, sizeBytes, (error) => {
      this.#addon.fdClose(ownFd)
      done(error?.errno ?? 0)
    })
  }

  readTextFile(path: string): string | number {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      // Node's permission model refuses without asking the kernel.
      return (error as { errno?: number }).errno ?? -EACCES
    }
  }

  threadIds(): readonly number[] {
    try {
      return readdirSync('/proc/self/task').map(Number)
    } catch {
      return []
    }
  }

  getAffinity(threadId: number, mask: Uint8Array): number {
    return this.#addon.threadAffinity(threadId, mask)
  }

  setAffinity(threadId: number, mask: Uint8Array): number {
    return this.#addon.threadSetAffinity(threadId, mask)
  }

  getMemoryPolicy(nodes: Uint8Array): number {
    return this.#addon.memoryPolicy(nodes)
  }

  setMemoryPolicy(mode: number, nodes: Uint8Array): number {
    return this.#addon.memorySetPolicy(mode, nodes)
  }

  nodesOfPages(addresses: Float64Array, nodes: Int32Array): number {
    assert(addresses.length === nodes.length, 'each page has a node')
    return this.#addon.memoryNodes(addresses, nodes)
  }

  openSocket(domain: number, type: number, protocol: number): number {
    return this.#addon.socketOpen(domain, type, protocol)
  }

  openSocketPair(domain: number, type: number, fds: Int32Array): number {
    assert(fds.length >= 2, 'a pair has two descriptors')
    return this.#addon.socketOpenPair(domain, type, fds)
  }

  bindSocket(fd: number, address: Uint8Array): number {
    return this.#addon.socketBind(fd, address)
  }

  listenSocket(fd: number, backlog: number): number {
    return this.#addon.socketListen(fd, backlog)
  }

  setSocketOption(fd: number, level: number, option: number, value: Uint8Array): number {
    return this.#addon.socketSetOption(fd, level, option, value)
  }

  getSocketOption(fd: number, level: number, option: number, value: Uint8Array): number {
    return this.#addon.socketGetOption(fd, level, option, value)
  }

  socketName(fd: number, peer: boolean, address: Uint8Array): number {
    return this.#addon.socketName(fd, peer ? 1 : 0, address)
  }
}

class UringLoopHost implements LoopHost {
  readonly id: ExecutorId
  readonly control: OwnSlot
  readonly hostFd: number
  readonly #addon: Addon
  readonly #loop: NativeLoop
  #detached = false

  constructor(addon: Addon, loop: NativeLoop, directory: Directory) {
    this.#addon = addon
    this.#loop = loop
    this.control = new OwnSlot(directory.slot(addon.loopSlot(loop)))
    this.id = this.control.words[WORD_HOLDER]!
    this.hostFd = addon.loopHostFd(loop)
  }

  setupRing(setup: RingSetup): RingMemory | number {
    assert(!this.#detached, 'a loop that was left gets no more rings')
    return createRing(this.#addon, setup, {
      open: (entryCount, params) => this.#addon.loopSetupRing(this.#loop, entryCount, params),
      close: (fd) => this.closeFd(fd),
    })
  }

  addRing(memory: RingMemory, entry: RingEntry, role: RingRole): SubmitRing | number {
    assert(!this.#detached, 'a loop that was left gets no more rings')
    const { layout } = memory
    return this.#addon.loopAddRing(
      this.#loop,
      Int32Array.of(
        memory.fd,
        entry.enterFd,
        entry.enterFlags,
        entry.waitFlags,
        layout.sqHead,
        layout.sqTail,
        layout.sqFlags,
        layout.cqHead,
        layout.cqTail,
        layout.cqEntryCount - 1,
        layout.cqes,
        memory.words.byteLength,
        layout.sqEntryCount,
        ROLES[role],
      ),
    )
  }

  keepMemory(memory: KernelMemory): void {
    assert(memory instanceof UringMemory, 'a loop keeps memory of its own kernel')
    if (!this.#detached) this.#addon.loopKeepMemory(this.#loop, memory.handle)
  }

  reference(): void {
    if (!this.#detached) this.#addon.loopReference(this.#loop)
  }

  isHostDue(): boolean {
    return !this.#detached && this.#addon.loopHostIsDue(this.#loop) === 1
  }

  trackFd(fd: number, tracked: boolean): void {
    if (!this.#detached) this.#addon.loopTrackFd(this.#loop, fd, tracked ? 1 : 0)
  }

  openSocket(domain: number, type: number, protocol: number): number {
    assert(!this.#detached, 'a loop that was left gets no more descriptors')
    return this.#addon.loopOpenSocket(this.#loop, domain, type, protocol)
  }

  openSocketPair(domain: number, type: number, fds: Int32Array): number {
    assert(!this.#detached, 'a loop that was left gets no more descriptors')
    assert(fds.length >= 2, 'a pair has two descriptors')
    return this.#addon.loopOpenSocketPair(this.#loop, domain, type, fds)
  }

  duplicateFd(fd: number): number {
    assert(!this.#detached, 'a loop that was left gets no more descriptors')
    return this.#addon.loopDuplicateFd(this.#loop, fd)
  }

  receiveRights(fd: number, data: Uint8Array, rights: Int32Array): number {
    assert(!this.#detached, 'a loop that was left gets no more descriptors')
    assert(rights.length > RIGHTS_HEAD_WORDS, 'there is room for a descriptor')
    return this.#addon.loopReceiveRights(this.#loop, fd, data, rights)
  }

  closeFd(fd: number): number {
    return this.#detached ? 0 : this.#addon.loopCloseFd(this.#loop, fd)
  }

  passFd(fd: number, outlives: boolean): number {
    assert(!this.#detached, 'a loop that was left has closed its descriptors')
    return this.#addon.loopPassFd(this.#loop, fd, outlives ? 1 : 0)
  }

  takeFd(name: number): number {
    assert(!this.#detached, 'a loop that was left gets no more descriptors')
    return this.#addon.loopTakeFd(this.#loop, name)
  }

  shareFd(fd: number): number {
    assert(!this.#detached, 'a loop that was left has closed its descriptors')
    return this.#addon.loopShareFd(this.#loop, fd)
  }

  joinFd(name: number): number {
    assert(!this.#detached, 'a loop that was left gets no more descriptors')
    return this.#addon.loopJoinFd(this.#loop, name)
  }

  leaveFd(name: number, fd: number): boolean {
    return !this.#detached && this.#addon.loopLeaveFd(this.#loop, name, fd) === 1
  }

  lendMemory(memory: KernelMemory, offset: number, lengthBytes: number, inbox: number): number {
    assert(!this.#detached, 'a loop that was left lends nothing')
    assert(memory instanceof UringMemory, 'a loop lends memory of its own kernel')
    return this.#addon.loopLendMemory(this.#loop, memory.handle, offset, lengthBytes, inbox)
  }

  takeReturned(): number {
    return this.#detached ? -ENOENT : this.#addon.loopTakeReturned(this.#loop)
  }

  detach(): void {
    if (this.#detached) return
    this.#detached = true
    this.control.leave()
    this.#addon.loopDetach(this.#loop)
  }
}

/** How a ring's descriptor comes and goes. */
interface RingOwner {
  open(entryCount: number, params: Uint32Array): number
  close(fd: number): number
}

function createRing(addon: Addon, setup: RingSetup, owner: RingOwner): RingMemory | number {
  const params = new Uint32Array(PARAMS_WORDS)
  params[PARAMS_FLAGS] = setup.flags | IORING_SETUP_CQSIZE
  params[PARAMS_CQ_ENTRIES] = setup.completionCount
  const fd = owner.open(setup.entryCount, params)
  if (fd < 0) return fd
  const memory = mapRing(addon, fd, params)
  if (typeof memory === 'number') owner.close(fd)
  return memory
}

function mapRing(addon: Addon, fd: number, params: Uint32Array): RingMemory | number {
  if (!(params[PARAMS_FEATURES]! & IORING_FEAT_SINGLE_MMAP)) return -ENOSYS
  const layout = readLayout(params)
  const ringBytes =
    4 *
    Math.max(layout.cqes + layout.cqEntryCount * CQE_WORDS, layout.sqArray + layout.sqEntryCount)
  const ring = addon.ringMap(fd, IORING_OFF_SQ_RING, ringBytes)
  if (typeof ring === 'number') return ring
  const entries = addon.ringMap(fd, IORING_OFF_SQES, layout.sqEntryCount * SQE_WORDS * 4)
  if (typeof entries === 'number') return entries
  return {
    fd,
    words: new Uint32Array(ring),
    sqes: new Uint32Array(entries),
    layout,
    setupFlags: params[PARAMS_FLAGS]!,
    features: params[PARAMS_FEATURES]!,
  }
}

function readLayout(params: Uint32Array): RingLayout {
  const sq = (field: number): number => params[PARAMS_SQ_OFFSETS + field]! / 4
  const cq = (field: number): number => params[PARAMS_CQ_OFFSETS + field]! / 4
  return {
    sqHead: sq(0),
    sqTail: sq(1),
    sqFlags: sq(4),
    sqEntryCount: params[PARAMS_SQ_ENTRIES]!,
    sqArray: params[PARAMS_FLAGS]! & IORING_SETUP_NO_SQARRAY ? -1 : sq(6),
    cqHead: cq(0),
    cqTail: cq(1),
    cqOverflow: cq(4),
    cqEntryCount: params[PARAMS_CQ_ENTRIES]!,
    cqes: cq(5),
  }
}
