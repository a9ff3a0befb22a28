import assert from 'node:assert/strict'
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EOPNOTSUPP,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  IORING_OP_CLOSE,
  IORING_OP_FALLOCATE,
  IORING_OP_FSYNC,
  IORING_OP_FTRUNCATE,
  IORING_OP_LINKAT,
  IORING_OP_MKDIRAT,
  IORING_OP_OPENAT,
  IORING_OP_READ,
  IORING_OP_READ_FIXED,
  IORING_OP_READV,
  IORING_OP_RENAMEAT,
  IORING_OP_STATX,
  IORING_OP_SYMLINKAT,
  IORING_OP_UNLINKAT,
  IORING_OP_WRITE,
  IORING_OP_WRITE_FIXED,
  IORING_OP_WRITEV,
  IORING_REGISTER_BUFFERS,
  IORING_REGISTER_FILES_UPDATE,
  IORING_REGISTER_FILES2,
  IORING_RSRC_REGISTER_SPARSE,
  IORING_UNREGISTER_BUFFERS,
  IORING_UNREGISTER_FILES,
  IOSQE_FIXED_FILE,
  O_APPEND,
  O_CREAT,
  O_DIRECT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  STATX_BASIC_STATS,
  STATX_BYTES,
  STATX_DIOALIGN,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'
import { lacksOperations } from '../needs.ts'
import { TestRing, withDirectory } from './harness.ts'

const CREATE: number = O_RDWR | O_CREAT | O_EXCL

function write(ring: TestRing, fd: number, text: string, offset: number): number {
  const address = ring.place(Buffer.from(text))
  return ring.run({ opcode: IORING_OP_WRITE, fd, address, length: text.length, offset })
}

function read(ring: TestRing, fd: number, length: number, offset: number): string | number {
  const { bytes, address } = ring.allocate(length)
  const result = ring.run({ opcode: IORING_OP_READ, fd, address, length, offset })
  return result < 0 ? result : Buffer.from(bytes.subarray(0, result)).toString()
}

/** An operation on a name or, with a second one, two. */
function onName(ring: TestRing, opcode: number, path: string, opFlags = 0, length = 0): number {
  return ring.run({ opcode, fd: AT_FDCWD, address: ring.place(path), opFlags, length })
}

function onNames(ring: TestRing, opcode: number, from: string, to: string, opFlags = 0): number {
  const names = { address: ring.place(from), offset: ring.place(to) }
  // A symbolic link has only one directory, where others have their first.
  const length = opcode === IORING_OP_SYMLINKAT ? 0 : AT_FDCWD
  return ring.run({ opcode, fd: AT_FDCWD, ...names, length, opFlags })
}

function statx(ring: TestRing, path: string): DataView | number {
  const { bytes, address } = ring.allocate(STATX_BYTES)
  const length = STATX_BASIC_STATS | STATX_DIOALIGN
  const name = { address: ring.place(path), offset: address, length }
  const result = ring.run({ opcode: IORING_OP_STATX, fd: AT_FDCWD, ...name })
  return result < 0 ? result : new DataView(bytes.buffer, bytes.byteOffset, STATX_BYTES)
}

function sizeOf(ring: TestRing, path: string): number {
  const status = statx(ring, path)
  assert.ok(typeof status !== 'number')
  return status.getUint32(40, true)
}

contract('what is written is read, and the end of file is 0', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)

    assert.equal(write(ring, fd, 'hello world', 0), 11)
    assert.equal(read(ring, fd, 5, 6), 'world')
    assert.equal(read(ring, fd, 100, 6), 'world')
    assert.equal(read(ring, fd, 5, 11), '')
    assert.equal(ring.run({ opcode: IORING_OP_FSYNC, fd }), 0)
    assert.equal(ring.close(fd), 0)
  })
})

contract('what was never written reads as zeros', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)

    assert.equal(write(ring, fd, 'x', 10_000), 1)
    assert.equal(read(ring, fd, 4, 4094), '\0\0\0\0')
    assert.equal(sizeOf(ring, `${directory}/a`), 10_001)
    ring.close(fd)
  })
})

contract('offset -1 reads and writes at the file cursor', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)

    assert.equal(write(ring, fd, 'abc', -1), 3)
    assert.equal(write(ring, fd, 'def', -1), 3)
    assert.equal(read(ring, fd, 6, 0), 'abcdef')
    assert.equal(read(ring, fd, 6, -1), '')
    ring.close(fd)
  })
})

contract('O_APPEND writes at the end wherever it is told to', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE | O_APPEND)
    write(ring, fd, 'abc', 0)

    assert.equal(write(ring, fd, 'def', -1), 3)
    assert.equal(read(ring, fd, 6, 0), 'abcdef')
    ring.close(fd)
  })
})

