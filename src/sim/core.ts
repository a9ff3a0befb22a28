import { assert, type Prng } from '../base/index.ts'
import {
  type Capabilities,
  decodeCapabilities,
  EALREADY,
  EBADF,
  ECANCELED,
  EINVAL,
  ENFILE,
  ENOENT,
  EOPNOTSUPP,
  encodeCapabilities,
  IORING_FEAT_EXT_ARG,
  IORING_FEAT_NO_IOWAIT,
  IORING_FEAT_NODROP,
  IORING_FEAT_RECVSEND_BUNDLE,
  IORING_FEAT_SINGLE_MMAP,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_TIMEOUT,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_FIXED_FILE,
  IOSQE_IO_DRAIN,
  IOSQE_IO_HARDLINK,
  O_DIRECT,
  POLLERR,
  POLLHUP,
} from '../kernel/index.ts'
import { AddressSpace } from './address-space.ts'
import { SimClock } from './clock.ts'
import { type Description, DescriptorTable } from './descriptors.ts'
import { SimDirectory } from './directory.ts'
import { type CheckedFaults, ERRNO_OF, type SimErrorName } from './faults.ts'
import { FileSystem } from './file-system.ts'
import { SimLoans } from './loans.ts'
import { SimMachine } from './machine.ts'
import { Network } from './network.ts'
import type { CheckedSimOptions } from './options.ts'
import type { RequestRing, SimRequest } from './request.ts'
import { SimThreads } from './threads.ts'
import { describeRequest } from './trace.ts'
import { Transit } from './transit.ts'

/** `IORING_FEAT_…` of every ring. */
export const SIM_FEATURES: number =
  IORING_FEAT_SINGLE_MMAP |
  IORING_FEAT_NODROP |
  IORING_FEAT_EXT_ARG |
  IORING_FEAT_RECVSEND_BUNDLE |
  IORING_FEAT_NO_IOWAIT

const SLOT_ALLOCATE = 0xffffffff

/** What {@link SimOperation.attempt} returns when there is no result yet. */
export const PENDING: number = Number.MIN_SAFE_INTEGER

/** What an opcode does: one entry in a table of `operations.ts`. */
export interface SimOperation {
  /** Its name, without the prefix. */
  readonly name: string
  /**
   * - `inline`: at submission; what it leaves pending it completes by itself.
   * - `disk`: once, after the time that a device takes.
   * - `socket`: at submission and whenever what it waits for may have become ready.
   */
  readonly kind: 'inline' | 'disk' | 'socket'
  /** Whether its `fd` is a descriptor or registered file that must be open. */
  readonly needsFile: boolean
  /** Whether rings that poll take it. */
  readonly isPollable?: boolean
  /** The errors that may be injected. */
  readonly errors: readonly SimErrorName[]
  /** `POLLIN | …`: what to wait for when an attempt is pending. */
  readonly waitEvents?: number
  /** Does it: the completion's result, or {@link PENDING}. */
  attempt(core: SimCore, request: SimRequest): number
  /** What comes of an error that is injected, beside its completion. */
  failed?(core: SimCore, request: SimRequest): void
  /** Whether a result that is no error breaks a link all the same: a short transfer. */
  breaksLink?(request: SimRequest, result: number): boolean
}

/** `IORING_OP_…`, and what it does. */
export type OperationEntry = readonly [number, SimOperation]

/**
 * What happens to requests: issue, wait, retry, complete, cancel. Knows no opcode.
 *
 * Runs no user code: it writes completions, and whoever waits looks at them in a turn.
 */
export class SimCore {
  readonly options: CheckedSimOptions
  readonly faults: CheckedFaults
  readonly prng: Prng
  readonly clock: SimClock
  readonly memory: AddressSpace = new AddressSpace()
  readonly machine: SimMachine
  readonly descriptors: DescriptorTable
  /** The executors of the one process that there is. */
  readonly directory: SimDirectory = new SimDirectory()
  readonly transit: Transit
  readonly loans: SimLoans = new SimLoans()
  readonly files: FileSystem
  readonly network: Network
  readonly rings: Set<RequestRing> = new Set()
  /** And its threads. */
  readonly threads: SimThreads
  readonly capabilities: Capabilities
  /** How many threads have had a kernel. */
  kernelCount = 0
  /** Whether the program runs: a turn of the loop has begun and not ended. */
  isInTurn = false
  /** The number of the thread whose turn that is, or was last; 0 before the first. */
  turnThreadId = 0
  readonly #operations: readonly (SimOperation | undefined)[]
  /** Requests that wait for a file to become ready; a file that none waits for has no entry. */
  readonly #waiters = new Map<Description, Set<SimRequest>>()

