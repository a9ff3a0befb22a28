import assert from 'node:assert/strict'
import {
  EBADF,
  EBADFD,
  ECANCELED,
  EINVAL,
  ENOENT,
  ETIME,
  IORING_CQE_F_MORE,
  IORING_ENTER_GETEVENTS,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_MSG_RING,
  IORING_OP_NOP,
  IORING_OP_POLL_ADD,
  IORING_OP_READ,
  IORING_OP_SEND,
  IORING_OP_TIMEOUT,
  IORING_OP_TIMEOUT_REMOVE,
  IORING_POLL_ADD_MULTI,
  IORING_REGISTER_PROBE,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SQ_CQ_OVERFLOW,
  IORING_TIMEOUT_ABS,
  IORING_TIMEOUT_MULTISHOT,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
  type Kernel,
  POLLIN,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'
import { describe } from '../needs.ts'
import { connectPair, listenTcp, TestRing } from './harness.ts'

const NO_OPCODE = 250
const HOUR_NS = 3600e9

contract('a no-op completes with 0 and its user data', (kernel) => {
  using ring = new TestRing(kernel)

  ring.push({ opcode: IORING_OP_NOP, userData: 77 })

  assert.deepEqual(ring.wait(1), [{ userData: 77, result: 0, flags: 0 }])
})

contract('an unknown opcode completes with -EINVAL', (kernel) => {
  using ring = new TestRing(kernel)

  assert.equal(ring.run({ opcode: NO_OPCODE }), -EINVAL)
})

contract('a bad entry does not stop those behind it under SUBMIT_ALL', (kernel) => {
  using ring = new TestRing(kernel)
  ring.push({ opcode: NO_OPCODE, userData: 1 })
  ring.push({ opcode: IORING_OP_NOP, userData: 2 })

  const submitted = ring.submit()

  assert.equal(submitted, 2)
  assert.deepEqual(
    ring.reap().map(({ result }) => result),
    [-EINVAL, 0],
  )
})

contract('a batch as large as the queue completes as a whole', (kernel) => {
  using ring = new TestRing(kernel, { entryCount: 8 })
  for (let index = 0; index < 8; index++) ring.push({ opcode: IORING_OP_NOP, userData: index })

  assert.equal(ring.unsubmittedCount, 8)
  assert.equal(ring.submit(), 8)
  assert.equal(ring.unsubmittedCount, 0)
  assert.deepEqual(
    ring.reap().map(({ userData }) => userData),
    [0, 1, 2, 3, 4, 5, 6, 7],
  )
})

contract('enter() takes no more entries than it is told to', (kernel) => {
  using ring = new TestRing(kernel)
  for (let index = 0; index < 4; index++) ring.push({ opcode: IORING_OP_NOP, userData: index })

  const taken = kernel.enter(ring.memory.fd, 3, 0, IORING_ENTER_GETEVENTS, -1)

  assert.equal(taken, 3)
  assert.equal(ring.unsubmittedCount, 1)
})

contract('enter() refuses a descriptor that is no ring', (kernel) => {
  assert.equal(kernel.enter(-1, 0, 0, IORING_ENTER_GETEVENTS, -1), -EBADF)
})

contract('enter() answers -ETIME when nothing completes in time', (kernel) => {
  using ring = new TestRing(kernel)

  const result = kernel.enter(ring.memory.fd, 0, 1, IORING_ENTER_GETEVENTS, 1e6)

  assert.equal(result, -ETIME)
})

contract('setupRing() refuses DEFER_TASKRUN without SINGLE_ISSUER', (kernel) => {
  const flags = IORING_SETUP_DEFER_TASKRUN

  assert.equal(kernel.setupRing({ entryCount: 8, completionCount: 8, flags }), -EINVAL)
})

contract('setupRing() gives a ring without an indirection array, or refuses', (kernel) => {
  const flags = IORING_SETUP_NO_SQARRAY | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL
  const setup = { entryCount: 8, completionCount: 8, flags }
  const memory = kernel.setupRing(setup)
  if (typeof memory === 'number') {
    assert.equal(memory, -EINVAL)
    return
  }
  kernel.closeRing(memory)
  using ring = new TestRing(kernel, setup)

  assert.equal(ring.memory.layout.sqArray, -1)
  assert.equal(ring.run({ opcode: IORING_OP_NOP }), 0)
})

contract('completions beyond the queue are kept until there is room', (kernel) => {
  using ring = new TestRing(kernel, { entryCount: 8, completionCount: 8 })
  const { words, layout } = ring.memory
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 8; index++) {
      ring.push({ opcode: IORING_OP_NOP, userData: round * 8 + index })
    }
    ring.submit()
  }
  assert.ok(words[layout.sqFlags]! & IORING_SQ_CQ_OVERFLOW)

  const found = new Set<number>()
  for (let round = 0; round < 4; round++) {
    for (const { userData } of ring.reap()) found.add(userData)
    ring.submit()
  }

  assert.equal(found.size, 24)
  assert.equal(words[layout.sqFlags]! & IORING_SQ_CQ_OVERFLOW, 0)
})

