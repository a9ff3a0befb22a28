import { NS_PER_S } from '../base/index.ts'
import {
  EBADF,
  EBADFD,
  EFAULT,
  EINVAL,
  EMFILE,
  ENOENT,
  ETIME,
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_ANY,
  IORING_ASYNC_CANCEL_FD,
  IORING_MSG_DATA,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_FILES_UPDATE,
  IORING_OP_FIXED_FD_INSTALL,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_MSG_RING,
  IORING_OP_NOP,
  IORING_OP_POLL_ADD,
  IORING_OP_POLL_REMOVE,
  IORING_OP_TIMEOUT,
  IORING_OP_TIMEOUT_REMOVE,
  IORING_POLL_ADD_MULTI,
  IORING_TIMEOUT_ABS,
  IORING_TIMEOUT_MULTISHOT,
  IORING_TIMEOUT_UPDATE,
  POLLERR,
  POLLHUP,
} from '../kernel/index.ts'
import { type OperationEntry, PENDING, type SimCore, type SimOperation } from './core.ts'
import { updateFiles } from './registration.ts'
import type { SimRequest } from './request.ts'
import { SimRing } from './sim-ring.ts'
import { readWide } from './vectors.ts'

const TIMESPEC_BYTES = 16
const CANCEL_FD_FIXED = 1 << 3
const CANCEL_USER_DATA = 1 << 4
const CANCEL_OP = 1 << 5
const MSG_RING_FLAGS_PASS = 2
/** A timer may be late by as much, and is never early. */
const TIMER_SLACK_NS_MAX = 5_000
/** How long a message to another ring takes that is late. */
const MESSAGE_NS_MIN = 1_000
const MESSAGE_NS_MAX = 100_000

/** Opcodes on requests, rings and time. */
export const CONTROL_OPERATIONS: readonly OperationEntry[] = [
  [IORING_OP_NOP, { ...inline('NOP', () => 0), isPollable: true }],
  [IORING_OP_TIMEOUT, inline('TIMEOUT', startTimeout)],
  [IORING_OP_TIMEOUT_REMOVE, inline('TIMEOUT_REMOVE', removeTimeout)],
  [IORING_OP_LINK_TIMEOUT, inline('LINK_TIMEOUT', startLinkTimeout)],
  [IORING_OP_ASYNC_CANCEL, inline('ASYNC_CANCEL', cancel)],
  [IORING_OP_POLL_ADD, { ...inline('POLL_ADD', poll), kind: 'socket', needsFile: true }],
  [IORING_OP_POLL_REMOVE, inline('POLL_REMOVE', removePoll)],
  [IORING_OP_MSG_RING, { ...inline('MSG_RING', message), needsFile: true, errors: ['ENOMEM'] }],
  [IORING_OP_FILES_UPDATE, inline('FILES_UPDATE', changeFiles)],
  [IORING_OP_FIXED_FD_INSTALL, { ...inline('FIXED_FD_INSTALL', installFd), needsFile: true }],
]

function inline(
  name: string,
  attempt: (core: SimCore, request: SimRequest) => number,
): SimOperation {
  return { name, kind: 'inline', needsFile: false, errors: [], attempt }
}

function startTimeout(core: SimCore, request: SimRequest): number {
  const delayNs = delayOf(core, request, request.address)
  if (delayNs === null) return -EFAULT
  const isRepeating = (request.opFlags & IORING_TIMEOUT_MULTISHOT) !== 0
  request.count = request.offset
  if (request.count > 0 && !isRepeating) request.ring.countedTimeouts.add(request)
  expireLater(core, request, delayNs)
  return PENDING
}

function expireLater(core: SimCore, request: SimRequest, delayNs: number): void {
  core.later(request, delayNs + core.prng.int(0, TIMER_SLACK_NS_MAX), () => {
    const isRepeating = (request.opFlags & IORING_TIMEOUT_MULTISHOT) !== 0
    const isLast = request.offset > 0 && --request.count === 0
    if (isRepeating && !isLast && request.ring.postMore(request, -ETIME, 0)) {
      expireLater(core, request, delayNs)
    } else {
      core.complete(request, -ETIME)
    }
  })
}

function startLinkTimeout(core: SimCore, request: SimRequest): number {
  const delayNs = delayOf(core, request, request.address)
  const { bounded } = request
  if (delayNs === null || bounded === null) return -EFAULT
  core.later(request, delayNs + core.prng.int(0, TIMER_SLACK_NS_MAX), () => {
    // Set aside, so that the end of what it bounds does not end it as well.
    bounded.linkTimeout = null
    const result = core.cancel(bounded)
    core.complete(request, result === 0 ? -ETIME : result)
  })
  return PENDING
}

