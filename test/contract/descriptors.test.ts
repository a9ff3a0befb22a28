/** System calls on descriptors that have no opcode, or had none. */
import assert from 'node:assert/strict'
import {
  AT_FDCWD,
  EBADF,
  EINVAL,
  IORING_OP_READ,
  IORING_OP_STATX,
  IORING_OP_WRITE,
  type Kernel,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  STATX_BASIC_STATS,
  STATX_BYTES,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'
import { TestRing, withDirectory } from './harness.ts'

const CREATE: number = O_RDWR | O_CREAT | O_EXCL

function write(ring: TestRing, fd: number, text: string): number {
  const address = ring.place(Buffer.from(text))
  return ring.run({ opcode: IORING_OP_WRITE, fd, address, length: text.length, offset: 0 })
}

function readOn(ring: TestRing, fd: number, length: number): string {
  const { bytes, address } = ring.allocate(length)
  const result = ring.run({ opcode: IORING_OP_READ, fd, address, length, offset: -1 })
  return Buffer.from(bytes.subarray(0, result)).toString()
}

function sizeOf(ring: TestRing, path: string): number {
  const { bytes, address } = ring.allocate(STATX_BYTES)
  const entry = { fd: AT_FDCWD, address: ring.place(path), length: STATX_BASIC_STATS }
  assert.equal(ring.run({ opcode: IORING_OP_STATX, ...entry, offset: address }), 0)
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(40, true)
}

function truncateFd(kernel: Kernel, fd: number, sizeBytes: number): Promise<number> {
  return new Promise((resolve) => kernel.truncateFd(fd, sizeBytes, resolve))
}

contract('truncateFd() sets the size', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)

    assert.equal(await truncateFd(kernel, fd, 100), 0)
    assert.equal(sizeOf(ring, `${directory}/a`), 100)
    assert.equal(await truncateFd(kernel, -1, 100), -EBADF)
    ring.close(fd)
    const reader = ring.open(`${directory}/a`, O_RDONLY)
    assert.equal(await truncateFd(kernel, reader, 50), -EINVAL)
    ring.close(reader)
  })
})

contract('truncateFd() answers later, and needs the descriptor no more', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)
    let result: number | null = null

    const isDone = truncateFd(kernel, fd, 100).then((value) => {
      result = value
    })
    const atOnce = result
    ring.close(fd)
    const other = ring.open(`${directory}/b`, CREATE)
    await isDone

    assert.deepEqual([atOnce, result], [null, 0])
    assert.equal(sizeOf(ring, `${directory}/a`), 100)
    assert.equal(sizeOf(ring, `${directory}/b`), 0)
    ring.close(other)
  })
})

contract('seekFd() moves the cursor of a file, and refuses what has none', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)
    write(ring, fd, 'abc')

    assert.equal(kernel.seekFd(fd, 1), 1)
    assert.equal(readOn(ring, fd, 2), 'bc')
    assert.equal(kernel.seekFd(fd, -1), -EINVAL)
    assert.equal(kernel.seekFd(-1, 0), -EBADF)
    ring.close(fd)
  })
})