contract('a link chain runs in order and ends when an entry fails', (kernel) => {
  using ring = new TestRing(kernel)
  ring.push({ opcode: IORING_OP_NOP, flags: IOSQE_IO_LINK, userData: 1 })
  ring.push({ opcode: IORING_OP_READ, flags: IOSQE_IO_LINK, fd: -1, userData: 2 })
  ring.push({ opcode: IORING_OP_NOP, flags: IOSQE_IO_LINK, userData: 3 })
  ring.push({ opcode: IORING_OP_NOP, userData: 4 })
  ring.push({ opcode: IORING_OP_NOP, userData: 5 })

  const results = ring.results(5)

  assert.equal(results.get(1), 0)
  assert.equal(results.get(2), -EBADF)
  assert.equal(results.get(3), -ECANCELED)
  assert.equal(results.get(4), -ECANCELED)
  assert.equal(results.get(5), 0)
})

contract('a hard link goes on after a failure', (kernel) => {
  using ring = new TestRing(kernel)
  ring.push({ opcode: IORING_OP_READ, flags: IOSQE_IO_HARDLINK, fd: -1, userData: 1 })
  ring.push({ opcode: IORING_OP_NOP, userData: 2 })

  const results = ring.results(2)

  assert.equal(results.get(1), -EBADF)
  assert.equal(results.get(2), 0)
})

contract('an entry that is invalid cancels the chain before and behind it', (kernel) => {
  using ring = new TestRing(kernel)
  ring.push({ opcode: IORING_OP_NOP, flags: IOSQE_IO_LINK, userData: 1 })
  ring.push({ opcode: NO_OPCODE, flags: IOSQE_IO_LINK, userData: 2 })
  ring.push({ opcode: IORING_OP_NOP, userData: 3 })

  const results = ring.results(3)

  assert.equal(results.get(1), -ECANCELED)
  assert.equal(results.get(2), -EINVAL)
  assert.equal(results.get(3), -ECANCELED)
})

contract('LINK_TIMEOUT cancels the entry before it', (kernel) => {
  using ring = new TestRing(kernel)
  const { fd } = listenTcp(kernel)
  const poll = { opcode: IORING_OP_POLL_ADD, fd, opFlags: POLLIN }
  ring.push({ ...poll, flags: IOSQE_IO_LINK, userData: 1 })
  const address = ring.timespec(1e6)
  ring.push({ opcode: IORING_OP_LINK_TIMEOUT, address, length: 1, userData: 2 })

  const results = ring.results(2)

  assert.equal(results.get(1), -ECANCELED)
  assert.equal(results.get(2), -ETIME)
  kernel.closeFd(fd)
})

contract('LINK_TIMEOUT ends with -ECANCELED when the other came first', (kernel) => {
  using ring = new TestRing(kernel)
  const { client, server } = connectPair(ring)
  const poll = { opcode: IORING_OP_POLL_ADD, fd: client, opFlags: POLLIN }
  ring.push({ ...poll, flags: IOSQE_IO_LINK, userData: 1 })
  const address = ring.timespec(HOUR_NS)
  ring.push({ opcode: IORING_OP_LINK_TIMEOUT, address, length: 1, userData: 2 })
  ring.submit()

  kernel.closeFd(server)
  const results = ring.results(2)

  assert.ok(results.get(1)! & POLLIN)
  assert.equal(results.get(2), -ECANCELED)
  kernel.closeFd(client)
})

contract('LINK_TIMEOUT alone completes with -EINVAL', (kernel) => {
  using ring = new TestRing(kernel)
  const address = ring.timespec(1e6)

  assert.equal(ring.run({ opcode: IORING_OP_LINK_TIMEOUT, address, length: 1 }), -EINVAL)
})

contract('TIMEOUT completes with -ETIME, never early', (kernel) => {
  using ring = new TestRing(kernel)
  const startNs = kernel.nowNs()

  const result = ring.run({ opcode: IORING_OP_TIMEOUT, address: ring.timespec(3e6), length: 1 })

  assert.equal(result, -ETIME)
  assert.ok(kernel.nowNs() - startNs >= 3e6)
})

