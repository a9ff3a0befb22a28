import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { executor, type WaitOptions } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { leaseHeap } from '../../src/memory/index.ts'
import { reactorOf } from '../reactor-of.ts'
import { assertNoLeak, holdings, makeFolder, mountFolder, needsRoot, pattern } from './support.ts'

test('read() and write() move any bytes, in pieces where they are many', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.create(path)
  const data = pattern(700_001, 1)
  const before = holdings()

  const count = await file.write(data, 3)
  const back = await file.read(3, 10_000_000)
  const part = await file.read(262_144, 262_144)

  assert.equal(count, data.length)
  assert.deepEqual(back, data)
  assert.deepEqual(part, data.subarray(262_141, 524_285))
  assert.deepEqual(new Uint8Array(readFileSync(path)).subarray(3), data)
  assertNoLeak(before)
})

test('read() at and beyond the end brings nothing', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  await file.write(pattern(10, 1), 0)

  const lengths = [await file.read(10, 5), await file.read(1e9, 5), await file.read(3, 0)]

  assert.deepEqual(
    lengths.map((bytes) => bytes.length),
    [0, 0, 0],
  )
})

test('readInto() fills foreign memory and I/O memory, and says how much', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  const data = pattern(300_000, 2)
  await file.write(data, 0)
  const foreign = new Uint8Array(400_000).fill(9)
  using buffer = executor().memory.allocate(1000)

  const foreignBytes = await file.readInto(foreign.subarray(5), 100)
  const bufferBytes = await file.readInto(buffer, 299_500)

  assert.equal(foreignBytes, 299_900)
  assert.deepEqual(foreign.subarray(5, 5 + foreignBytes), data.subarray(100))
  assert.ok(foreign.subarray(5 + foreignBytes).every((byte) => byte === 9))
  assert.equal(bufferBytes, 500)
  assert.deepEqual(buffer.bytes.subarray(0, 500), data.subarray(299_500))
})

test('write() takes a Lease, which may be released meanwhile', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.create(path)
  const before = holdings()
  const buffer = executor().memory.allocate(5000)
  buffer.bytes.set(pattern(5000, 3))

  const written = file.write(buffer, 1)
  buffer.release()
  await written

  assert.deepEqual(new Uint8Array(readFileSync(path)).subarray(1), pattern(5000, 3))
  assertNoLeak(before)
})

test('a lease on ordinary memory is read into, written and appended like its bytes', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.create(path)
  await using log = await BufferedFile.open(path, { append: true, read: true })
  using source = leaseHeap(pattern(100, 3))
  using target = leaseHeap(new Uint8Array(50))

  await file.write(source, 0)
  await log.append(source)
  const readBytes = await file.readInto(target, 80)

  assert.equal(readBytes, 50)
  assert.deepEqual(target.bytes.subarray(0, 20), pattern(100, 3).subarray(80))
  assert.deepEqual(target.bytes.subarray(20), pattern(100, 3).subarray(0, 30))
})

test('a released lease is neither read into nor written', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  const lease = executor().memory.allocate(10)
  lease.release()

  await assert.rejects(file.readInto(lease, 0), { code: 'ERR_BUFFER_RELEASED' })
  await assert.rejects(file.write(lease, 0), { code: 'ERR_BUFFER_RELEASED' })
})

test('append() puts data at the end, in the order of the calls', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'begin;')
  await using file = await BufferedFile.open(path, { append: true })
  const encoder = new TextEncoder()
  const big = 'x'.repeat(600_000)

  const appends = [big, ...Array.from({ length: 50 }, (_, index) => `${index};`)]
  await Promise.all(appends.map((text) => file.append(encoder.encode(text))))

  assert.equal(readFileSync(path, 'utf8'), `begin;${appends.join('')}`)
})

test('append() of a Lease waits its turn, though that is released meanwhile', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.open(path, { append: true, create: true })
  const before = holdings()
  const buffers = [1, 2, 3].map((value) => {
    const buffer = executor().memory.allocate(2)
    buffer.bytes.fill(value)
    return buffer
  })

  const appends = buffers.map((buffer) => file.append(buffer))
  for (const buffer of buffers) buffer.release()
  await Promise.all(appends)

  assert.deepEqual([...readFileSync(path)], [1, 1, 2, 2, 3, 3])
  assertNoLeak(before)
})