  constructor(
    options: CheckedSimOptions,
    prng: Prng,
    operations: readonly (SimOperation | undefined)[],
  ) {
    this.options = options
    this.faults = options.faults
    this.prng = prng
    this.clock = new SimClock(prng)
    this.machine = new SimMachine(options.topology)
    this.descriptors = new DescriptorTable(options.descriptorCountMax)
    this.transit = new Transit(this.descriptors)
    this.files = options.disk ?? new FileSystem(this.clock, options.diskBytes)
    this.files.attach(this.clock)
    this.network = new Network(this)
    this.threads = new SimThreads(this.clock, prng, options.faults.threadPause)
    this.#operations = operations
    this.capabilities = decodeCapabilities(
      encodeCapabilities({
        isKnown: (opcode) => this.isKnown(opcode),
        setups: knownSetups(options),
        features: SIM_FEATURES,
      }),
    )
  }

  isKnown(opcode: number): boolean {
    return this.#operations[opcode] !== undefined
  }

  /** Whether an operation's `fd` is a descriptor or registered file that must be open. */
  needsFile(opcode: number): boolean {
    return this.#operations[opcode]?.needsFile === true
  }

  /** What its opcode is called. */
  nameOf({ opcode }: SimRequest): string {
    return this.#operations[opcode]?.name ?? `OP_${opcode}`
  }

  /** True with the probability of a fault; without any, no random number is used. */
  chance(probability: number): boolean {
    return probability > 0 && this.prng.chance(probability)
  }

  /** How long a step takes that usually takes from `minNs` to `maxNs`. */
  latencyNs(minNs: number, maxNs: number): number {
    let ns = this.prng.int(minNs, maxNs)
    if (this.chance(this.faults.reorder)) ns += this.prng.int(0, 10 * maxNs)
    if (this.chance(this.faults.delay)) ns *= this.prng.int(2, 1000)
    return ns
  }

  /** How much of `lengthBytes` is transferred under a fault plan: at least one unit. */
  shorten(lengthBytes: number, probability: number, unitBytes = 1): number {
    const unitCount = Math.floor(lengthBytes / unitBytes)
    if (unitCount < 2 || !this.chance(probability)) return lengthBytes
    return this.prng.int(1, unitCount - 1) * unitBytes
  }

  /** Issues a chain of linked entries, most often of one. False if one of them is invalid. */
  issue(chain: readonly SimRequest[]): boolean {
    let isValid = true
    const errors: number[] = []
    for (const [index, request] of chain.entries()) {
      const error = this.#prepare(request, chain[index - 1])
      errors.push(error)
      if (error !== 0) isValid = false
      request.ring.inFlight.add(request)
    }
    if (!isValid) {
      for (const [index, request] of chain.entries()) {
        this.complete(request, errors[index] === 0 ? -ECANCELED : errors[index]!)
      }
      return false
    }
    let last: SimRequest | null = null
    for (const request of chain) {
      if (request.opcode === IORING_OP_LINK_TIMEOUT) {
        last!.linkTimeout = request
        request.bounded = last
        continue
      }
      if (last !== null) last.next = request
      last = request
    }
    this.#start(chain[0]!)
    return true
  }

