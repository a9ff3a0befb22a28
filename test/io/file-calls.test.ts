/** What else is done to files: vectors, space, copies, locks, advice, splices, links. */

import assert from 'node:assert/strict'
import { execFileSync, spawn as spawnProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { allocateBuffer, executor, spawn, yieldNow } from '../../src/index.ts'
import { BufferedFile, DirectFile, Directory, type Lease, stat } from '../../src/io/index.ts'
import { seeds, simulate } from '../../src/testing/index.ts'
import { spreadSeedCount } from '../limits.ts'
import { assertNoLeak, holdings, makeFolder, mountFolder, needsRoot, pattern } from './support.ts'

/** Runs a test in a folder of the real kernel, and in one of a simulated one. */
function onBoth(name: string, body: (folder: string) => Promise<void>): void {
  test(`${name} [uring]`, (t) => body(makeFolder(t)))
  test(`${name} [sim]`, () => simulate(7, () => body('/tmp')))
}

function leaseOf(bytes: Uint8Array): Lease {
  const lease = allocateBuffer(bytes.length)
  lease.bytes.set(bytes)
  return lease
}

function releaseAll(leases: readonly Lease[]): void {
  for (const lease of leases) lease.release()
}

onBoth('writeVector() and readVector() keep the order of their parts', async (folder) => {
  await using file = await BufferedFile.create(join(folder, 'file'))
  const parts = [leaseOf(pattern(3, 1)), leaseOf(pattern(5000, 2)), leaseOf(pattern(70, 3))]

  assert.equal(await file.writeVector(parts, 10), 5073)
  const targets = [allocateBuffer(5000), allocateBuffer(300)]
  const readBytes = await file.readVector(targets, 10)

  assert.equal(readBytes, 5073)
  const whole = Buffer.concat(parts.map(({ bytes }) => bytes))
  assert.deepEqual(Buffer.from(targets[0]!.bytes), whole.subarray(0, 5000))
  assert.deepEqual(Buffer.from(targets[1]!.bytes.subarray(0, 73)), whole.subarray(5000))
  assert.equal(await file.readVector(targets, 6000), 0)
  assert.equal(await file.readVector([], 0), 0)
  releaseAll([...parts, ...targets])
})

onBoth('writeVector() takes more parts than a request does', async (folder) => {
  await using file = await BufferedFile.create(join(folder, 'file'))
  const parts = Array.from({ length: 2500 }, (_, index) => leaseOf(pattern(7, index)))

  assert.equal(await file.writeVector(parts, 0), 17_500)
  const targets = Array.from({ length: 2500 }, () => allocateBuffer(7))
  assert.equal(await file.readVector(targets, 0), 17_500)

  for (const [index, { bytes }] of targets.entries()) assert.deepEqual(bytes, parts[index]!.bytes)
  releaseAll([...parts, ...targets])
})

test('vectors go on after short transfers and errors that pass', async () => {
  const faults = { shortRead: 0.6, shortWrite: 0.6, errors: { EINTR: 0.1, EAGAIN: 0.1 } }
  for (const seed of seeds(spreadSeedCount(50))) {
    await simulate({ seed, faults }, async ({ kernel }) => {
      kernel.files.writeFile('/tmp/file', new Uint8Array(0))
      const file = await openRetrying('/tmp/file')
      const parts = [100, 4096, 1, 9000].map((length, index) => leaseOf(pattern(length, index)))

      assert.equal(await file.writeVector(parts, 0), 13_197)
      const targets = [6000, 6000, 6000].map((length) => allocateBuffer(length))
      assert.equal(await file.readVector(targets, 0), 13_197)

      const read = Buffer.concat(targets.map(({ bytes }) => bytes)).subarray(0, 13_197)
      assert.ok(read.equals(Buffer.concat(parts.map(({ bytes }) => bytes))))
      releaseAll([...parts, ...targets])
      await file.close()
    })
  }
})

async function openRetrying(path: string): Promise<BufferedFile> {
  for (;;) {
    try {
      return await BufferedFile.open(path, { read: true, write: true })
    } catch (error) {
      assert.equal((error as { code: string }).code, 'EINTR')
    }
  }
}

onBoth('vectors of direct files must be aligned', async (folder) => {
  const path = join(folder, 'file')
  await using file = await DirectFile.create(path, { fallback: 'buffered' })
  const parts = [file.allocateBuffer(4096), file.allocateBuffer(8192)]
  for (const [index, { bytes }] of parts.entries()) bytes.set(pattern(bytes.length, index))

  assert.equal(await file.writeVector(parts, 4096), 12_288)
  await file.truncate(10_000)
  const targets = [file.allocateBuffer(4096), file.allocateBuffer(4096)]
  assert.equal(await file.readVector(targets, 4096), 5904)

  assert.deepEqual(targets[0]!.bytes, parts[0]!.bytes)
  assert.deepEqual(targets[1]!.bytes.subarray(0, 1808), parts[1]!.bytes.subarray(0, 1808))
  if (file.isDirect) {
    await assert.rejects(file.writeVector(parts, 1), { code: 'ERR_UNALIGNED' })
    const odd = [parts[0]!, leaseOf(pattern(3, 3))]
    await assert.rejects(file.writeVector(odd, 0), { code: 'ERR_UNALIGNED' })
    odd[1]!.release()
  }
  releaseAll([...parts, ...targets])
})

onBoth('vectors refuse what they cannot do, and give back what they hold', async (folder) => {
  const path = join(folder, 'file')
  await using file = await BufferedFile.create(path)
  await using log = await BufferedFile.open(path, { append: true })
  await using reader = await BufferedFile.open(path)
  const part = leaseOf(pattern(10, 1))
  const before = holdings()

  await assert.rejects(log.writeVector([part], 0), { code: 'ERR_UNSUPPORTED' })
  await assert.rejects(reader.writeVector([part], 0), { code: 'EBADF', syscall: 'writev' })
  await assert.rejects(file.writeVector([new Uint8Array(1)] as never, 0), TypeError)
  await assert.rejects(file.writeVector(part as never, 0), TypeError)
  await assert.rejects(file.writeVector([part], -1), RangeError)
  const signal = AbortSignal.abort(new Error('no'))
  await assert.rejects(file.writeVector([part], 0, { signal }), { message: 'no' })

  assertNoLeak(before)
  part.release()
  await assert.rejects(file.readVector([part], 0), { code: 'ERR_BUFFER_RELEASED' })
})

onBoth('zero(), collapse() and insertHole() change a file in its middle', async (folder) => {
  await using file = await BufferedFile.create(join(folder, 'file'))
  const data = pattern(5 * 4096, 1)
  await file.write(data, 0)

  await file.zero(100, 50)
  data.fill(0, 100, 150)
  assert.deepEqual(await file.read(0, 30_000), data)
  await file.collapse(4096, 8192)
  const collapsed = Buffer.concat([data.subarray(0, 4096), data.subarray(12_288)])
  assert.deepEqual(Buffer.from(await file.read(0, 30_000)), collapsed)
  await file.insertHole(4096, 4096)
  const inserted = [collapsed.subarray(0, 4096), new Uint8Array(4096), collapsed.subarray(4096)]
  assert.deepEqual(Buffer.from(await file.read(0, 30_000)), Buffer.concat(inserted))

  await file.zero(20_000, 10_000, { keepSize: true })
  assert.equal(await file.size(), 4 * 4096)
  await file.zero(20_000, 10_000)
  assert.equal(await file.size(), 30_000)
  await assert.rejects(file.collapse(1, 4096), { code: 'EINVAL' })
  await assert.rejects(file.insertHole(4096, 1), { code: 'EINVAL' })
  await assert.rejects(file.zero(0, 0), RangeError)
  await assert.rejects(file.zero(0, 1, { keep: true } as object), TypeError)
})

onBoth('copyFrom() copies stretches, up to the end of the source', async (folder) => {
  await using source = await BufferedFile.create(join(folder, 'source'))
  await using target = await BufferedFile.create(join(folder, 'target'))
  const data = pattern(300_000, 1)
  await source.write(data, 0)

  assert.equal(await target.copyFrom(source), 300_000)
  assert.equal(
    await target.copyFrom(source, { fromBytes: 299_000, offsetBytes: 7, lengthBytes: 5000 }),
    1000,
  )
  assert.equal(await target.copyFrom(source, { fromBytes: 300_000 }), 0)
  assert.equal(await target.copyFrom(target, { offsetBytes: 300_000, lengthBytes: 1000 }), 1000)

  const expected = Buffer.concat([data, new Uint8Array(1000)])
  expected.set(data.subarray(299_000), 7)
  expected.copy(expected, 300_000, 0, 1000)
  assert.deepEqual(Buffer.from(await target.read(0, 400_000)), expected)
})

onBoth('copyFrom() copies between direct and buffered files, aligned or not', async (folder) => {
  const fallback = 'buffered' as const
  await using buffered = await BufferedFile.create(join(folder, 'buffered'))
  await using direct = await DirectFile.create(join(folder, 'direct'), { fallback })
  await using other = await DirectFile.create(join(folder, 'other'), { fallback })
  const data = pattern(20_000, 1)
  await buffered.write(data, 0)

  assert.equal(await direct.copyFrom(buffered, { fromBytes: 5 }), 19_995)
  assert.equal(await other.copyFrom(direct, { offsetBytes: 3 }), 19_995)
  assert.equal(await buffered.copyFrom(other, { fromBytes: 3, offsetBytes: 1 }), 19_995)

  data.copyWithin(1, 5)
  assert.deepEqual(
    Buffer.from(await buffered.read(0, 30_000)).subarray(0, 19_996),
    Buffer.from(data).subarray(0, 19_996),
  )
})

onBoth('copyFrom() refuses what overlaps, and files that are not open for it', async (folder) => {
  const path = join(folder, 'file')
  await using file = await BufferedFile.create(path)
  await file.write(pattern(100, 1), 0)
  await using log = await BufferedFile.open(path, { append: true })
  await using reader = await BufferedFile.open(path)
  await using other = await BufferedFile.create(join(folder, 'other'))

  await assert.rejects(file.copyFrom(reader, { offsetBytes: 50, lengthBytes: 60 }), RangeError)
  await assert.rejects(file.copyFrom(reader, { offsetBytes: 50 }), RangeError)
  await assert.rejects(log.copyFrom(other), { code: 'ERR_UNSUPPORTED' })
  await assert.rejects(reader.copyFrom(other), { code: 'EBADF' })
  await assert.rejects(other.copyFrom(log), { code: 'EBADF' })
  await assert.rejects(other.copyFrom(folder as never), TypeError)
  await assert.rejects(other.copyFrom(file, { length: 1 } as object), TypeError)
  const signal = AbortSignal.abort(new Error('no'))
  await assert.rejects(other.copyFrom(file, { signal }), { message: 'no' })
})

test('copyFrom() copies between file systems', needsRoot(), async (t) => {
  const mounted = mountFolder(t, ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs'])
  await using source = await BufferedFile.create(join(makeFolder(t), 'source'))
  await using target = await BufferedFile.create(join(mounted, 'target'))
  const data = pattern(600_000, 1)
  await source.write(data, 0)

  assert.equal(await target.copyFrom(source), 600_000)
  assert.deepEqual(await target.read(0, 700_000), data)
})

onBoth('lock() excludes other open files until it is released', async (folder) => {
  const path = join(folder, 'file')
  await using file = await BufferedFile.create(path)
  await using other = await BufferedFile.open(path)

  const lock = await file.lock()
  assert.equal(lock.mode, 'exclusive')
  assert.equal(await other.tryLock(), null)
  assert.equal(await other.tryLock({ shared: true }), null)
  assert.equal(await file.tryLock(), null)
  await assert.rejects(other.lock({ timeoutMs: 20 }), { code: 'ERR_TASK_TIMEOUT' })
  const waiting = other.lock()
  await lock.release()
  await lock.release()
  await using taken = await waiting

  assert.deepEqual([lock.isHeld, taken.isHeld], [false, true])
  assert.equal(await file.tryLock({ shared: true }), null)
})

onBoth('shared locks go together, and with the file', async (folder) => {
  const path = join(folder, 'file')
  const file = await BufferedFile.create(path)
  await using other = await DirectFile.open(path, { fallback: 'buffered' })

  await using one = await file.lock({ shared: true })
  await using two = await file.lock({ shared: true })
  await using three = await other.lock({ shared: true })
  assert.equal(await other.tryLock(), null)
  await three.release()
  assert.equal(await other.tryLock(), null)
  await one.release()
  assert.equal(await other.tryLock(), null)
  assert.equal(two.isHeld, true)
  await file.close()

  assert.equal(two.isHeld, false)
  await using four = await other.lock()
  assert.equal(four.mode, 'exclusive')
  await assert.rejects(other.lock({ exclusive: true } as object), TypeError)
})

onBoth('a dup outlives its original, and shares its locks', async (folder) => {
  const path = join(folder, 'file')
  const file = await BufferedFile.create(path)
  await file.write(pattern(10, 1), 0)
  await using copy = await file.dup()
  await using other = await BufferedFile.open(path)

  await using lock = await file.lock()
  assert.equal(await copy.tryLock(), null)
  await lock.release()
  await file.close()

  assert.deepEqual(await copy.read(0, 100), pattern(10, 1))
  await using again = await copy.lock()
  assert.equal(again.isHeld, true)
  assert.equal(await other.tryLock(), null)
  await assert.rejects(file.dup(), { code: 'ERR_HANDLE_CLOSED' })
})

onBoth('a lock stays with a dup of its file, and is released by it', async (folder) => {
  const path = join(folder, 'file')
  const file = await BufferedFile.create(path)
  await using other = await BufferedFile.open(path)
  const lock = await file.lock()
  const copy = await file.dup()
  // More than are kept in mind of those that are closed.
  for (let count = 0; count < 20; count++) await (await copy.dup()).close()

  await file.close()
  assert.equal(lock.isHeld, true)
  assert.equal(await other.tryLock(), null)
  await lock.release()

  assert.equal(lock.isHeld, false)
  const taken = await other.tryLock()
  assert.equal(taken?.mode, 'exclusive')
  assert.equal(await copy.tryLock(), null)
  await taken.release()
  const last = await copy.lock()
  await copy.close()
  assert.equal(last.isHeld, false)
  await last.release()
  assert.equal((await other.tryLock())?.isHeld, true)
})

onBoth('lock() can be cancelled where it would join a shared lock, too', async (folder) => {
  const path = join(folder, 'file')
  await using file = await BufferedFile.create(path)
  await using other = await BufferedFile.open(path)
  const lock = await file.lock({ shared: true })
  const cancelled = { shared: true, signal: AbortSignal.abort(new Error('no')) }

  await assert.rejects(file.lock(cancelled), { message: 'no' })
  await assert.rejects(file.tryLock(cancelled), { message: 'no' })
  await lock.release()

  assert.equal((await other.tryLock())?.isHeld, true)
})

test('lock() excludes other programs', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, '')
  const holder = spawnProcess('flock', [path, 'sh', '-c', 'echo locked; read line'])
  await once(holder.stdout, 'data')
  await using file = await BufferedFile.open(path)

  assert.equal(await file.tryLock(), null)
  const waiting = file.lock()
  holder.stdin.end('\n')
  await using lock = await waiting

  assert.equal(lock.isHeld, true)
  assert.throws(() => execFileSync('flock', ['--nonblock', path, 'true']))
})