contract('vectored reads and writes gather and scatter', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)
    const parts = [Buffer.from('one'), Buffer.from('three')]
    const targets = [ring.allocate(5), ring.allocate(3)]
    const vectorsOf = (memory: readonly { address: number; length: number }[]): number => {
      const words = memory.flatMap(({ address, length }) => [
        address >>> 0,
        Math.floor(address / 2 ** 32),
        length,
        0,
      ])
      return ring.place(new Uint8Array(Uint32Array.from(words).buffer))
    }
    const sources = parts.map((bytes) => ({ address: ring.place(bytes), length: bytes.length }))
    const sinks = targets.map(({ address, bytes }) => ({ address, length: bytes.length }))

    const entry = { fd, length: 2, offset: 0 }
    const written = ring.run({ opcode: IORING_OP_WRITEV, ...entry, address: vectorsOf(sources) })
    const got = ring.run({ opcode: IORING_OP_READV, ...entry, address: vectorsOf(sinks) })

    assert.equal(written, 8)
    assert.equal(got, 8)
    assert.equal(Buffer.concat(targets.map(({ bytes }) => bytes)).toString(), 'onethree')
    ring.close(fd)
  })
})

contract('a read on a closed descriptor completes with -EBADF', (kernel) => {
  using ring = new TestRing(kernel)

  assert.equal(read(ring, 1_000_000, 1, 0), -EBADF)
  assert.equal(ring.run({ opcode: IORING_OP_CLOSE, fd: 1_000_000 }), -EBADF)
})

contract('a descriptor opened for one way refuses the other', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const writing = ring.open(`${directory}/a`, O_WRONLY | O_CREAT)
    const reading = ring.open(`${directory}/a`, O_RDONLY)

    assert.equal(read(ring, writing, 1, 0), -EBADF)
    assert.equal(write(ring, reading, 'x', 0), -EBADF)
    ring.close(writing)
    ring.close(reading)
  })
})

contract('memory that is not there completes with -EFAULT', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)
    write(ring, fd, 'x', 0)

    assert.equal(ring.run({ opcode: IORING_OP_READ, fd, address: 64, length: 1 }), -EFAULT)
    assert.equal(ring.run({ opcode: IORING_OP_OPENAT, fd: AT_FDCWD, address: 64 }), -EFAULT)
    ring.close(fd)
  })
})

contract('OPENAT answers what open(2) answers', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const path = `${directory}/a`
    assert.equal(ring.open(path, O_RDONLY), -ENOENT)
    assert.equal(ring.open(`${directory}/none/a`, CREATE), -ENOENT)
    ring.close(ring.open(path, CREATE))

    assert.equal(ring.open(path, CREATE), -EEXIST)
    assert.equal(ring.open(directory, O_WRONLY), -EISDIR)
    assert.equal(ring.open(path, O_RDONLY | O_DIRECTORY), -ENOTDIR)
    assert.equal(ring.open(`${path}/b`, O_RDONLY), -ENOTDIR)
  })
})

contract('a read of a directory completes with -EISDIR', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(directory, O_RDONLY)

    assert.equal(read(ring, fd, 10, 0), -EISDIR)
    ring.close(fd)
  })
})

contract('FSYNC of a directory succeeds', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(directory, O_RDONLY | O_DIRECTORY)

    assert.equal(ring.run({ opcode: IORING_OP_FSYNC, fd }), 0)
    ring.close(fd)
  })
})

contract('O_TRUNC empties a file', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)
    write(ring, fd, 'abc', 0)
    ring.close(fd)

    ring.close(ring.open(`${directory}/a`, O_WRONLY | O_TRUNC))

    assert.equal(sizeOf(ring, `${directory}/a`), 0)
  })
})

contract('O_TMPFILE has no name until it is linked', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(directory, O_RDWR | O_TMPFILE)
    if (fd === -EOPNOTSUPP) return // a file system that has none
    assert.equal(write(ring, fd, 'abc', 0), 3)

    const from = `/proc/self/fd/${fd}`
    assert.equal(onNames(ring, IORING_OP_LINKAT, from, `${directory}/named`, 0x400), 0)

    assert.equal(sizeOf(ring, `${directory}/named`), 3)
    ring.close(fd)
  })
})