function removeTimeout(core: SimCore, request: SimRequest): number {
  const isUpdate = (request.opFlags & IORING_TIMEOUT_UPDATE) !== 0
  for (const other of request.ring.inFlight) {
    if (other.opcode !== IORING_OP_TIMEOUT || !hasUserData(other, request)) continue
    if (!isUpdate) return core.cancel(other)
    const delayNs = delayOf(core, request, request.offset)
    if (delayNs === null) return -EFAULT
    if (other.event !== null) core.clock.cancel(other.event)
    other.event = null
    expireLater(core, other, delayNs)
    return 0
  }
  return -ENOENT
}

function cancel(core: SimCore, request: SimRequest): number {
  const flags = request.opFlags
  const isAny = (flags & IORING_ASYNC_CANCEL_ANY) !== 0
  const isByFile = (flags & (IORING_ASYNC_CANCEL_FD | CANCEL_FD_FIXED)) !== 0
  const file = isByFile ? fileOf(core, request) : null
  if (isByFile && file === null) return -EBADF
  const isByUserData =
    (flags & CANCEL_USER_DATA) !== 0 || (!isByFile && !isAny && !(flags & CANCEL_OP))
  const isAll = (flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) !== 0
  return core.cancelMatching(request.ring, isAll, (other) => {
    if (other === request) return false
    if (isByFile && other.description !== file) return false
    if (flags & CANCEL_OP && other.opcode !== request.length) return false
    return !isByUserData || hasUserData(other, request)
  })
}

function poll(core: SimCore, request: SimRequest): number {
  const wanted = request.opFlags | POLLERR | POLLHUP
  request.waitEvents = wanted
  const ready = request.description!.readiness() & wanted
  if (ready === 0) return PENDING
  // Linux ends a repeating poll of a ring, lest two rings wake each other for ever.
  const canRepeat = !(request.description instanceof SimRing)
  const isRepeating = canRepeat && (request.length & IORING_POLL_ADD_MULTI) !== 0
  if (!isRepeating || !request.ring.postMore(request, ready, 0)) return ready
  core.park(request, wanted)
  return PENDING
}

function removePoll(core: SimCore, request: SimRequest): number {
  if (request.length !== 0) return -EINVAL
  return core.cancelMatching(request.ring, false, (other) => {
    return other.opcode === IORING_OP_POLL_ADD && hasUserData(other, request)
  })
}

function message(core: SimCore, request: SimRequest): number {
  const target = request.description
  if (!(target instanceof SimRing)) return -EBADFD
  if (request.address !== IORING_MSG_DATA) return -EINVAL
  const flags = request.opFlags & MSG_RING_FLAGS_PASS ? request.fileIndex : 0
  const { offsetLow, offsetHigh, length } = request
  const post = (): void => {
    if (core.rings.has(target)) target.post(offsetLow, offsetHigh, length | 0, flags)
  }
  // Late, it is the receiver's task work, which no longer depends on the sender, nor on whether that lives.
  if (core.chance(core.faults.lateMessage)) {
    core.clock.schedule(core.latencyNs(MESSAGE_NS_MIN, MESSAGE_NS_MAX), post)
  } else {
    post()
  }
  return 0
}

function changeFiles(core: SimCore, request: SimRequest): number {
  const bytes = core.memory.view(request.address, request.length * 4)
  if (bytes === null) return -EFAULT
  const fds = new Int32Array(bytes.slice().buffer)
  return updateFiles(core, request.ring, request.offset, fds)
}

function installFd(core: SimCore, request: SimRequest): number {
  const result = core.descriptors.install(request.description!)
  return result < 0 ? -EMFILE : result
}

function hasUserData(other: SimRequest, request: SimRequest): boolean {
  return (
    other.userDataLow === request.addressLow &&
    other.userDataHigh === request.addressHigh &&
    other.isStarted
  )
}

function fileOf(core: SimCore, request: SimRequest): unknown {
  if (!(request.opFlags & CANCEL_FD_FIXED)) return core.descriptors.get(request.fd)
  return request.ring.files?.[request.fd] ?? null
}

/** How long a timespec at `address` is from now on, or null where there is none. */
function delayOf(core: SimCore, request: SimRequest, address: number): number | null {
  const bytes = core.memory.view(address, TIMESPEC_BYTES)
  if (bytes === null) return null
  const fields = new DataView(bytes.buffer, bytes.byteOffset, TIMESPEC_BYTES)
  const ns = readWide(fields, 0) * NS_PER_S + readWide(fields, 8)
  return Math.max(0, request.opFlags & IORING_TIMEOUT_ABS ? ns - core.clock.nowNs : ns)
}