contract('TIMEOUT takes a moment of the monotonic clock', (kernel) => {
  using ring = new TestRing(kernel)
  const deadlineNs = kernel.nowNs() + 2e6
  const address = ring.timespec(deadlineNs)

  const entry = { opcode: IORING_OP_TIMEOUT, address, length: 1, opFlags: IORING_TIMEOUT_ABS }

  assert.equal(ring.run(entry), -ETIME)
  assert.ok(kernel.nowNs() >= deadlineNs)
})

contract('TIMEOUT that counts ends with 0 after so many completions', (kernel) => {
  using ring = new TestRing(kernel)
  const address = ring.timespec(HOUR_NS)
  ring.push({ opcode: IORING_OP_TIMEOUT, address, length: 1, offset: 2, userData: 9 })
  ring.push({ opcode: IORING_OP_NOP, userData: 1 })
  ring.push({ opcode: IORING_OP_NOP, userData: 2 })

  assert.equal(ring.results(3).get(9), 0)
})

contract(
  'a multishot TIMEOUT repeats and says so',
  (kernel) => {
    using ring = new TestRing(kernel)
    const entry = { opcode: IORING_OP_TIMEOUT, address: ring.timespec(1e6), length: 1 }
    ring.push({ ...entry, offset: 3, opFlags: IORING_TIMEOUT_MULTISHOT })

    const found = ring.wait(3)

    assert.deepEqual(
      found.map(({ result, flags }) => [result, flags & IORING_CQE_F_MORE]),
      [
        [-ETIME, IORING_CQE_F_MORE],
        [-ETIME, IORING_CQE_F_MORE],
        [-ETIME, 0],
      ],
    )
  },
  lacksMultishotTimeout,
)

/** Of an entry that no kernel but one without the flag refuses: Linux 6.4. */
function lacksMultishotTimeout(kernel: Kernel): string | null {
  using ring = new TestRing(kernel)
  const entry = { opcode: IORING_OP_TIMEOUT, address: ring.timespec(1), length: 1 }
  const result = ring.run({ ...entry, offset: 1, opFlags: IORING_TIMEOUT_MULTISHOT })
  return result === -EINVAL ? `${describe(kernel)} has no multishot TIMEOUT` : null
}

contract('TIMEOUT_REMOVE ends a timeout with -ECANCELED', (kernel) => {
  using ring = new TestRing(kernel)
  const address = ring.timespec(HOUR_NS)
  ring.push({ opcode: IORING_OP_TIMEOUT, address, length: 1, userData: 5 })
  ring.push({ opcode: IORING_OP_TIMEOUT_REMOVE, address: 5, userData: 6 })

  const results = ring.results(2)

  assert.equal(results.get(5), -ECANCELED)
  assert.equal(results.get(6), 0)
})

contract('TIMEOUT_REMOVE answers -ENOENT when there is no such timeout', (kernel) => {
  using ring = new TestRing(kernel)

  assert.equal(ring.run({ opcode: IORING_OP_TIMEOUT_REMOVE, address: 123 }), -ENOENT)
})

contract('ASYNC_CANCEL ends a poll that waits, and answers 0', (kernel) => {
  using ring = new TestRing(kernel)
  const { fd } = listenTcp(kernel)
  ring.push({ opcode: IORING_OP_POLL_ADD, fd, opFlags: POLLIN, userData: 1 })
  ring.submit()

  ring.push({ opcode: IORING_OP_ASYNC_CANCEL, address: 1, userData: 2 })
  const results = ring.results(2)

  assert.equal(results.get(1), -ECANCELED)
  assert.equal(results.get(2), 0)
  kernel.closeFd(fd)
})

contract('ASYNC_CANCEL ends a timeout', (kernel) => {
  using ring = new TestRing(kernel)
  const address = ring.timespec(HOUR_NS)
  ring.push({ opcode: IORING_OP_TIMEOUT, address, length: 1, userData: 1 })
  ring.push({ opcode: IORING_OP_ASYNC_CANCEL, address: 1, userData: 2 })

  const results = ring.results(2)

  assert.equal(results.get(1), -ECANCELED)
  assert.equal(results.get(2), 0)
})

contract('ASYNC_CANCEL answers -ENOENT when nothing has that name', (kernel) => {
  using ring = new TestRing(kernel)

  assert.equal(ring.run({ opcode: IORING_OP_ASYNC_CANCEL, address: 99 }), -ENOENT)
})

