import assert from 'node:assert/strict'
import { NO_QUEUE } from '../../src/base/index.ts'
import {
  AF_INET,
  createSlot,
  ECANCELED,
  IORING_ENTER_GETEVENTS,
  type Kernel,
  type LoopHost,
  SLOT_FOREIGN,
  SOCK_CLOEXEC,
  SOCK_STREAM,
} from '../../src/kernel/index.ts'
import {
  encodeCancel,
  encodeMessageRing,
  encodeNop,
  encodeSocket,
  encodeTimeout,
  Operation,
  Ring,
  writeTimespec,
} from '../../src/ring/index.ts'
import { contract } from '../../src/testing/index.ts'
import { nowhere } from './harness.ts'

class Recorded extends Operation {
  readonly results: number[] = []

  constructor() {
    super(NO_QUEUE)
  }

  override complete(result: number): void {
    this.results.push(result)
  }

  override run(): void {}
}

interface RingParts {
  readonly entryCount?: number
  readonly host?: LoopHost
}

function createRing(kernel: Kernel, parts: RingParts = {}): Ring & Disposable {
  const { entryCount = 8, host = nowhere(kernel) } = parts
  const control = createSlot()
  const options = {
    kernel,
    control,
    host,
    index: 0,
    role: 'park',
    entryCount,
  } as const
  const ring = new Ring(options)
  return Object.assign(ring, { [Symbol.dispose]: () => kernel.closeRing(ring.memory) })
}

/** Submits, waits for a completion and reaps. */
function turn(kernel: Kernel, ring: Ring): void {
  const { enterFd, enterFlags } = ring.entry
  const flags = enterFlags | IORING_ENTER_GETEVENTS
  assert.ok(kernel.enter(enterFd, ring.unsubmittedCount, 1, flags, 20e9) >= 0)
  ring.reap()
}

contract('Ring hands each completion to its own operation', (kernel) => {
  using ring = createRing(kernel)
  const operations = [new Recorded(), new Recorded(), new Recorded()]
  for (const operation of operations) {
    encodeNop(ring.sqes, ring.begin())
    ring.commit(operation)
  }

  turn(kernel, ring)

  assert.deepEqual(
    operations.map(({ results }) => results),
    [[0], [0], [0]],
  )
  assert.equal(ring.inFlightCount, 0)
})

contract('Ring submits by itself when its queue is full', (kernel) => {
  using ring = createRing(kernel)
  const operations = Array.from({ length: 100 }, () => new Recorded())

  for (const operation of operations) {
    encodeNop(ring.sqes, ring.begin())
    ring.commit(operation)
  }
  while (ring.inFlightCount > 0) turn(kernel, ring)

  assert.ok(operations.every(({ results }) => results.length === 1))
})

contract('Ring drops and counts a completion whose operation has ended', (kernel) => {
  using ring = createRing(kernel)
  using sender = createRing(kernel)
  const first = new Recorded()
  encodeNop(ring.sqes, ring.begin())
  ring.commit(first)
  const { slot, generation } = ring.nameOf(first)
  turn(kernel, ring)
  const second = new Recorded()
  const { address: timespecAddress, bytes: timespec } = kernel.allocate(16)
  writeTimespec(new Uint32Array(timespec.buffer, timespec.byteOffset, 4), 0, 3600e9)
  encodeTimeout(ring.sqes, ring.begin(), { timespecAddress, absolute: false })
  ring.commit(second)
  assert.equal(ring.nameOf(second).slot, slot)

  const target = { ringFd: ring.memory.fd, result: 0 }
  const name = { userDataLow: slot, userDataHigh: generation }
  encodeMessageRing(sender.sqes, sender.begin(), { ...target, ...name })
  sender.commit(new Recorded())
  turn(kernel, sender)
  turn(kernel, ring)

  assert.deepEqual(first.results, [0])
  assert.deepEqual(second.results, [])
  assert.equal(ring.staleCount, 1)
  assert.equal(ring.inFlightCount, 1)
})