test('append() requires the option, and write() its absence', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using plain = await BufferedFile.create(path)
  await using appending = await BufferedFile.open(path, { append: true })

  await assert.rejects(plain.append(new Uint8Array(1)), { code: 'ERR_UNSUPPORTED' })
  await assert.rejects(appending.write(new Uint8Array(1), 0), { code: 'ERR_UNSUPPORTED' })

  assert.equal(statSync(path).size, 0)
})

test('an aborted append() lets the next one go', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.open(path, { append: true, create: true })
  const controller = new AbortController()
  const before = holdings()

  const first = file.append(new TextEncoder().encode('a'))
  const second = file.append(new TextEncoder().encode('b'), { signal: controller.signal })
  const third = file.append(new TextEncoder().encode('c'))
  controller.abort()

  await assert.rejects(second, { name: 'AbortError' })
  await Promise.all([first, third])
  assert.equal(readFileSync(path, 'utf8'), 'ac')
  assertNoLeak(before)
})

test('arguments of the wrong type or range are refused', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  const wrong = (value: unknown): never => value as never

  await assert.rejects(file.read(wrong('0'), 1), TypeError)
  await assert.rejects(file.write(wrong('text'), 0), TypeError)
  await assert.rejects(file.write(wrong(new ArrayBuffer(4)), 0), TypeError)
  await assert.rejects(file.readInto(wrong([]), 0), TypeError)
  await assert.rejects(file.read(-1, 1), RangeError)
  await assert.rejects(file.read(0, 2 ** 32), RangeError)
  await assert.rejects(file.write(new Uint8Array(1), Number.MAX_SAFE_INTEGER), RangeError)
  await assert.rejects(file.truncate(-1), RangeError)
  await assert.rejects(file.punch(0, 0), RangeError)
})

test('a full file system rejects with ENOSPC, whatever fitted', needsRoot(), async (t) => {
  const path = join(mountFolder(t, ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs']), 'file')
  const file = await BufferedFile.create(path)
  const before = holdings()

  // The end of the space is in the middle of a piece: that request is short, not failed.
  const writing = file.write(pattern(2 * 1024 * 1024, 4), 1000)

  await assert.rejects(writing, { code: 'ENOSPC', syscall: 'write', path })
  assertNoLeak(before)
  await file.truncate(0)
  await file.write(pattern(1000, 5), 0)
  await file.sync()
  await file.close()
  assert.deepEqual(new Uint8Array(readFileSync(path)), pattern(1000, 5))
})

test('a full file system takes back what a failed writeBytes() added', needsRoot(), async (t) => {
  const path = join(mountFolder(t, ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs']), 'file')
  await using file = await DirectFile.create(path, { fallback: 'buffered' })
  await file.writeBytes(pattern(1001, 6), 0)
  const before = holdings()

  const writing = file.writeBytes(pattern(2 * 1024 * 1024 + 1, 7), 1001)

  await assert.rejects(writing, { code: 'ENOSPC' })
  assertNoLeak(before)
  if (file.isDirect) assert.deepEqual(new Uint8Array(readFileSync(path)), pattern(1001, 6))
})

test('a pipe is read as it comes and written to its end', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)

  const [reader, writer] = await Promise.all([
    BufferedFile.open(path),
    BufferedFile.open(path, { write: true }),
  ])
  await writer.write(new TextEncoder().encode('some'), 0)
  const some = await reader.read(0, 1000)
  const sent = writer.write(pattern(200_000, 8), 0)
  const received: Uint8Array[] = []
  for (let count = 0; count < 200_000; ) {
    received.push(await reader.read(0, 65_536))
    count += received.at(-1)!.length
  }
  await sent
  await writer.close()
  const end = await reader.read(0, 10)
  await reader.close()

  assert.equal(Buffer.from(some).toString(), 'some')
  assert.deepEqual(new Uint8Array(Buffer.concat(received)), pattern(200_000, 8))
  assert.equal(end.length, 0)
})

/**
 * Submits, and keeps this thread until a completion is in the ring, where nobody has looked at it yet.
 *
 * Before Linux 6.4 a thread of the kernel's writes to a pipe and reads from it: entering once does not bring that.
 */
function awaitAnswer(): void {
  const ring = reactorOf(executor()).main
  const { words, layout } = ring.memory
  const tail = Atomics.load(words, layout.cqTail)
  while (Atomics.load(words, layout.cqTail) === tail) ring.submit()
}

test('a read of a pipe that is cancelled too late resolves with what it took', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  await using file = await BufferedFile.open(path, { read: true, write: true })
  const { main } = executor().io
  using buffer = executor().memory.allocate(4096)
  const reads: ((options: WaitOptions) => Promise<Uint8Array>)[] = [
    (options) => file.read(0, 2, options),
    async (options) => buffer.bytes.subarray(0, await file.readInto(buffer, 0, options)),
  ]
  for (const read of reads) {
    const controller = new AbortController()
    const reading = read({ signal: controller.signal })
    main.submit()

    writeFileSync(path, 'ab')
    // Nobody has looked at the completion when the read is cancelled.
    awaitAnswer()
    controller.abort()

    assert.equal(Buffer.from(await reading).toString(), 'ab')
  }
})

test('reads of a pipe that are cancelled at once take nothing, however many', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  await using file = await BufferedFile.open(path, { read: true, write: true })
  await file.write(new TextEncoder().encode('abcdefgh'), 0)
  const controller = new AbortController()

  const reads = Array.from({ length: 40 }, () => file.read(0, 2, { signal: controller.signal }))
  controller.abort()
  const outcomes = await Promise.allSettled(reads)

  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  assert.equal(file.stats().readCount, 0)
  assert.equal(Buffer.from(await file.read(0, 10)).toString(), 'abcdefgh')
})

