/** System calls that have no opcode and block: in another thread, with descriptors of their own. */

import assert from 'node:assert/strict'
import {
  AT_FDCWD,
  type CallDone,
  EAGAIN,
  EBADF,
  EINVAL,
  ENOENT,
  IORING_OP_SPLICE,
  IORING_OP_SYMLINKAT,
  IORING_OP_WRITE,
  type Kernel,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_RDWR,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'
import { TestRing, withDirectory } from './harness.ts'

const CREATE: number = O_RDWR | O_CREAT | O_EXCL

/** What a call comes to; virtual time passes with each look at the clock. */
async function outcome(kernel: Kernel, begin: (done: CallDone) => number): Promise<number> {
  let result: number | null = null
  const refusal = begin((value) => {
    result = value
  })
  if (refusal < 0) return refusal
  assert.equal(result, null, 'the result comes later')
  while (result === null) {
    for (let look = 0; look < 1000; look++) kernel.nowNs()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return result
}

function writeText(ring: TestRing, fd: number, text: string): void {
  const address = ring.place(Buffer.from(text))
  const entry = { opcode: IORING_OP_WRITE, fd, address, length: text.length, offset: 0 }
  assert.equal(ring.run(entry), text.length)
}

/** The names of `struct linux_dirent64`s. */
function namesIn(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes)
  const names: string[] = []
  for (let at = 0; at < buffer.length; at += buffer.readUInt16LE(at + 16)) {
    names.push(buffer.toString('utf8', at + 19, buffer.indexOf(0, at + 19)))
  }
  return names
}

contract('readDirectory() tells all names in batches, then 0', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (path) => {
    const made = Array.from({ length: 20 }, (_, index) => `file-${index}`)
    for (const name of made) ring.close(ring.open(`${path}/${name}`, CREATE))
    const fd = ring.open(path, O_RDONLY | O_DIRECTORY)
    const target = new Uint8Array(200)

    const found: string[] = []
    for (;;) {
      const result = await outcome(kernel, (done) => kernel.aside.readDirectory(fd, target, done))
      assert.ok(result >= 0)
      if (result === 0) break
      found.push(...namesIn(target.subarray(0, result)))
    }

    assert.deepEqual(found.sort(), ['.', '..', ...made].sort())
    ring.close(fd)
  })
})

contract('readDirectory() answers -EINVAL where no name fits', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (path) => {
    const fd = ring.open(path, O_RDONLY | O_DIRECTORY)
    const target = new Uint8Array(8)

    const result = await outcome(kernel, (done) => kernel.aside.readDirectory(fd, target, done))

    assert.equal(result, -EINVAL)
    ring.close(fd)
  })
})

contract(
  'a call in another thread needs the descriptor no more once it has begun',
  async (kernel) => {
    using ring = new TestRing(kernel)
    await withDirectory(ring, async (path) => {
      const fd = ring.open(path, O_RDONLY | O_DIRECTORY)
      const target = new Uint8Array(200)

      const result = await outcome(kernel, (done) => {
        const refusal = kernel.aside.readDirectory(fd, target, done)
        ring.close(fd)
        return refusal
      })

      assert.deepEqual(namesIn(target.subarray(0, result)).sort(), ['.', '..'])
      const again = await outcome(kernel, (done) => kernel.aside.readDirectory(fd, target, done))
      assert.equal(again, -EBADF)
    })
  },
)

contract('readLink() says where a link leads, as far as there is room', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (path) => {
    const names = { address: ring.place('some/where'), offset: ring.place(`${path}/link`) }
    assert.equal(ring.run({ opcode: IORING_OP_SYMLINKAT, fd: AT_FDCWD, ...names }), 0)
    const fd = ring.open(`${path}/link`, O_PATH | O_NOFOLLOW)
    const read = async (lengthBytes: number): Promise<string> => {
      const target = Buffer.alloc(lengthBytes)
      const result = await outcome(kernel, (done) => kernel.aside.readLink(fd, target, done))
      return target.toString('utf8', 0, result)
    }

    assert.equal(await read(100), 'some/where')
    assert.equal(await read(4), 'some')
    ring.close(fd)
  })
})