contract('Ring counts apart what another ring has posted', (kernel) => {
  using ring = createRing(kernel)
  using sender = createRing(kernel)
  const waiting = new Recorded()
  const { address: timespecAddress, bytes: timespec } = kernel.allocate(16)
  writeTimespec(new Uint32Array(timespec.buffer, timespec.byteOffset, 4), 0, 3600e9)
  encodeTimeout(ring.sqes, ring.begin(), { timespecAddress, absolute: false })
  ring.commit(waiting)

  const { foreignToken } = ring
  for (const userDataHigh of [foreignToken, foreignToken, foreignToken ^ 1]) {
    const args = { ringFd: ring.memory.fd, result: 7, userDataLow: SLOT_FOREIGN, userDataHigh }
    encodeMessageRing(sender.sqes, sender.begin(), args)
    sender.commit(new Recorded())
  }
  turn(kernel, sender)
  turn(kernel, ring)

  assert.equal(ring.foreignCount, 3)
  assert.equal(ring.staleCount, 1, 'the last was for another ring')
  assert.deepEqual(waiting.results, [])
  assert.equal(ring.hookedCount, 1, 'the hook knows of one operation in flight')
})

contract('Ring withdraws an entry that the kernel has not seen: it does nothing', (kernel) => {
  using ring = createRing(kernel)
  const operation = new Recorded()
  const { address: timespecAddress } = kernel.allocate(16)
  encodeTimeout(ring.sqes, ring.begin(), { timespecAddress, absolute: false })
  ring.commit(operation)

  assert.equal(ring.withdraw(operation), true)
  turn(kernel, ring)

  assert.deepEqual(operation.results, [0])
})

/** Opens a socket; says whether that was tracked by the time it got it. */
class Opening extends Recorded {
  readonly #tracked: Set<number>
  wasTracked = false

  constructor(tracked: Set<number>) {
    super()
    this.#tracked = tracked
  }

  override complete(result: number): void {
    this.wasTracked = this.#tracked.has(result)
    super.complete(result)
  }
}

function beginOpening(ring: Ring, tracked: Set<number>): Opening {
  const operation = new Opening(tracked)
  const args = { domain: AF_INET, type: SOCK_STREAM | SOCK_CLOEXEC, protocol: 0 }
  encodeSocket(ring.sqes, ring.begin(), args)
  ring.commitOpening(operation)
  return operation
}

contract('Ring tracks a descriptor before its operation gets it', (kernel) => {
  const tracked = new Set<number>()
  const host = { ...nowhere(kernel), trackFd: (fd: number) => void tracked.add(fd) }
  using ring = createRing(kernel, { host })
  const operation = beginOpening(ring, tracked)

  turn(kernel, ring)

  const [fd] = operation.results
  assert.ok(operation.wasTracked)
  assert.deepEqual([...tracked], [fd])
  assert.equal(kernel.closeFd(fd!), 0)
})

contract('Ring tracks nothing for an opening that was withdrawn', (kernel) => {
  const tracked = new Set<number>()
  const host = { ...nowhere(kernel), trackFd: (fd: number) => void tracked.add(fd) }
  using ring = createRing(kernel, { host })
  const operation = beginOpening(ring, tracked)

  assert.equal(ring.withdraw(operation), true)
  turn(kernel, ring)

  assert.deepEqual(operation.results, [0])
  assert.equal(tracked.size, 0)
  assert.equal(ring.staleCount, 0)
})

contract('Ring cancels by name what the kernel has', (kernel) => {
  using ring = createRing(kernel)
  const operation = new Recorded()
  const { address: timespecAddress, bytes: timespec } = kernel.allocate(16)
  writeTimespec(new Uint32Array(timespec.buffer, timespec.byteOffset, 4), 0, 3600e9)
  encodeTimeout(ring.sqes, ring.begin(), { timespecAddress, absolute: false })
  ring.commit(operation)
  ring.submit()
  assert.equal(ring.withdraw(operation), false)

  encodeCancel(ring.sqes, ring.begin(), ring.nameOf(operation))
  ring.commitUnwatched()
  while (ring.inFlightCount > 0) turn(kernel, ring)

  assert.deepEqual(operation.results, [-ECANCELED])
})