  /** Ends a request, posts its last completion, and starts or breaks what is linked to it. */
  complete(request: SimRequest, result: number, flags = 0): void {
    this.#end(request)
    const isBroken =
      result < 0 || (this.#operationOf(request)?.breaksLink?.(request, result) ?? false)
    if (result < 0 || !(request.flags & IOSQE_CQE_SKIP_SUCCESS)) {
      this.record(request, result, flags)
      request.ring.post(request.userDataLow, request.userDataHigh, result, flags)
    }
    const { linkTimeout, next } = request
    if (linkTimeout !== null && !linkTimeout.isDone) this.complete(linkTimeout, -ECANCELED)
    if (next === null || next.isDone) return
    if (isBroken && !(request.flags & IOSQE_IO_HARDLINK)) this.#cancelChain(next)
    else this.#start(next)
  }

  record(request: SimRequest, result: number, flags: number): void {
    const { trace } = this.options
    if (trace === null) return
    const operation = this.nameOf(request)
    const subject = request.subject ?? describeRequest(this, request)
    const { threadId } = request.ring
    trace({ timeNs: this.clock.nowNs, threadId, operation, ...subject, result, flags })
  }

  /** Does the next step of a request after a delay. */
  later(request: SimRequest, delayNs: number, step: () => void): void {
    assert(request.event === null, 'a request has one step at a time')
    request.event = this.clock.schedule(delayNs, () => {
      request.event = null
      step()
    })
  }

  /** Lets a request wait for its file to become ready. */
  park(request: SimRequest, events: number): void {
    request.waitEvents = events | POLLERR | POLLHUP
    const description = request.description!
    const waiters = this.#waiters.get(description)
    if (waiters === undefined) this.#waiters.set(description, new Set([request]))
    else waiters.add(request)
  }

  /** The file may have become ready: requests that wait for that are tried again, shortly. */
  notify(description: Description): void {
    const waiters = this.#waiters.get(description)
    if (waiters === undefined) return
    const ready = description.readiness()
    for (const request of waiters) {
      if (request.event !== null || !(request.waitEvents & ready)) continue
      this.later(request, this.latencyNs(100, 2_000), () => {
        this.#stopWaiting(request)
        this.attempt(request)
      })
    }
  }

  /** One attempt; what stays pending waits for its file. */
  attempt(request: SimRequest): void {
    const operation = this.#operationOf(request)!
    const injected = this.#injectError(operation, request)
    const result = injected !== 0 ? injected : operation.attempt(this, request)
    if (result !== PENDING) {
      if (!request.isDone) this.complete(request, result)
    } else if (operation.kind === 'socket' && !request.isDone && request.event === null) {
      this.park(request, operation.waitEvents ?? request.waitEvents)
    }
  }

  /** Cancels a request: 0, or -EALREADY if it can't be stopped any more. */
  cancel(request: SimRequest): number {
    const isTimer = request.opcode === IORING_OP_TIMEOUT
    const isUnderWay = request.event !== null && !isTimer
    if (isUnderWay && this.chance(this.faults.lateCancel)) return -EALREADY
    this.complete(request, request.doneBytes > 0 ? request.doneBytes : -ECANCELED)
    return 0
  }

  /** Cancels what `matches` among a ring's requests: how many if `all`, else 0 or `-errno`. */
  cancelMatching(
    ring: RequestRing,
    all: boolean,
    matches: (request: SimRequest) => boolean,
  ): number {
    let count = 0
    for (const request of [...ring.inFlight]) {
      // What a device has that is polled no cancel finds.
      if (ring.isPolled) continue
      if (!request.isStarted || request.isUnstoppable || !matches(request)) continue
      const result = this.cancel(request)
      if (!all) return result
      count++
    }
    return all ? count : -ENOENT
  }

  /** Gives a new description its descriptor, or a slot among the ring's registered files. */
  install(request: SimRequest, description: Description): number {
    if (request.fileIndex === 0) return this.descriptors.install(description)
    const { files } = request.ring
    if (files === null) return -EINVAL
    const isAllocated = request.fileIndex === SLOT_ALLOCATE
    const slot = isAllocated ? files.indexOf(null) : request.fileIndex - 1
    if (slot < 0 || slot >= files.length) return isAllocated ? -ENFILE : -EINVAL
    description.hold()
    files[slot]?.release()
    files[slot] = description
    return isAllocated ? slot : 0
  }

  /** Timeouts that count completions. */
  expireCounts(ring: RequestRing): void {
    if (ring.countedTimeouts.size === 0) return
    for (const request of ring.countedTimeouts) {
      if (--request.count > 0) continue
      ring.countedTimeouts.delete(request)
      this.complete(request, 0)
    }
  }

  /** Ends everything on a ring; its completions are seen by nobody. */
  closeRing(ring: RequestRing): void {
    for (const request of [...ring.inFlight]) this.#end(request)
    for (const file of ring.files ?? []) file?.release()
    ring.files = null
    this.rings.delete(ring)
  }

  #prepare(request: SimRequest, previous: SimRequest | undefined): number {
    const operation = this.#operationOf(request)
    if (operation === undefined) return -EINVAL
    if (request.flags & IOSQE_IO_DRAIN) return -EINVAL
    if (request.ring.isPolled && operation.isPollable !== true) return -EINVAL
    if (request.opcode === IORING_OP_LINK_TIMEOUT) {
      const isOrphan = previous === undefined || previous.opcode === IORING_OP_LINK_TIMEOUT
      return isOrphan ? -EINVAL : 0
    }
    const isSelectable = operation.kind === 'socket' || operation.name === 'READ'
    if (request.flags & IOSQE_BUFFER_SELECT && !isSelectable) return -EOPNOTSUPP
    return 0
  }

