/** Encoders that no file uses yet: what the kernel makes of their entries. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { KernelErrorContext } from '../../src/base/index.ts'
import { AwaitedOperation, executor } from '../../src/executor/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import { AT_FDCWD, AT_REMOVEDIR } from '../../src/kernel/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import {
  encodeAdvise,
  encodeLink,
  encodeMakeDirectory,
  encodeRead,
  encodeReadVectored,
  encodeSplice,
  encodeSymbolicLink,
  encodeUnlink,
  encodeWriteVectored,
  type NameRef,
  type SqeWords,
  writeVector,
} from '../../src/ring/index.ts'

const POSIX_FADV_SEQUENTIAL = 2

/** One entry, whatever it is; resolves with its result. */
class Entry extends AwaitedOperation<number> {
  start(encode: (sqe: SqeWords, base: number) => void): Promise<number> {
    const { main } = this.executor.io
    encode(main.sqes, main.begin())
    main.commit(this)
    return this.promise
  }

  protected override interpret(result: number): number {
    return result
  }

  protected override describe(): KernelErrorContext {
    return { syscall: 'entry' }
  }
}

function submit(encode: (sqe: SqeWords, base: number) => void): Promise<number> {
  return new Entry(executor()).start(encode)
}

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'percore-entries-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function allocate(t: TestContext, lengthBytes: number): Lease {
  const buffer = executor().memory.allocate(lengthBytes)
  t.after(() => buffer.release())
  return buffer
}

function nameAt(t: TestContext, path: string): NameRef {
  const buffer = allocate(t, path.length + 1)
  buffer.bytes.set(new TextEncoder().encode(`${path}\0`))
  return { directoryFd: AT_FDCWD, pathAddress: buffer.address }
}

function wordsOf(buffer: Lease): Uint32Array {
  return new Uint32Array(buffer.bytes.buffer, buffer.bytes.byteOffset, buffer.lengthBytes / 4)
}

test('encodeWriteVectored() and encodeReadVectored() gather and scatter in order', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  const [first, second, vectors] = [allocate(t, 3), allocate(t, 5), allocate(t, 32)]
  first.bytes.set([1, 2, 3])
  second.bytes.set([4, 5, 6, 7, 8])
  writeVector(wordsOf(vectors), 0, first)
  writeVector(wordsOf(vectors), 4, second)
  const args = {
    file: { fd: file.fd, registered: false },
    vectorAddress: vectors.address,
    vectorCount: 2,
    offsetBytes: 10,
  }

  const written = await submit((sqe, base) => encodeWriteVectored(sqe, base, args))
  first.bytes.fill(0)
  second.bytes.fill(0)
  const read = await submit((sqe, base) =>
    encodeReadVectored(sqe, base, { ...args, offsetBytes: 11 }),
  )

  assert.deepEqual([written, read], [8, 7])
  assert.deepEqual([...first.bytes, ...second.bytes], [2, 3, 4, 5, 6, 7, 8, 0])
})

test('encodeMakeDirectory() makes one, and encodeUnlink() removes it', async (t) => {
  const path = join(makeFolder(t), 'directory')
  const name = nameAt(t, path)

  await submit((sqe, base) => encodeMakeDirectory(sqe, base, { name, mode: 0o700 }))
  const { mode } = statSync(path)
  await submit((sqe, base) => encodeUnlink(sqe, base, { name, flags: AT_REMOVEDIR }))

  assert.equal(mode, 0o40700)
  assert.throws(() => statSync(path), { code: 'ENOENT' })
})

test('encodeLink() and encodeSymbolicLink() give a file other names', async (t) => {
  const folder = makeFolder(t)
  const path = join(folder, 'file')
  writeFileSync(path, 'text')
  const from = nameAt(t, path)
  const to = nameAt(t, join(folder, 'hard'))
  const name = nameAt(t, join(folder, 'soft'))
  const target = nameAt(t, './file')

  await submit((sqe, base) => encodeLink(sqe, base, { from, to, flags: 0 }))
  const targetAddress = target.pathAddress
  await submit((sqe, base) => encodeSymbolicLink(sqe, base, { targetAddress, name }))

  assert.equal(statSync(join(folder, 'hard')).ino, statSync(path).ino)
  assert.equal(readlinkSync(join(folder, 'soft')), './file')
  await assert.rejects(
    submit((sqe, base) => encodeLink(sqe, base, { from, to, flags: 0 })),
    { code: 'EEXIST' },
  )
})

test('encodeAdvise() is accepted, and refused on a pipe and for what is no advice', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  await file.write(new Uint8Array(8192), 0)
  const range = { file: { fd: file.fd, registered: false }, offsetBytes: 4096, lengthBytes: 4096 }
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  await using pipe = await BufferedFile.open(path, { read: true, write: true })
  const none = { ...range, file: { fd: pipe.fd, registered: false } }

  const advice = POSIX_FADV_SEQUENTIAL
  const result = await submit((sqe, base) => encodeAdvise(sqe, base, { ...range, advice }))

  assert.equal(result, 0)
  await assert.rejects(
    submit((sqe, base) => encodeAdvise(sqe, base, { ...range, advice: 99 })),
    { code: 'EINVAL' },
  )
  await assert.rejects(
    submit((sqe, base) => encodeAdvise(sqe, base, { ...none, advice })),
    { code: 'ESPIPE' },
  )
})

test('encodeSplice() moves bytes from a file through a pipe to another', async (t) => {
  const folder = makeFolder(t)
  const [source, target, pipe] = ['source', 'target', 'pipe'].map((name) => join(folder, name))
  writeFileSync(source!, 'some text')
  await using from = await BufferedFile.open(source!)
  await using to = await BufferedFile.create(target!)
  assert.equal(spawnSync('mkfifo', [pipe!]).status, 0)
  // Opened for both it is a pipe with one descriptor.
  await using fifo = await BufferedFile.open(pipe!, { read: true, write: true })
  const plain = (fd: number): { fd: number; registered: boolean } => ({ fd, registered: false })

  const into = await submit((sqe, base) =>
    encodeSplice(sqe, base, {
      from: plain(from.fd),
      fromOffsetBytes: 5,
      to: plain(fifo.fd),
      toOffsetBytes: -1,
      lengthBytes: 100,
      flags: 0,
    }),
  )
  const out = await submit((sqe, base) =>
    encodeSplice(sqe, base, {
      from: plain(fifo.fd),
      fromOffsetBytes: -1,
      to: plain(to.fd),
      toOffsetBytes: 2,
      lengthBytes: into,
      flags: 0,
    }),
  )

  assert.deepEqual([into, out], [4, 4])
  assert.equal(readFileSync(target!, 'utf8'), '\0\0text')
})

test('encodeRead() at -1 reads at, and advances, the file cursor', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'abcdefgh')
  await using file = await BufferedFile.open(path)
  const memory = allocate(t, 3)
  const target = { fd: file.fd, registered: false }
  const read = async (): Promise<string> => {
    const args = { file: target, memory, offsetBytes: -1 }
    const count = await submit((sqe, base) => encodeRead(sqe, base, args))
    return Buffer.from(memory.bytes.subarray(0, count)).toString()
  }

  assert.deepEqual(
    [await read(), await read(), await read(), await read()],
    ['abc', 'def', 'gh', ''],
  )
})