contract('direct I/O refuses what is not aligned with -EINVAL', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE | O_DIRECT)
    if (fd === -EINVAL) return // a file system in memory
    const status = statx(ring, `${directory}/a`)
    assert.ok(typeof status !== 'number')
    if (status.getUint32(156, true) === 0) return // one that takes anything
    const { address } = ring.allocate(8192, 4096)
    const entry = { opcode: IORING_OP_WRITE, fd, address, length: 4096, offset: 0 }

    assert.equal(ring.run(entry), 4096)
    assert.equal(ring.run({ ...entry, offset: 1 }), -EINVAL)
    assert.equal(ring.run({ ...entry, length: 100 }), -EINVAL)
    assert.equal(ring.run({ ...entry, opcode: IORING_OP_READ, length: 8192 }), 4096)
    ring.close(fd)
  })
})

contract('STATX tells kind, size and links, or -ENOENT', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE, 0o640)
    write(ring, fd, 'hello', 0)

    const status = statx(ring, `${directory}/a`)

    assert.ok(typeof status !== 'number')
    assert.equal(status.getUint16(28, true), 0o100640)
    assert.equal(status.getUint32(16, true), 1)
    assert.equal(status.getUint32(40, true), 5)
    assert.equal(statx(ring, `${directory}/b`), -ENOENT)
    ring.close(fd)
  })
})

contract(
  'FTRUNCATE cuts off and extends with zeros',
  async (kernel) => {
    using ring = new TestRing(kernel)
    await withDirectory(ring, (directory) => {
      const fd = ring.open(`${directory}/a`, CREATE)
      write(ring, fd, 'abcdef', 0)

      assert.equal(ring.run({ opcode: IORING_OP_FTRUNCATE, fd, offset: 3 }), 0)
      assert.equal(ring.run({ opcode: IORING_OP_FTRUNCATE, fd, offset: 5 }), 0)

      assert.equal(read(ring, fd, 10, 0), 'abc\0\0')
      ring.close(fd)
    })
  },
  lacksOperations('FTRUNCATE'),
)

contract('FALLOCATE extends, keeps the size, or punches a hole', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)
    write(ring, fd, 'abcdef', 0)
    const entry = { opcode: IORING_OP_FALLOCATE, fd, offset: 0, address: 8192 }

    assert.equal(ring.run({ ...entry, length: FALLOC_FL_KEEP_SIZE }), 0)
    assert.equal(sizeOf(ring, `${directory}/a`), 6)
    assert.equal(ring.run(entry), 0)
    assert.equal(sizeOf(ring, `${directory}/a`), 8192)
    const hole = { ...entry, offset: 1, address: 3 }
    assert.equal(ring.run({ ...hole, length: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE }), 0)
    assert.equal(read(ring, fd, 6, 0), 'a\0\0\0ef')
    assert.equal(ring.run({ ...entry, address: 0 }), -EINVAL)
    ring.close(fd)
  })
})

contract(
  'MKDIRAT and UNLINKAT answer what mkdir(2), unlink(2) and rmdir(2) answer',
  async (kernel) => {
    using ring = new TestRing(kernel)
    await withDirectory(ring, (directory) => {
      const path = `${directory}/d`
      assert.equal(onName(ring, IORING_OP_MKDIRAT, path, 0, 0o700), 0)
      assert.equal(onName(ring, IORING_OP_MKDIRAT, path, 0, 0o700), -EEXIST)
      ring.close(ring.open(`${path}/a`, CREATE))

      assert.equal(onName(ring, IORING_OP_UNLINKAT, path), -EISDIR)
      assert.equal(onName(ring, IORING_OP_UNLINKAT, path, AT_REMOVEDIR), -ENOTEMPTY)
      assert.equal(onName(ring, IORING_OP_UNLINKAT, `${path}/a`, AT_REMOVEDIR), -ENOTDIR)
      assert.equal(onName(ring, IORING_OP_UNLINKAT, `${path}/a`), 0)
      assert.equal(onName(ring, IORING_OP_UNLINKAT, `${path}/a`), -ENOENT)
      assert.equal(onName(ring, IORING_OP_UNLINKAT, path, AT_REMOVEDIR), 0)
    })
  },
)

contract('an unlinked file lives as long as it is open', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)
    write(ring, fd, 'abc', 0)

    assert.equal(onName(ring, IORING_OP_UNLINKAT, `${directory}/a`), 0)

    assert.equal(read(ring, fd, 3, 0), 'abc')
    ring.close(fd)
  })
})

