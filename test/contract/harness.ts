/** What the contract tests share: a bare ring, memory, names and connections on any kernel. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AF_INET,
  AT_FDCWD,
  CQE_WORDS,
  createSlot,
  F_DUPFD_CLOEXEC,
  IORING_ENTER_GETEVENTS,
  IORING_OP_ACCEPT,
  IORING_OP_CLOSE,
  IORING_OP_CONNECT,
  IORING_OP_MKDIRAT,
  IORING_OP_OPENAT,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  type Kernel,
  type LoopHost,
  type RingMemory,
  SOCK_CLOEXEC,
  SOCK_STREAM,
} from '../../src/kernel/index.ts'
import { encodeEntry, writeTimespec } from '../../src/ring/index.ts'
import { farLimitMs } from '../limits.ts'

export interface Completion {
  readonly userData: number
  readonly result: number
  readonly flags: number
}

export interface Entry {
  readonly opcode: number
  /** `IOSQE_…` */
  readonly flags?: number
  readonly ioPriority?: number
  readonly fd?: number
  readonly offset?: number
  readonly address?: number
  readonly length?: number
  readonly opFlags?: number
  /** Registered buffer, or group of provided buffers. */
  readonly buffer?: number
  readonly fileIndex?: number
  readonly userData?: number
}

export interface TestRingOptions {
  readonly entryCount?: number
  readonly completionCount?: number
  readonly flags?: number
}

const WAIT_NS = farLimitMs(20_000) * 1e6
const MEMORY_BYTES = 1 << 20

/** A ring without anything above it: entries in, completions out, in the ABI's own words. */
export class TestRing implements Disposable {
  readonly kernel: Kernel
  readonly memory: RingMemory
  readonly #arena: Uint8Array<ArrayBuffer>
  #used = 0

  constructor(kernel: Kernel, options: TestRingOptions = {}) {
    const { entryCount = 8, completionCount = 4 * entryCount } = options
    const deferred = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG
    const single = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL
    const flags = options.flags ?? deferred | single
    const memory = kernel.setupRing({ entryCount, completionCount, flags })
    assert(typeof memory !== 'number', `io_uring_setup answers ${String(memory)}`)
    this.kernel = kernel
    this.memory = memory
    this.#arena = kernel.allocate(MEMORY_BYTES).bytes
  }

  [Symbol.dispose](): void {
    this.kernel.closeRing(this.memory)
  }

  /** Memory that the kernel may touch, and its address. */
  allocate(lengthBytes: number, alignment = 64): { bytes: Uint8Array; address: number } {
    this.#used = Math.ceil(this.#used / alignment) * alignment
    const bytes = this.#arena.subarray(this.#used, this.#used + lengthBytes)
    assert.equal(bytes.length, lengthBytes)
    this.#used += lengthBytes
    return { bytes, address: this.kernel.addressOf(bytes) }
  }

  /** The address of a string, or of bytes. */
  place(value: string | Uint8Array): number {
    const source = typeof value === 'string' ? Buffer.from(`${value}\0`) : value
    const { bytes, address } = this.allocate(source.length)
    bytes.set(source)
    return address
  }

  /** The address of a `struct __kernel_timespec`. */
  timespec(ns: number): number {
    const { bytes, address } = this.allocate(16)
    writeTimespec(new Uint32Array(bytes.buffer, bytes.byteOffset, 4), 0, ns)
    return address
  }

  /** Writes an entry; {@link submit} or {@link wait} tells the kernel. */
  push(entry: Entry): void {
    const { words, sqes, layout } = this.memory
    const tail = words[layout.sqTail]!
    const index = tail & (layout.sqEntryCount - 1)
    const base = index * 16
    const { opcode, flags = 0, ioPriority = 0, fd = -1, offset = 0, address = 0 } = entry
    const first = opcode | (flags << 8) | (ioPriority << 16)
    encodeEntry(sqes, base, first, fd, offset, address, entry.length ?? 0, entry.opFlags ?? 0)
    sqes[base + 8] = entry.userData ?? 0
    sqes[base + 9] = 0
    sqes[base + 10] = entry.buffer ?? 0
    sqes[base + 11] = entry.fileIndex ?? 0
    if (layout.sqArray !== -1) words[layout.sqArray + index] = index
    words[layout.sqTail] = tail + 1
  }

  get unsubmittedCount(): number {
    const { words, layout } = this.memory
    return (words[layout.sqTail]! - words[layout.sqHead]!) | 0
  }

  /** io_uring_enter without waiting. */
  submit(): number {
    return this.kernel.enter(this.memory.fd, this.unsubmittedCount, 0, IORING_ENTER_GETEVENTS, -1)
  }

  /** What has completed. */
  reap(): Completion[] {
    const { words, layout } = this.memory
    const found: Completion[] = []
    for (let head = words[layout.cqHead]!; head !== words[layout.cqTail]; ) {
      const base = layout.cqes + (head & (layout.cqEntryCount - 1)) * CQE_WORDS
      found.push({
        userData: words[base]!,
        result: words[base + 2]! | 0,
        flags: words[base + 3]!,
      })
      head = (head + 1) >>> 0
      words[layout.cqHead] = head
    }
    return found
  }

