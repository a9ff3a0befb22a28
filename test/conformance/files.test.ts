/** Glommio's behaviours of files, by their numbers in its own tests' order. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  existsSync,
  fstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createTaskQueue, spawn, spawnInto, yieldNow } from '../../src/index.ts'
import { readBlockBytes } from '../../src/io/devices/device-queue.ts'
import { diskOf } from '../../src/io/devices/devices.ts'
import { findObstacle } from '../../src/io/devices/polling.ts'
import { BufferedFile, DirectFile, Directory } from '../../src/io/index.ts'
import { ENOENT } from '../../src/kernel/index.ts'
import type { FileOrder } from '../io/file-ticket-worker.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern } from '../io/support.ts'

const direct = needsDirect()

test('47: open() rejects for a missing file, and does not create it', direct, async (t) => {
  const path = join(makeFolder(t), 'missing')

  await assert.rejects(DirectFile.open(path), { code: 'ENOENT', path })
  await assert.rejects(BufferedFile.open(path), { code: 'ENOENT', path })

  assert.equal(existsSync(path), false)
})

test('47: create() makes a file that close() leaves behind', direct, async (t) => {
  const path = join(makeFolder(t), 'file')

  const file = await DirectFile.create(path)
  await file.close()

  assert.equal(statSync(path).size, 0)
})

test(
  '48: rename() moves the file and its path, and to itself changes nothing',
  direct,
  async (t) => {
    const folder = makeFolder(t)
    const [from, to] = [join(folder, 'from'), join(folder, 'to')]
    await using file = await DirectFile.create(from)

    await file.rename(to)
    await file.rename(to)

    assert.deepEqual([file.path, existsSync(from), existsSync(to)], [to, false, true])
  },
)

test(
  '49: allocate() grows the file unless it keeps its size, never shrinks it',
  direct,
  async (t) => {
    await using file = await DirectFile.create(join(makeFolder(t), 'file'))
    const data = pattern(5000, 49)
    await file.writeBytes(data, 0)

    await file.allocate(16_384, { keepSize: true })
    const keptBytes = await file.size()
    await file.allocate(16_384)
    const grownBytes = await file.size()
    await file.allocate(4096)

    assert.deepEqual([keptBytes, grownBytes, await file.size()], [5000, 16_384, 16_384])
    using result = await file.read(0, 5000)
    assert.deepEqual(result.bytes, data)
  },
)

test('49: allocate() rejects a length of 0', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))

  await assert.rejects(file.allocate(0), RangeError)
})

test(
  '50: read() serves aligned and unaligned stretches, and counts what it moved',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    const data = pattern(4096, 50)
    const writer = await DirectFile.create(path)
    using buffer = writer.allocateBuffer(4096)
    buffer.bytes.set(data)
    await writer.write(buffer, 0)
    const written = writer.stats()
    await writer.close()
    await using file = await DirectFile.open(path)

    using part = await file.read(600, 500)
    using whole = await file.read(0, 4096)

    assert.deepEqual(part.bytes, data.subarray(600, 1100))
    assert.deepEqual(whole.bytes, data)
    const a = file.alignmentBytes
    const partBytes = Math.ceil(1100 / a) * a - Math.floor(600 / a) * a
    assert.deepEqual([written.writeCount, written.writeBytes], [1, 4096])
    assert.deepEqual([file.stats().readCount, file.stats().readBytes], [2, 4096 + partBytes])
  },
)

test('51: write() and allocate() reject on a file opened for reading', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(4096, 51))
  await using file = await DirectFile.open(path)
  using buffer = file.allocateBuffer(4096)

  await assert.rejects(file.write(buffer, 0), { code: 'EBADF', syscall: 'write', path })
  await assert.rejects(file.writeBytes(new Uint8Array(10), 3), { code: 'EBADF' })
  await assert.rejects(file.allocate(8192), { code: 'EBADF' })

  assert.deepEqual([file.stats().writeCount, file.stats().writeBytes], [0, 0])
  assert.deepEqual(new Uint8Array(readFileSync(path)), pattern(4096, 51))
})

test('52: read() of an empty file brings nothing, and counts as a read', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))

  using result = await file.read(0, 512)

  assert.deepEqual([result.lengthBytes, result.bytes.length], [0, 0])
  assert.deepEqual([file.stats().readCount, file.stats().readBytes], [1, 0])
})

test('53: writes aborted before they are submitted are not performed', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  using buffer = file.allocateBuffer(4096)
  const controller = new AbortController()
  const before = holdings()

  const writes = Array.from({ length: 200 }, (_, index) =>
    file.write(buffer, index * 4096, { signal: controller.signal }),
  )
  controller.abort(new Error('enough'))
  const outcomes = await Promise.allSettled(writes)

  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  assert.deepEqual([file.stats().writeCount, await file.size()], [0, 0])
  assertNoLeak(before)
})

test('54: tasks cancelled while they write leave nothing behind', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  using buffer = file.allocateBuffer(4096)
  const before = holdings()
  const tasks = Array.from({ length: 200 }, (_, index) =>
    spawn(() => file.write(buffer, index * 4096)),
  )
  await yieldNow()

  await Promise.all(tasks.map((task) => task.cancel()))

  assert.equal(file.inFlightCount, 0)
  assertNoLeak(before)
})

test('55: isSameFile() tells files apart, and descriptors not', direct, async (t) => {
  const folder = makeFolder(t)
  await using first = await DirectFile.create(join(folder, 'a'))
  await using again = await BufferedFile.open(join(folder, 'a'))
  await using other = await DirectFile.create(join(folder, 'b'))

  assert.deepEqual([first.isSameFile(again), again.isSameFile(first)], [true, true])
  assert.deepEqual([first.isSameFile(other), other.isSameFile(first)], [false, false])
})

test(
  '58: a write past the end leaves a hole of zeros, and punch() keeps the size',
  direct,
  async (t) => {
    await using file = await DirectFile.create(join(makeFolder(t), 'file'))
    using buffer = file.allocateBuffer(65_536)
    buffer.bytes.fill(7)

    await file.write(buffer, 1024 * 1024)
    const sparse = await file.stat()
    await file.punch(1024 * 1024, 32_768)
    const punched = await file.stat()

    assert.equal(sparse.sizeBytes, 1024 * 1024 + 65_536)
    assert.ok(sparse.allocatedBytes < sparse.sizeBytes / 2, 'the hole takes up nothing')
    assert.equal(punched.sizeBytes, sparse.sizeBytes)
    assert.ok(punched.allocatedBytes < sparse.allocatedBytes, 'the space is given back')
    using hole = await file.read(4096, 100)
    assert.ok(hole.bytes.every((byte) => byte === 0))
    using edge = await file.read(1024 * 1024 + 32_768 - 1, 2)
    assert.deepEqual([...edge.bytes], [0, 7])
  },
)

test('59: one buffer is written to two files at once', direct, async (t) => {
  const folder = makeFolder(t)
  const files = [
    await DirectFile.create(join(folder, 'a')),
    await DirectFile.create(join(folder, 'b')),
  ]
  const buffer = files[0]!.allocateBuffer(8192)
  buffer.bytes.set(pattern(8192, 59))

  const writes = files.map((file) => file.write(buffer, 0))
  buffer.release()
  await Promise.all(writes)
  await Promise.all(files.map((file) => file.close()))

  for (const name of ['a', 'b']) {
    assert.deepEqual(new Uint8Array(readFileSync(join(folder, name))), pattern(8192, 59))
  }
})

test('60: a file is sent to another thread, with its descriptor, and closed there', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'sent')
  const worker = new Worker(new URL('../io/file-ticket-worker.js', import.meta.url))
  const file = await BufferedFile.open(path)
  const { fd } = file

  const ticket = await file.detach()
  assert.ok(fstatSync(fd).isFile())
  worker.postMessage({ kind: 'read', ticket } satisfies FileOrder)
  const [text] = await once(worker, 'message')
  await worker.terminate()

  assert.equal(text, 'sent')
  assert.equal(file.isClosed, true)
  assert.throws(() => fstatSync(fd), { code: 'EBADF' })
})

test('61: dup() outlives the file that it was made of', direct, async (t) => {
  const file = await DirectFile.create(join(makeFolder(t), 'file'))
  await file.writeBytes(pattern(700, 61), 0)
  await using copy = await file.dup()

  await file.close()

  using bytes = await copy.read(0, 1000)
  assert.deepEqual([bytes.bytes, copy.isSameFile(file)], [pattern(700, 61), true])
})

test('61: a duplicate outlives what it was made of', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'shared')
  const file = await BufferedFile.open(path)
  await using copy = await BufferedFile.adopt(file.duplicate())

  await file.close()

  assert.equal(Buffer.from(await copy.read(0, 100)).toString(), 'shared')
})

test('62: a temporary file must be writable, and has an inode of its own', direct, async (t) => {
  const folder = makeFolder(t)
  const options = { read: true, write: true, tmpfile: true }

  await assert.rejects(DirectFile.open(folder, { read: true, tmpfile: true }), RangeError)
  await using one = await DirectFile.open(folder, options)
  await using other = await DirectFile.open(folder, options)

  assert.equal(one.isSameFile(other), false)
  assert.notEqual(one.identity.inode, other.identity.inode)
  assert.deepEqual(readdirSync(folder), [])
})

test(
  '65: copyFrom() copies within the kernel, and a lease goes from file to file',
  direct,
  async (t) => {
    const folder = makeFolder(t)
    await using source = await DirectFile.create(join(folder, 'source'))
    await using copy = await DirectFile.create(join(folder, 'copy'))
    await using written = await DirectFile.create(join(folder, 'written'))
    await source.writeBytes(pattern(8192, 65), 0)

    const copiedBytes = await copy.copyFrom(source, { fromBytes: 4096, lengthBytes: 4096 })
    using lease = await source.read(0, 8192)
    await written.write(lease, 0)

    assert.equal(copiedBytes, 4096)
    const contents = ['copy', 'written'].map((name) => readFileSync(join(folder, name)))
    assert.deepEqual(new Uint8Array(contents[0]!), pattern(8192, 65).subarray(4096))
    assert.deepEqual(new Uint8Array(contents[1]!), pattern(8192, 65))
  },
)

test(
  '69: advisory locks exclude other open files, and are shared by duplicates',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await DirectFile.create(path)
    await using copy = await file.dup()
    await using other = await DirectFile.open(path)

    const lock = await file.lock()
    const tries = [
      await other.tryLock(),
      await other.tryLock({ shared: true }),
      await copy.tryLock(),
    ]
    await lock.release()
    await using shared = await other.lock({ shared: true })
    const after = [await file.tryLock(), (await file.tryLock({ shared: true }))?.mode]

    assert.deepEqual(tries, [null, null, null])
    assert.deepEqual([shared.mode, ...after], ['shared', null, 'shared'])
  },
)

test(
  '56: what is read and written is counted for the queue that asked for it',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    const data = pattern(3 * 4096, 56)
    writeFileSync(path, data)
    const [first, second, idle] = ['first', 'second', 'idle'].map((name) => createTaskQueue(name))
    const before = first!.stats().files

    await spawnInto(first!, async () => {
      await using file = await DirectFile.open(path)
      using part = await file.read(0, 4096)
      using whole = await file.read(0, 3 * 4096)
      assert.equal(part.lengthBytes + whole.lengthBytes, 4 * 4096)
    })
    await spawnInto(second!, async () => {
      await using file = await BufferedFile.open(path, { write: true, read: true })
      await file.write(data.subarray(0, 100), 0)
      await file.read(0, 50)
      await assert.rejects(file.read(-1, 50), RangeError)
    })

    const wanted = { heldCount: 0, heldNs: 0, limitedCount: 0 }
    const none = { transferCount: 0, readBytes: 0, writtenBytes: 0, ...wanted }
    assert.deepEqual(before, none)
    assert.deepEqual(idle!.stats().files, none)
    assert.deepEqual(first!.stats().files, {
      transferCount: 2,
      readBytes: 4 * 4096,
      writtenBytes: 0,
      ...wanted,
    })
    assert.deepEqual(second!.stats().files, {
      transferCount: 2,
      readBytes: 50,
      writtenBytes: 100,
      ...wanted,
    })
    for (const queue of [first, second, idle]) queue!.remove()
    assert.equal(second!.stats().files.writtenBytes, 100)
  },
)

test('D17: what a device can do is asked of that very device, not of the first of its driver', () => {
  const texts: Readonly<Record<string, string>> = {
    '/sys/dev/block/259:0/queue/logical_block_size': '512\n',
    '/sys/dev/block/259:0/queue/io_poll': '0\n',
    '/sys/dev/block/259:5/queue/logical_block_size': '4096\n',
    '/sys/dev/block/259:5/queue/io_poll': '1\n',
    '/sys/dev/block/259:6/partition': '1\n',
    '/sys/dev/block/259:6/../dev': '259:5\n',
    '/sys/dev/block/259:6/../queue/logical_block_size': '4096\n',
    '/sys/dev/block/259:6/../queue/io_poll': '1\n',
    '/sys/dev/block/253:2/queue/logical_block_size': '4096\n',
    '/sys/dev/block/253:2/queue/io_poll': '1\n',
  }
  const kernel = { readTextFile: (path: string) => texts[path] ?? -ENOENT }
  const ask = (major: number, minor: number): readonly unknown[] => {
    const device = { major, minor }
    const isPolled = findObstacle(kernel, device) === null
    return [readBlockBytes(kernel, device), isPolled, diskOf(kernel, device)]
  }

  const [disk, partition, mapped, unknown] = [ask(259, 5), ask(259, 6), ask(253, 2), ask(253, 9)]

  assert.deepEqual(disk, [4096, true, { major: 259, minor: 5 }])
  assert.deepEqual(partition, [4096, true, { major: 259, minor: 5 }])
  assert.deepEqual(mapped, [4096, true, { major: 253, minor: 2 }])
  assert.deepEqual(unknown, [null, false, { major: 253, minor: 9 }])
})

test('D18: open() rejects while its file comes and goes', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const before = holdings()

  for (let round = 0; round < 100; round++) {
    writeFileSync(path, 'x')
    const opening = DirectFile.open(path)
    if (round % 2 === 0) await yieldNow()
    rmSync(path)
    const file = await opening.catch((error: { code: string }) => {
      assert.equal(error.code, 'ENOENT')
      return null
    })
    await file?.close()
  }

  assertNoLeak(before)
})

test('directories are made, opened, listed and synced, and files opened in them', async (t) => {
  const path = join(makeFolder(t), 'directory')
  await using directory = await Directory.create(path)
  await using again = await Directory.create(path)
  await using file = await BufferedFile.create('file', { directory })

  await directory.sync()
  const names: string[] = []
  for await (const { name } of again.list()) names.push(name)

  assert.deepEqual([names, file.path], [['file'], join(path, 'file')])
})

test('67: a file that threads share is closed by each for itself', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'shared')
  await using file = await BufferedFile.open(path)
  const worker = new Worker(new URL('../io/file-ticket-worker.js', import.meta.url))

  for (let round = 0; round < 3; round++) {
    worker.postMessage({ kind: 'read', ticket: file.duplicate() } satisfies FileOrder)
    const [text] = await once(worker, 'message')
    assert.equal(text, 'shared')
  }
  await worker.terminate()

  assert.equal(Buffer.from(await file.read(0, 100)).toString(), 'shared')
})

test('63: stat() still answers for a file without a name', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  await file.writeBytes(pattern(700, 63), 0)

  await file.remove()

  const { sizeBytes, linkCount } = await file.stat()
  assert.deepEqual([sizeBytes, linkCount], [700, 0])
})

test('71: remove() of a name that is gone rejects with ENOENT', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  await file.remove()

  await assert.rejects(file.remove(), { code: 'ENOENT', errno: -2, syscall: 'unlink', path })
})

test('75: reading a file opened for writing rejects, and closing it works', direct, async (t) => {
  const folder = makeFolder(t)
  const file = await DirectFile.open(join(folder, 'a'), { write: true, create: true })
  const buffered = await BufferedFile.open(join(folder, 'b'), { write: true, create: true })
  using buffer = file.allocateBuffer(512)

  await assert.rejects(file.readInto(buffer, 0), { code: 'EBADF', syscall: 'read' })
  await assert.rejects(file.read(0, 10), { code: 'EBADF' })
  await assert.rejects(buffered.read(0, 10), { code: 'EBADF' })

  await file.close()
  await buffered.close()
})