test('a long read of a pipe ends with what comes first', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  await using file = await BufferedFile.open(path, { read: true, write: true })
  const F_SETPIPE_SZ = 1031
  executor().kernel.controlFd(file.fd, F_SETPIPE_SZ, 2 ** 20)
  const piece = pattern(262_144, 3)
  const target = new Uint8Array(600_000)

  await file.write(piece, 0)
  assert.deepEqual(await file.read(0, 600_000), piece)
  await file.write(piece, 0)
  assert.equal(await file.readInto(target, 0), piece.length)
  assert.deepEqual(target.subarray(0, piece.length), piece)
})

test('a write to a pipe that is cancelled too late counts as written', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  await using file = await BufferedFile.open(path, { read: true, write: true })
  const controller = new AbortController()
  const writing = file.write(new TextEncoder().encode('abc'), 0, { signal: controller.signal })
  awaitAnswer()
  controller.abort()

  assert.equal(await writing, 3)
  assert.equal(Buffer.from(await file.read(0, 10)).toString(), 'abc')
  assert.deepEqual(file.stats(), { readCount: 1, readBytes: 3, writeCount: 1, writeBytes: 3 })
})

test('a cancel finds the request that a short completion has just made', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  await using file = await BufferedFile.open(path, { read: true, write: true })
  const { main } = executor().io
  const controller = new AbortController()
  const writing = file.write(new Uint8Array(131_072), 0, { signal: controller.signal })
  // A half fits.
  main.submit()
  const tryBegin = main.tryBegin.bind(main)
  t.mock.method(main, 'tryBegin', () => {
    // As the ring does to make room.
    main.reap()
    return tryBegin()
  })

  controller.abort()

  await assert.rejects(writing, { name: 'AbortError' })
})

test('who appends again what was cancelled does not append it twice', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.open(path, { append: true, create: true })
  const line = new TextEncoder().encode('line\n')
  const counts = { fulfilled: 0, rejected: 0 }

  for (let index = 0; index < 400; index++) {
    const controller = new AbortController()
    const appending = file.append(line, { signal: controller.signal })
    for (let left = index % 4; left > 0; left--) await new Promise(setImmediate)
    // Some are done in any case, however slow the machine.
    if (index % 20 === 0) await appending
    controller.abort()
    const [{ status }] = await Promise.allSettled([appending])
    counts[status]++
  }

  assert.equal(readFileSync(path).length, counts.fulfilled * line.length)
  assert.ok(counts.rejected > 0 && counts.fulfilled > 0, JSON.stringify(counts))
})

test('a read of an empty pipe can be cancelled', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  await using file = await BufferedFile.open(path, { read: true, write: true })
  const before = holdings()

  await assert.rejects(file.read(0, 10, { timeoutMs: 5 }), { code: 'ERR_TASK_TIMEOUT' })
  const controller = new AbortController()
  const waiting = file.read(0, 10, { signal: controller.signal })
  setImmediate(() => controller.abort())
  await assert.rejects(waiting, { name: 'AbortError' })

  assertNoLeak(before)
})