  /** Submits, and waits for exactly so many completions. */
  wait(count: number): Completion[] {
    const found: Completion[] = []
    while (found.length < count) {
      const { fd } = this.memory
      const result = this.kernel.enter(
        fd,
        this.unsubmittedCount,
        1,
        IORING_ENTER_GETEVENTS,
        WAIT_NS,
      )
      assert(result >= 0, `io_uring_enter answers ${result} after ${found.length} of ${count}`)
      found.push(...this.reap())
    }
    assert.equal(found.length, count)
    return found
  }

  /** The results of so many completions by their user data. */
  results(count: number): Map<number, number> {
    return new Map(this.wait(count).map(({ userData, result }) => [userData, result]))
  }

  /** The result of one entry, with nothing else in flight. */
  run(entry: Entry): number {
    this.push(entry)
    return this.wait(1)[0]!.result
  }

  /** A descriptor, which has to be closed. */
  open(path: string, flags: number, mode = 0o600): number {
    const address = this.place(path)
    const entry = { opcode: IORING_OP_OPENAT, fd: AT_FDCWD, address, length: mode }
    return this.run({ ...entry, opFlags: flags })
  }

  close(fd: number): number {
    return this.run({ opcode: IORING_OP_CLOSE, fd })
  }
}

/** Calls `body` with the path of an empty directory of the kernel's own disk, and removes it. */
export async function withDirectory(
  ring: TestRing,
  body: (path: string) => void | Promise<void>,
): Promise<void> {
  if (ring.kernel.name === 'sim') {
    const address = ring.place('/tmp/contract')
    const entry = { opcode: IORING_OP_MKDIRAT, fd: AT_FDCWD, address, length: 0o700 }
    assert.equal(ring.run(entry), 0)
    await body('/tmp/contract')
    return
  }
  const path = mkdtempSync(join(tmpdir(), 'percore-contract-'))
  try {
    await body(path)
  } finally {
    rmSync(path, { recursive: true })
  }
}

/** A raw `sockaddr_in` of the loopback address. */
export function loopbackAddress(port: number): Uint8Array {
  const raw = new Uint8Array(16)
  const fields = new DataView(raw.buffer)
  fields.setUint16(0, AF_INET, true)
  fields.setUint16(2, port)
  raw.set([127, 0, 0, 1], 4)
  return raw
}

export function openTcp(kernel: Kernel): number {
  const fd = kernel.openSocket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
  assert(fd >= 0)
  return fd
}

/** A listening socket on a port of the kernel's choice. */
export function listenTcp(kernel: Kernel, backlog = 16): { fd: number; port: number } {
  const fd = openTcp(kernel)
  assert.equal(kernel.bindSocket(fd, loopbackAddress(0)), 0)
  assert.equal(kernel.listenSocket(fd, backlog), 0)
  const name = new Uint8Array(28)
  assert.equal(kernel.socketName(fd, false, name), 16)
  return { fd, port: new DataView(name.buffer).getUint16(2) }
}

/** The entry that connects a socket to a port. */
export function connectEntry(ring: TestRing, fd: number, port: number): Entry {
  return { opcode: IORING_OP_CONNECT, fd, address: ring.place(loopbackAddress(port)), offset: 16 }
}

/** Both ends of a connection. */
export function connectPair(ring: TestRing): { client: number; server: number } {
  const { kernel } = ring
  const listener = listenTcp(kernel)
  const client = openTcp(kernel)
  ring.push({ ...connectEntry(ring, client, listener.port), userData: 1 })
  ring.push({ opcode: IORING_OP_ACCEPT, fd: listener.fd, userData: 2 })
  const results = ring.results(2)
  assert.equal(results.get(1), 0)
  kernel.closeFd(listener.fd)
  const server = results.get(2)!
  assert(server >= 0)
  return { client, server }
}

/** A place in no loop: the tests enter the ring themselves, or the ring does when it is full. */
export function nowhere(kernel: Kernel): LoopHost {
  return {
    id: 1,
    control: createSlot(),
    hostFd: -1,
    setupRing: (setup) => kernel.setupRing(setup),
    addRing: ({ words, layout }, { enterFd, enterFlags }) => {
      const flags = enterFlags | IORING_ENTER_GETEVENTS
      return () => {
        const count = (words[layout.sqTail]! - words[layout.sqHead]!) | 0
        return kernel.enter(enterFd, count, 0, flags, -1)
      }
    },
    keepMemory() {},
    reference() {},
    isHostDue: () => false,
    trackFd() {},
    openSocket: (domain, type, protocol) => kernel.openSocket(domain, type, protocol),
    openSocketPair: (domain, type, fds) => kernel.openSocketPair(domain, type, fds),
    duplicateFd: (fd) => kernel.controlFd(fd, F_DUPFD_CLOEXEC, 0),
    receiveRights: () => -1,
    closeFd: (fd) => kernel.closeFd(fd),
    passFd: () => -1,
    takeFd: () => -1,
    shareFd: () => -1,
    joinFd: () => -1,
    leaveFd: () => false,
    lendMemory: () => -1,
    takeReturned: () => -1,
    detach() {},
  }
}