contract('RENAMEAT replaces a file, and answers what rename(2) answers', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const [a, b, d] = ['a', 'b', 'd'].map((name) => `${directory}/${name}`) as [
      string,
      string,
      string,
    ]
    const fd = ring.open(a, CREATE)
    write(ring, fd, 'abc', 0)
    ring.close(fd)
    ring.close(ring.open(b, CREATE))
    onName(ring, IORING_OP_MKDIRAT, d, 0, 0o700)

    assert.equal(onNames(ring, IORING_OP_RENAMEAT, a, b, 1), -EEXIST)
    assert.equal(onNames(ring, IORING_OP_RENAMEAT, a, b), 0)
    assert.equal(sizeOf(ring, b), 3)
    assert.equal(onNames(ring, IORING_OP_RENAMEAT, a, b), -ENOENT)
    assert.equal(onNames(ring, IORING_OP_RENAMEAT, b, d), -EISDIR)
    assert.equal(onNames(ring, IORING_OP_RENAMEAT, d, b), -ENOTDIR)
    assert.equal(onNames(ring, IORING_OP_RENAMEAT, d, `${d}/e`), -EINVAL)
  })
})

contract('links, hard and symbolic, lead to the file', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const fd = ring.open(`${directory}/a`, CREATE)
    write(ring, fd, 'abc', 0)
    ring.close(fd)

    assert.equal(onNames(ring, IORING_OP_LINKAT, `${directory}/a`, `${directory}/h`), 0)
    assert.equal(onNames(ring, IORING_OP_LINKAT, `${directory}/a`, `${directory}/h`), -EEXIST)
    assert.equal(onNames(ring, IORING_OP_SYMLINKAT, 'h', `${directory}/s`), 0)
    assert.equal(onName(ring, IORING_OP_UNLINKAT, `${directory}/a`), 0)

    const link = ring.open(`${directory}/s`, O_RDONLY)
    assert.equal(read(ring, link, 3, 0), 'abc')
    ring.close(link)
  })
})

contract('registered buffers bound what may be read into them', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const { bytes, address } = ring.allocate(4096, 4096)
    const vector = Uint32Array.of(address >>> 0, address / 2 ** 32, 4096, 0)
    const { fd: ringFd } = ring.memory
    assert.equal(kernel.register(ringFd, IORING_REGISTER_BUFFERS, vector, 1), 0)
    assert.equal(kernel.register(ringFd, IORING_REGISTER_BUFFERS, vector, 1), -EBUSY)
    const fd = ring.open(`${directory}/a`, CREATE)
    bytes.set(Buffer.from('abc'))
    const entry = { fd, address, length: 3, offset: 0, buffer: 0 }

    assert.equal(ring.run({ opcode: IORING_OP_WRITE_FIXED, ...entry }), 3)
    bytes.fill(0)
    assert.equal(ring.run({ opcode: IORING_OP_READ_FIXED, ...entry }), 3)
    assert.equal(Buffer.from(bytes.subarray(0, 3)).toString(), 'abc')
    const beyond = { ...entry, address: address + 4094 }
    assert.equal(ring.run({ opcode: IORING_OP_READ_FIXED, ...beyond }), -EFAULT)
    assert.equal(ring.run({ opcode: IORING_OP_READ_FIXED, ...entry, buffer: 1 }), -EFAULT)
    assert.equal(kernel.register(ringFd, IORING_UNREGISTER_BUFFERS, null, 0), 0)
    ring.close(fd)
  })
})

contract('registered files are used by index, and outlive their descriptor', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (directory) => {
    const { fd: ringFd } = ring.memory
    const sparse = new Uint32Array(8)
    sparse.set([4, IORING_RSRC_REGISTER_SPARSE])
    assert.equal(kernel.register(ringFd, IORING_REGISTER_FILES2, sparse, 32), 0)
    const fd = ring.open(`${directory}/a`, CREATE)
    write(ring, fd, 'abc', 0)
    const fds = ring.place(new Uint8Array(Int32Array.of(fd).buffer))
    const update = Uint32Array.of(2, 0, fds >>> 0, fds / 2 ** 32)
    assert.equal(kernel.register(ringFd, IORING_REGISTER_FILES_UPDATE, update, 1), 1)
    ring.close(fd)
    const { address } = ring.allocate(3)
    const entry = { opcode: IORING_OP_READ, flags: IOSQE_FIXED_FILE, address, length: 3 }

    assert.equal(ring.run({ ...entry, fd: 2 }), 3)
    assert.equal(ring.run({ ...entry, fd: 1 }), -EBADF)
    assert.equal(ring.run({ ...entry, fd: 100 }), -EBADF)
    assert.equal(ring.run({ opcode: IORING_OP_CLOSE, fd: 0, fileIndex: 3 }), 0)
    assert.equal(ring.run({ ...entry, fd: 2 }), -EBADF)
    assert.equal(kernel.register(ringFd, IORING_UNREGISTER_FILES, null, 0), 0)
  })
})