onBoth('advise() takes every word, and no other', async (folder) => {
  await using file = await BufferedFile.create(join(folder, 'file'))
  await file.write(pattern(10_000, 1), 0)

  const words = ['normal', 'random', 'sequential', 'willNeed', 'dontNeed', 'noReuse'] as const
  for (const word of words) await file.advise(word, { offsetBytes: 4096, lengthBytes: 4096 })
  await file.advise('dontNeed')

  await assert.rejects(file.advise('often' as never), TypeError)
  await assert.rejects(file.advise('random', { lengthBytes: 2 ** 32 }), RangeError)
})

onBoth('hintExtentSize() reports where there are no such hints', async (folder) => {
  await using file = await BufferedFile.create(join(folder, 'file'))

  const hinting = file.hintExtentSize(1 << 20)

  await hinting.catch((error: { code: string }) => {
    assert.ok(['EOPNOTSUPP', 'ENOTTY', 'EINVAL'].includes(error.code), error.code)
  })
  await assert.rejects(file.hintExtentSize(-1), RangeError)
})

onBoth('link() gives a file another name, and a temporary one its first', async (folder) => {
  await using file = await BufferedFile.create(join(folder, 'one'))
  await using temporary = await BufferedFile.open(folder, { write: true, tmpfile: true })
  await temporary.write(pattern(10, 1), 0)

  await file.link(join(folder, 'two'))
  await temporary.link(join(folder, 'three'))

  assert.equal((await stat(join(folder, 'one'))).linkCount, 2)
  assert.equal((await stat(join(folder, 'three'))).sizeBytes, 10)
  await assert.rejects(file.link(join(folder, 'three')), { code: 'EEXIST', syscall: 'link' })
  await using directory = await Directory.open(folder)
  await directory.remove('one')
  await directory.remove('two')
  await assert.rejects(file.link(join(folder, 'four')), { code: 'ENOENT' })
})