contract('ASYNC_CANCEL by descriptor counts what it has found', (kernel) => {
  using ring = new TestRing(kernel)
  const { fd } = listenTcp(kernel)
  const poll = { opcode: IORING_OP_POLL_ADD, fd, opFlags: POLLIN }
  ring.push({ ...poll, userData: 1 })
  ring.push({ ...poll, userData: 2 })
  ring.submit()

  ring.push({ opcode: IORING_OP_ASYNC_CANCEL, fd, opFlags: 0b11, userData: 3 })
  const results = ring.results(3)

  assert.equal(results.get(1), -ECANCELED)
  assert.equal(results.get(2), -ECANCELED)
  assert.equal(results.get(3), 2)
  kernel.closeFd(fd)
})

contract('ASYNC_CANCEL of anything leaves nothing in flight', (kernel) => {
  using ring = new TestRing(kernel)
  const { fd } = listenTcp(kernel)
  ring.push({ opcode: IORING_OP_POLL_ADD, fd, opFlags: POLLIN, userData: 1 })
  const address = ring.timespec(HOUR_NS)
  ring.push({ opcode: IORING_OP_TIMEOUT, address, length: 1, userData: 2 })
  ring.submit()

  ring.push({ opcode: IORING_OP_ASYNC_CANCEL, opFlags: 0b101, userData: 3 })
  const results = ring.results(3)

  assert.equal(results.get(1), -ECANCELED)
  assert.equal(results.get(2), -ECANCELED)
  assert.equal(results.get(3), 2)
  kernel.closeFd(fd)
})

contract('a poll completes at once when it is ready already', (kernel) => {
  using ring = new TestRing(kernel)
  const { client, server } = connectPair(ring)
  kernel.closeFd(server)

  const result = ring.run({ opcode: IORING_OP_POLL_ADD, fd: client, opFlags: POLLIN })

  assert.ok(result & POLLIN)
  kernel.closeFd(client)
})

contract('a multishot poll reports again and again until cancelled', (kernel) => {
  using ring = new TestRing(kernel)
  const { client, server } = connectPair(ring)
  const poll = { opcode: IORING_OP_POLL_ADD, fd: client, opFlags: POLLIN }
  ring.push({ ...poll, length: IORING_POLL_ADD_MULTI, userData: 1 })
  ring.submit()

  for (let round = 0; round < 2; round++) {
    const address = ring.place('x')
    ring.push({ opcode: IORING_OP_SEND, fd: server, address, length: 1, userData: 3 })
    const completion = ring.wait(2).find(({ userData }) => userData === 1)!
    assert.ok(completion.result & POLLIN)
    assert.ok(completion.flags & IORING_CQE_F_MORE)
  }
  ring.push({ opcode: IORING_OP_ASYNC_CANCEL, address: 1, userData: 2 })
  const last = ring.wait(2).find(({ userData }) => userData === 1)

  assert.equal(last!.result, -ECANCELED)
  assert.equal(last!.flags & IORING_CQE_F_MORE, 0)
  kernel.closeFd(client)
  kernel.closeFd(server)
})

contract('a multishot poll of another ring reports once', (kernel) => {
  using ring = new TestRing(kernel)
  using other = new TestRing(kernel, { flags: IORING_SETUP_SUBMIT_ALL })
  const poll = { opcode: IORING_OP_POLL_ADD, fd: other.memory.fd, opFlags: POLLIN }
  ring.push({ ...poll, length: IORING_POLL_ADD_MULTI, userData: 1 })
  ring.submit()

  other.push({ opcode: IORING_OP_NOP })
  other.submit()
  const [completion] = ring.wait(1)

  assert.ok(completion!.result & POLLIN)
  assert.equal(completion!.flags & IORING_CQE_F_MORE, 0)
})

contract('MSG_RING posts a completion on another ring', (kernel) => {
  using ring = new TestRing(kernel)
  using other = new TestRing(kernel)
  const entry = { opcode: IORING_OP_MSG_RING, fd: other.memory.fd, offset: 1234, length: 7 }

  assert.equal(ring.run(entry), 0)
  assert.deepEqual(other.wait(1), [{ userData: 1234, result: 7, flags: 0 }])
})

contract('MSG_RING refuses a descriptor that is no ring', (kernel) => {
  using ring = new TestRing(kernel)
  const { fd } = listenTcp(kernel)

  assert.equal(ring.run({ opcode: IORING_OP_MSG_RING, fd, length: 1 }), -EBADFD)
  kernel.closeFd(fd)
})

contract('a probe knows a no-op and not what does not exist', (kernel) => {
  using ring = new TestRing(kernel)
  const probe = new Uint8Array(16 + 256 * 8)

  assert.equal(kernel.register(ring.memory.fd, IORING_REGISTER_PROBE, probe, 256), 0)
  assert.equal(probe[16 + IORING_OP_NOP * 8 + 2], 1)
  assert.equal(probe[16 + NO_OPCODE * 8 + 2], 0)
})