contract('readLink() answers -ENOENT for what is no link', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (path) => {
    const opened = ring.open(`${path}/file`, CREATE)
    const named = ring.open(`${path}/file`, O_PATH | O_NOFOLLOW)
    const directory = ring.open(path, O_RDONLY | O_DIRECTORY)
    const target = Buffer.alloc(100)

    for (const fd of [opened, named, directory]) {
      const result = await outcome(kernel, (done) => kernel.aside.readLink(fd, target, done))
      assert.equal(result, -ENOENT)
    }

    for (const fd of [opened, named, directory]) ring.close(fd)
  })
})

contract('copyRange() copies up to the end, and refuses what overlaps', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (path) => {
    const fromFd = ring.open(`${path}/from`, CREATE)
    const toFd = ring.open(`${path}/to`, CREATE)
    writeText(ring, fromFd, 'hello world')
    const copy = (fromBytes: number, lengthBytes: number, to = toFd): Promise<number> => {
      const args = { fromFd, fromBytes, toFd: to, toBytes: 0, lengthBytes }
      return outcome(kernel, (done) => kernel.aside.copyRange(args, done))
    }

    assert.equal(await copy(6, 3), 3)
    assert.equal(await copy(6, 100), 5)
    assert.equal(await copy(11, 100), 0)
    assert.equal(await copy(2, 5, fromFd), -EINVAL)
    const reader = ring.open(`${path}/to`, O_RDONLY)
    assert.equal(await copy(0, 3, reader), -EBADF)
    for (const fd of [fromFd, toFd, reader]) ring.close(fd)
  })
})

contract('lock() keeps other open files out, and goes with the descriptor', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (path) => {
    const one = ring.open(`${path}/file`, CREATE)
    const other = ring.open(`${path}/file`, O_RDWR)
    const lock = (fd: number, operation: number): Promise<number> => {
      return outcome(kernel, (done) => kernel.aside.lock(fd, operation, done))
    }

    assert.equal(await lock(one, LOCK_SH | LOCK_NB), 0)
    assert.equal(await lock(other, LOCK_SH | LOCK_NB), 0)
    assert.equal(await lock(one, LOCK_EX | LOCK_NB), -EAGAIN)
    // The attempt has cost it what it had.
    assert.equal(await lock(other, LOCK_EX | LOCK_NB), 0)
    assert.equal(await lock(one, LOCK_SH | LOCK_NB), -EAGAIN)
    assert.equal(await lock(other, LOCK_UN), 0)
    assert.equal(await lock(one, LOCK_EX | LOCK_NB), 0)
    ring.close(one)
    assert.equal(await lock(other, LOCK_EX | LOCK_NB), 0)
    ring.close(other)
  })
})

contract('changeMode() sets permissions, whatever the mask', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (path) => {
    const fd = ring.open(`${path}/file`, CREATE)

    const result = await outcome(kernel, (done) => kernel.aside.changeMode(fd, 0o666, done))

    assert.equal(result, 0)
    ring.close(fd)
    const bad = await outcome(kernel, (done) => kernel.aside.changeMode(fd, 0o666, done))
    assert.equal(bad, -EBADF)
  })
})

contract('changeOwner() leaves what is -1 as it is', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, async (path) => {
    const fd = ring.open(`${path}/file`, CREATE)

    const result = await outcome(kernel, (done) => kernel.aside.changeOwner(fd, -1, -1, done))

    assert.equal(result, 0)
    ring.close(fd)
  })
})

contract('splice of two files is -EINVAL, as one end must be a pipe', async (kernel) => {
  using ring = new TestRing(kernel)
  await withDirectory(ring, (path) => {
    const fd = ring.open(`${path}/from`, CREATE)
    const other = ring.open(`${path}/to`, CREATE)
    writeText(ring, fd, 'hello')

    const entry = { opcode: IORING_OP_SPLICE, fd: other, offset: 0, address: 0, length: 5 }
    assert.equal(ring.run({ ...entry, fileIndex: fd }), -EINVAL)
    for (const each of [fd, other]) ring.close(each)
  })
})
