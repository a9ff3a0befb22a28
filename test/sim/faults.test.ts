import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  AT_FDCWD,
  EALREADY,
  EBUSY,
  ECONNRESET,
  EIO,
  EMFILE,
  ENOBUFS,
  ENOSPC,
  IORING_CQE_F_MORE,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_FSYNC,
  IORING_OP_NOP,
  IORING_OP_OPENAT,
  IORING_OP_READ,
  IORING_OP_RECV,
  IORING_OP_SEND,
  IORING_OP_TIMEOUT,
  IORING_OP_WRITE,
  IORING_RECV_MULTISHOT,
  IORING_REGISTER_PBUF_RING,
  IORING_SQ_CQ_OVERFLOW,
  IORING_TIMEOUT_MULTISHOT,
  IOSQE_BUFFER_SELECT,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  O_CREAT,
  O_DIRECT,
  O_RDWR,
} from '../../src/kernel/index.ts'
import { SimKernel, type SimKernelOptions } from '../../src/testing/index.ts'
import { connectPair, TestRing } from '../contract/harness.ts'

const PATH = '/tmp/a'

function start(options: SimKernelOptions): { kernel: SimKernel; ring: TestRing } {
  const kernel = new SimKernel(options)
  kernel.files.writeFile(PATH, new Uint8Array(8192).fill(7))
  return { kernel, ring: new TestRing(kernel) }
}

test('shortRead makes a read deliver less, but something', () => {
  const { ring } = start({ faults: { shortRead: 1 } })
  const fd = ring.open(PATH, O_RDWR)
  const { address, bytes } = ring.allocate(100)

  const result = ring.run({ opcode: IORING_OP_READ, fd, address, length: 100 })

  assert.ok(result > 0 && result < 100)
  assert.equal(bytes.indexOf(0), result)
})

test('shortRead keeps a direct read to whole blocks', () => {
  const { ring } = start({ faults: { shortRead: 1 } })
  const fd = ring.open(PATH, O_RDWR | O_DIRECT)
  const { address } = ring.allocate(8192, 4096)

  const result = ring.run({ opcode: IORING_OP_READ, fd, address, length: 8192 })

  assert.ok(result > 0 && result < 8192)
  assert.equal(result % 512, 0)
})

test('shortWrite makes a write take less, and the file has just that', () => {
  const { kernel, ring } = start({ faults: { shortWrite: 1 } })
  const fd = ring.open('/tmp/b', O_RDWR | O_CREAT)
  const address = ring.place(new Uint8Array(100).fill(1))

  const result = ring.run({ opcode: IORING_OP_WRITE, fd, address, length: 100 })

  assert.ok(result > 0 && result < 100)
  assert.equal(kernel.files.readFile('/tmp/b')!.length, result)
})

test('shortWrite does not cut a send with MSG_WAITALL', () => {
  const { ring } = start({ faults: { shortWrite: 1 } })
  const { client } = connectPair(ring)
  const address = ring.place(new Uint8Array(100))
  const entry = { opcode: IORING_OP_SEND, fd: client, address, length: 100 }

  assert.ok(ring.run({ ...entry, opFlags: MSG_NOSIGNAL }) < 100)
  assert.equal(ring.run({ ...entry, opFlags: MSG_NOSIGNAL | MSG_WAITALL }), 100)
})

test('errors fail the operations that can fail so, and no others', () => {
  const { ring } = start({ faults: { errors: { EIO: 1 } } })
  const fd = ring.open(PATH, O_RDWR)

  assert.ok(fd >= 0)
  assert.equal(ring.run({ opcode: IORING_OP_FSYNC, fd }), -EIO)
  assert.equal(ring.run({ opcode: IORING_OP_NOP }), 0)
})

test('an injected ECONNRESET breaks the connection for both ends', () => {
  const { ring } = start({ faults: { errors: { ECONNRESET: 1 } } })
  const { client, server } = connectPair(ring)
  const { address } = ring.allocate(16)

  assert.equal(ring.run({ opcode: IORING_OP_SEND, fd: client, address, length: 1 }), -ECONNRESET)
  assert.equal(ring.run({ opcode: IORING_OP_RECV, fd: server, address, length: 1 }), -ECONNRESET)
})

test('a full disk answers -ENOSPC once it is full', () => {
  const { ring } = start({ diskBytes: 16_384 })
  const fd = ring.open('/tmp/b', O_RDWR | O_CREAT)
  const { address } = ring.allocate(16_384)
  const entry = { opcode: IORING_OP_WRITE, fd, address, length: 16_384 }

  assert.equal(ring.run(entry), 8192)
  assert.equal(ring.run({ ...entry, offset: 8192 }), -ENOSPC)
})

test('too many descriptors answer -EMFILE', () => {
  const { ring } = start({ descriptorCountMax: 2 })

  assert.ok(ring.open(PATH, O_RDWR) >= 0)
  assert.equal(ring.open(PATH, O_RDWR), -EMFILE)
})