test('files open as their options say', async (t) => {
  const folder = makeFolder(t)
  const path = join(folder, 'file')
  await using all = await BufferedFile.create(path, { writeThrough: 'all', noAccessTime: true })
  await using data = await BufferedFile.open(path, { write: true, writeThrough: 'data' })
  const flagsOf = (fd: number): number => {
    const text = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')
    return Number.parseInt(/flags:\s+(\d+)/.exec(text)![1]!, 8)
  }

  assert.equal(flagsOf(all.fd) & 0o5010000, 0o5010000)
  assert.equal(flagsOf(data.fd) & 0o4010000, 0o10000)
  await assert.rejects(BufferedFile.open(path, { writeThrough: 'no' } as object), TypeError)
  const { symlinkSync } = await import('node:fs')
  symlinkSync('file', join(folder, 'link'))
  await assert.rejects(BufferedFile.open(join(folder, 'link'), { noFollow: true }), {
    code: 'ELOOP',
  })
})

test('spliceFrom() moves bytes between a file and a pipe', async (t) => {
  const folder = makeFolder(t)
  const [pipePath, path] = [join(folder, 'pipe'), join(folder, 'file')]
  execFileSync('mkfifo', [pipePath])
  writeFileSync(path, pattern(10_000, 1))
  const [reader, writer, source] = await Promise.all([
    BufferedFile.open(pipePath),
    BufferedFile.open(pipePath, { write: true }),
    BufferedFile.open(path),
  ])
  await using target = await BufferedFile.create(join(folder, 'target'))

  assert.equal(await writer.spliceFrom(source, 4096, { fromBytes: 1000 }), 4096)
  assert.equal(await target.spliceFrom(reader, 100_000, { offsetBytes: 5 }), 4096)
  const controller = new AbortController()
  const waiting = target.spliceFrom(reader, 10, { signal: controller.signal })
  spawn(async () => {
    for (let turn = 0; turn < 5; turn++) await yieldNow()
    controller.abort(new Error('no'))
  })
  await assert.rejects(waiting, { message: 'no' })
  await writer.close()
  assert.equal(await target.spliceFrom(reader, 10), 0)

  assert.deepEqual(await target.read(5, 5000), pattern(10_000, 1).subarray(1000, 5096))
  await assert.rejects(target.spliceFrom(source, 10), { code: 'EINVAL', syscall: 'splice' })
  await Promise.all([reader.close(), source.close()])
  assert.equal(executor().stats().inFlightCount, 0)
  assert.equal(statSync(path).size, 10_000)
})

test('a sync that is cancelled still tells that writing has failed', async () => {
  let toldCount = 0
  for (const seed of seeds(spreadSeedCount(60))) {
    await simulate({ seed, faults: { errors: { EIO: 0.5 } } }, async ({ kernel }) => {
      kernel.files.writeFile('/tmp/file', Buffer.from('old'))
      const file = await BufferedFile.open('/tmp/file', { write: true }).catch(() => null)
      if (file === null) return
      const controller = new AbortController()
      const syncing = file.sync({ signal: controller.signal })
      await yieldNow()
      controller.abort(new Error('no'))
      await syncing.catch((error: { code?: string; message: string }) => {
        if (error.code === 'EIO') toldCount++
        else assert.equal(error.message, 'no')
      })
      await file.close()
    })
  }

  assert.ok(toldCount > 0)
})