  #start(request: SimRequest): void {
    const operation = this.#operationOf(request)!
    request.isStarted = true
    if (this.options.trace !== null) request.subject = describeRequest(this, request)
    if (operation.needsFile) {
      const description = this.#look(request)
      if (description === null) {
        this.complete(request, -EBADF)
        return
      }
      description.hold()
      request.description = description
      if (request.ring.isPolled && !this.#canPoll(description)) {
        this.complete(request, -EOPNOTSUPP)
        return
      }
    }
    const timeout = request.linkTimeout
    if (timeout !== null) {
      timeout.isStarted = true
      this.#operationOf(timeout)!.attempt(this, timeout)
    }
    if (operation.kind === 'disk') {
      const [minNs, maxNs] = this.options.diskLatencyNs
      this.later(request, this.latencyNs(minNs, maxNs), () => this.attempt(request))
    } else {
      this.attempt(request)
    }
  }

  #canPoll({ statusFlags }: Description): boolean {
    return this.options.hasPollQueues && (statusFlags & O_DIRECT) !== 0
  }

  #look(request: SimRequest): Description | null {
    if (!(request.flags & IOSQE_FIXED_FILE)) return this.descriptors.get(request.fd)
    return request.ring.files?.[request.fd] ?? null
  }

  /** Lets go of the file of a request that needs it no more, and has a completion to come. */
  releaseFile(request: SimRequest): void {
    this.#stopWaiting(request)
    request.description!.release()
    request.description = null
  }

  #end(request: SimRequest): void {
    assert(!request.isDone, 'a request ends once')
    request.isDone = true
    request.ring.inFlight.delete(request)
    request.ring.countedTimeouts.delete(request)
    if (request.event !== null) this.clock.cancel(request.event)
    request.event = null
    if (request.description === null) return
    this.#stopWaiting(request)
    request.description.release()
  }

  #stopWaiting(request: SimRequest): void {
    const description = request.description!
    const waiters = this.#waiters.get(description)
    waiters?.delete(request)
    if (waiters?.size === 0) this.#waiters.delete(description)
  }

  /** What its opcode does; undefined for one that this kernel does not know. */
  #operationOf({ opcode }: SimRequest): SimOperation | undefined {
    return this.#operations[opcode]
  }

  #cancelChain(first: SimRequest): void {
    for (let request: SimRequest | null = first; request !== null; request = request.next) {
      const { linkTimeout } = request
      this.#end(request)
      this.record(request, -ECANCELED, 0)
      request.ring.post(request.userDataLow, request.userDataHigh, -ECANCELED, 0)
      if (linkTimeout !== null) this.complete(linkTimeout, -ECANCELED)
    }
  }

  #injectError(operation: SimOperation, request: SimRequest): number {
    const { errors } = this.faults
    if (errors.size === 0) return 0
    for (const name of operation.errors) {
      const probability = errors.get(name)
      if (probability === undefined || !this.prng.chance(probability)) continue
      return this.#fail(name, request)
    }
    return 0
  }

  /** A transfer that has begun reports what it did; the error would come with the next. */
  #fail(name: SimErrorName, request: SimRequest): number {
    if (name === 'ECONNRESET') this.network.reset(request.description)
    this.#operationOf(request)!.failed?.(this, request)
    return request.doneBytes > 0 ? request.doneBytes : -ERRNO_OF[name]
  }
}

/** The flags that a simulated ring takes. */
function knownSetups({ hasNoSqArray, hasDeferTaskrun }: CheckedSimOptions): string[] {
  return [
    ...['CLAMP', 'IOPOLL', 'SUBMIT_ALL', 'COOP_TASKRUN', 'TASKRUN_FLAG', 'SINGLE_ISSUER'],
    ...(hasDeferTaskrun ? ['DEFER_TASKRUN'] : []),
    ...(hasNoSqArray ? ['NO_SQARRAY'] : []),
  ]
}