test('delay makes operations take longer', () => {
  const elapsed = [0, 1].map((delay) => {
    const { kernel, ring } = start({ seed: 5, faults: { delay } })
    const startNs = kernel.nowNs()
    for (let round = 0; round < 20; round++) ring.open(PATH, O_RDWR)
    return kernel.nowNs() - startNs
  })

  assert.ok(elapsed[1]! > 5 * elapsed[0]!)
})

test('reorder lets operations overtake each other', () => {
  const { ring } = start({ seed: 3, faults: { reorder: 0.5 } })
  const fd = ring.open(PATH, O_RDWR)
  for (let index = 0; index < 8; index++) {
    ring.push({ opcode: IORING_OP_FSYNC, fd, userData: index })
  }

  const order = ring.wait(8).map(({ userData }) => userData)

  assert.notDeepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7])
  assert.deepEqual([...order].sort(), [0, 1, 2, 3, 4, 5, 6, 7])
})

test('cqOverflow holds completions back until they are asked for', () => {
  const { kernel, ring } = start({ faults: { cqOverflow: 1 } })
  const { words, layout, fd } = ring.memory
  ring.push({ opcode: IORING_OP_NOP })

  kernel.enter(fd, 1, 0, 0, -1)

  assert.equal(ring.reap().length, 0)
  assert.ok(words[layout.sqFlags]! & IORING_SQ_CQ_OVERFLOW)
  assert.equal(ring.wait(1)[0]!.result, 0)
})

test('multishotEnd ends a multishot operation with a success', () => {
  const { ring } = start({ faults: { multishotEnd: 1 } })
  const address = ring.timespec(1e6)
  ring.push({ opcode: IORING_OP_TIMEOUT, address, length: 1, opFlags: IORING_TIMEOUT_MULTISHOT })

  const [completion] = ring.wait(1)

  assert.equal(completion!.flags & IORING_CQE_F_MORE, 0)
})

test('lateCancel answers -EALREADY, and the operation completes as if nothing had been', () => {
  const { ring } = start({ faults: { lateCancel: 1 } })
  const address = ring.place(PATH)
  ring.push({ opcode: IORING_OP_OPENAT, fd: AT_FDCWD, address, opFlags: O_RDWR, userData: 1 })
  ring.push({ opcode: IORING_OP_ASYNC_CANCEL, address: 1, userData: 2 })

  const results = ring.results(2)

  assert.equal(results.get(2), -EALREADY)
  assert.ok(results.get(1)! >= 0)
})

test('noBuffers answers -ENOBUFS although there are buffers', () => {
  const { kernel, ring } = start({ faults: { noBuffers: 1 } })
  const { server } = connectPair(ring)
  const table = ring.allocate(64, 4096)
  const buffer = ring.allocate(64)
  const entry = new DataView(table.bytes.buffer, table.bytes.byteOffset, 64)
  entry.setBigUint64(0, BigInt(buffer.address), true)
  entry.setUint32(8, 64, true)
  entry.setUint16(14, 1, true)
  const group = Uint32Array.of(table.address, table.address / 2 ** 32, 4, 0, 0, 0, 0, 0, 0, 0)
  assert.equal(kernel.register(ring.memory.fd, IORING_REGISTER_PBUF_RING, group, 1), 0)
  const receive = { opcode: IORING_OP_RECV, fd: server, flags: IOSQE_BUFFER_SELECT }

  assert.equal(ring.run({ ...receive, ioPriority: IORING_RECV_MULTISHOT }), -ENOBUFS)
})

test('enterBusy answers -EBUSY and takes nothing', () => {
  const { ring } = start({ faults: { enterBusy: 1 } })
  ring.push({ opcode: IORING_OP_NOP })

  assert.equal(ring.submit(), -EBUSY)
  assert.equal(ring.unsubmittedCount, 1)
})

test('a machine may have no NO_SQARRAY and no DEFER_TASKRUN', () => {
  const kernel = new SimKernel({ hasNoSqArray: false, hasDeferTaskrun: false })
  const setup = { entryCount: 8, completionCount: 8 }

  for (const flags of [1 << 16, (1 << 12) | (1 << 13)]) {
    assert.equal(kernel.setupRing({ ...setup, flags }), -22)
  }
  assert.notEqual(typeof kernel.setupRing({ ...setup, flags: 1 << 12 }), 'number')
})

test('SimKernel throws RangeError for a probability above 1', () => {
  assert.throws(() => new SimKernel({ faults: { shortRead: 2 } }), RangeError)
  assert.throws(() => new SimKernel({ faults: { errors: { EIO: -1 } } }), RangeError)
  assert.throws(() => new SimKernel({ seed: 0.5 }), RangeError)
})
