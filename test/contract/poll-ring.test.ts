/**
 * What every kernel says of a ring that polls (IOPOLL): what it refuses, hence what percore never sends there. What a device with
 * queues for it does is in test/io/polled.test.ts, and the simulated one's below.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  EINVAL,
  EOPNOTSUPP,
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_ANY,
  IORING_ENTER_GETEVENTS,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_CLOSE,
  IORING_OP_FSYNC,
  IORING_OP_NOP,
  IORING_OP_POLL_ADD,
  IORING_OP_READ,
  IORING_OP_TIMEOUT,
  IORING_OP_WRITE,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SQ_TASKRUN,
  type Kernel,
  O_CREAT,
  O_DIRECT,
  O_RDWR,
  POLLIN,
} from '../../src/kernel/index.ts'
import { SimKernel } from '../../src/sim/index.ts'
import { contract } from '../../src/testing/index.ts'
import { TestRing, withDirectory } from './harness.ts'

const BLOCK_BYTES = 4096

function createPolled(kernel: Kernel): TestRing {
  const deferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN
  return new TestRing(kernel, {
    flags: IORING_SETUP_IOPOLL | IORING_SETUP_SUBMIT_ALL | deferred,
  })
}

contract('a ring that polls takes neither cancels, nor what no device is polled for', (kernel) => {
  using plain = new TestRing(kernel)
  using ring = createPolled(kernel)
  const anything = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY
  const entries = [
    { opcode: IORING_OP_ASYNC_CANCEL, opFlags: anything },
    { opcode: IORING_OP_TIMEOUT, address: plain.timespec(1), length: 1 },
    { opcode: IORING_OP_FSYNC, fd: plain.memory.fd },
    { opcode: IORING_OP_POLL_ADD, fd: plain.memory.fd, opFlags: POLLIN },
    { opcode: IORING_OP_CLOSE, fd: -1 },
  ]

  const results = entries.map((entry) => ring.run(entry))

  assert.deepEqual(
    results,
    entries.map(() => -EINVAL),
  )
})

contract('a ring that polls completes a NOP, which what is withdrawn becomes', (kernel) => {
  using ring = createPolled(kernel)

  assert.equal(ring.run({ opcode: IORING_OP_NOP }), 0)
})

contract('a ring that polls refuses files that are read through the page cache', async (kernel) => {
  using plain = new TestRing(kernel)
  using ring = createPolled(kernel)
  await withDirectory(plain, (folder) => {
    const fd = plain.open(`${folder}/file`, O_CREAT | O_RDWR)
    const { address } = ring.allocate(BLOCK_BYTES, BLOCK_BYTES)

    const result = ring.run({ opcode: IORING_OP_READ, fd, address, length: BLOCK_BYTES })

    assert.equal(result, -EOPNOTSUPP)
    plain.close(fd)
  })
})

/** A direct file with one block, on a disk with queues to poll. */
function createSimulated(): { kernel: SimKernel; ring: TestRing; read: () => void } {
  const kernel = new SimKernel({ seed: 1, hasPollQueues: true })
  using plain = new TestRing(kernel)
  const ring = createPolled(kernel)
  const fd = plain.open('/tmp/file', O_CREAT | O_RDWR | O_DIRECT)
  const { address } = ring.allocate(BLOCK_BYTES, BLOCK_BYTES)
  const entry = { fd, address, length: BLOCK_BYTES }
  assert.equal(plain.run({ ...entry, opcode: IORING_OP_WRITE }), BLOCK_BYTES)
  return { kernel, ring, read: () => ring.push({ ...entry, opcode: IORING_OP_READ, userData: 7 }) }
}

/** Lets more time pass than the disk takes. */
function pass(kernel: SimKernel): void {
  const endNs = kernel.nowNs() + 1e6
  while (kernel.nowNs() < endNs);
}

test('simulated: a polled completion appears in an enter that asks for it, and is told of by nothing', () => {
  const { kernel, ring, read } = createSimulated()
  const { memory } = ring
  read()
  kernel.enter(memory.fd, 1, 0, 0, -1)

  pass(kernel)
  const early = ring.reap()
  const flags = memory.words[memory.layout.sqFlags]!
  kernel.enter(memory.fd, 0, 0, IORING_ENTER_GETEVENTS, -1)

  assert.deepEqual(early, [])
  assert.equal(flags & IORING_SQ_TASKRUN, 0)
  assert.deepEqual(ring.reap(), [{ userData: 7, result: BLOCK_BYTES, flags: 0 }])
})

test('simulated: a disk without queues to poll refuses', () => {
  const kernel = new SimKernel({ seed: 1 })
  using plain = new TestRing(kernel)
  using ring = createPolled(kernel)
  const fd = plain.open('/tmp/file', O_CREAT | O_RDWR | O_DIRECT)
  const { address } = ring.allocate(BLOCK_BYTES, BLOCK_BYTES)

  const result = ring.run({ opcode: IORING_OP_READ, fd, address, length: BLOCK_BYTES })

  assert.equal(result, -EOPNOTSUPP)
})
