/** Opening, closing, limits and leaks: what files do besides moving bytes. */

import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { executor, spawn } from '../../src/index.ts'
import { BufferedFile, DirectFile, type OpenOptions } from '../../src/io/index.ts'
import { needsRegisteredFiles } from '../needs.ts'
import {
  assertNoLeak,
  holdings,
  makeFolder,
  needsDirect,
  needsRoot,
  pattern,
  runLimited,
} from './support.ts'

const direct = needsDirect()

test('open() accepts a file: URL', async (t) => {
  const path = join(makeFolder(t), 'a file with ünïcode')
  writeFileSync(path, 'text')

  await using file = await BufferedFile.open(pathToFileURL(path))

  assert.equal(file.path, path)
  assert.equal(Buffer.from(await file.read(0, 10)).toString(), 'text')
})

test('open() rejects options that are wrong, unknown or do not go together', async (t) => {
  const path = join(makeFolder(t), 'file')
  const open = (options: unknown): Promise<unknown> =>
    BufferedFile.open(path, options as OpenOptions)

  for (const options of [null, 1, { write: 1 }, { trunc: true }, { mode: '0644' }]) {
    await assert.rejects(open(options), TypeError)
  }
  for (const options of [
    { read: false },
    { create: true },
    { truncate: true },
    { append: true, truncate: true },
    { tmpfile: true },
    { tmpfile: true, write: true, create: true },
    { write: true, mode: 0o10000 },
  ]) {
    await assert.rejects(open(options), RangeError)
  }
  await assert.rejects(BufferedFile.open(1 as never), TypeError)
  await assert.rejects(BufferedFile.open('a\0b'), TypeError)
  assert.equal(existsSync(path), false)
})

test('createNew fails with EEXIST where there is a file, and leaves it', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'kept')

  const refused = BufferedFile.open(path, { write: true, createNew: true })

  await assert.rejects(refused, { code: 'EEXIST', syscall: 'open', path })
  assert.equal(readFileSync(path, 'utf8'), 'kept')
})

test('mode is that of a created file', async (t) => {
  const path = join(makeFolder(t), 'file')

  await using file = await BufferedFile.open(path, { write: true, create: true, mode: 0o600 })

  assert.equal((await file.stat()).mode & 0o777, 0o600)
})

test('a temporary file has no name', direct, async (t) => {
  const folder = makeFolder(t)
  await using file = await DirectFile.open(folder, { read: true, write: true, tmpfile: true })

  await file.writeBytes(pattern(10, 1), 0)

  assert.deepEqual([await file.size(), (await file.stat()).linkCount], [10, 0])
  await assert.rejects(file.remove(), { code: 'ERR_UNSUPPORTED' })
  await assert.rejects(file.rename(join(folder, 'name')), { code: 'ERR_UNSUPPORTED' })
})

test('a directory is refused, and nothing stays open', async (t) => {
  const folder = makeFolder(t)
  const before = holdings()

  await assert.rejects(BufferedFile.open(folder), { code: 'EISDIR', path: folder })
  await assert.rejects(BufferedFile.open(folder, { write: true }), { code: 'EISDIR' })

  assertNoLeak(before)
})

test('a direct file can not append', direct, async (t) => {
  const path = join(makeFolder(t), 'file')

  await assert.rejects(DirectFile.open(path, { append: true, create: true }), {
    code: 'ERR_UNSUPPORTED',
  })

  assert.equal(existsSync(path), false)
})

test('everything is refused with ERR_HANDLE_CLOSED once close() was called', direct, async (t) => {
  const file = await DirectFile.create(join(makeFolder(t), 'file'))
  using buffer = file.allocateBuffer(512)

  const closing = file.close()

  assert.equal(file.isClosed, true)
  const refused = [
    file.read(0, 1),
    file.readInto(buffer, 0),
    file.write(buffer, 0),
    file.writeBytes(new Uint8Array(1), 0),
    file.size(),
    file.stat(),
    file.sync(),
    file.datasync(),
    file.allocate(1),
    file.punch(0, 1),
    file.truncate(0),
    file.rename('other'),
    file.remove(),
  ]
  for (const operation of refused) await assert.rejects(operation, { code: 'ERR_HANDLE_CLOSED' })
  await closing
  assert.equal(file.fd, -1)
})

test('close() waits for what is under way, and again is nothing', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const file = await DirectFile.create(path)
  const order: string[] = []
  const write = file.writeBytes(pattern(300_001, 2), 5).then(() => order.push('written'))

  const closed = file.close().then(() => order.push('closed'))
  await file.close()
  await file.close()

  await Promise.all([write, closed])
  assert.deepEqual(order, ['written', 'closed'])
  assert.equal(readFileSync(path).length, 300_006)
})

test('close() gives back the slot of the registered files', needsRegisteredFiles(), async (t) => {
  const { files } = executor().io
  const path = join(makeFolder(t), 'file')
  const before = files.stats()

  const opened = await BufferedFile.create(path)
  const between = files.stats()
  await opened.close()

  assert.equal(between.usedCount, before.usedCount + 1)
  assert.deepEqual(files.stats().usedCount, before.usedCount)
})

test('files beyond the registered ones work by descriptor', needsRegisteredFiles(), async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'text')

  const result = runLimited({
    limit: 'ulimit -n 400',
    args: [path],
    script: `
      const open = []
      for (let i = 0; i < 300; i++) open.push(await io.BufferedFile.open(args[0]))
      const texts = await Promise.all(open.map((file) => file.read(0, 10)))
      const isRight = texts.every((text) => Buffer.from(text).toString() === 'text')
      for (const file of open) await file.close()
      console.log(JSON.stringify({ isRight, ...core.executor().io.files.stats() }))`,
  })

  assert.deepEqual(result, { isRight: true, capacity: 256, usedCount: 0, refusedCount: 44 })
})

test('open() rejects with EMFILE at the limit of open files, and works below it again', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'text')

  const result = runLimited({
    limit: 'ulimit -n 128',
    args: [path],
    script: `
      const open = []
      let failure
      while (failure === undefined) {
        await io.BufferedFile.open(args[0]).then((file) => open.push(file), (error) => { failure = error })
      }
      await open.pop().close()
      const again = await io.BufferedFile.open(args[0])
      const text = Buffer.from(await again.read(0, 4)).toString()
      console.log(JSON.stringify({ code: failure.code, path: failure.path, text }))`,
  })

  assert.deepEqual(result, { code: 'EMFILE', path, text: 'text' })
})

test(
  'without lockable memory everything works, unregistered, and says so',
  needsRoot(),
  async (t) => {
    const folder = makeFolder(t)
    const path = join(folder, 'file')
    writeFileSync(path, pattern(8192, 3))
    chmodSync(folder, 0o755)

    let result: unknown
    try {
      result = runLimited({
        // Enough for a ring, which is charged too, and too little for the arena.
        limit: 'ulimit -l 1024',
        unprivileged: true,
        args: [path],
        script: `
        const file = await io.DirectFile.open(args[0])
        const buffer = file.allocateBuffer(4096)
        const count = await file.readInto(buffer, 4096)
        const { error } = core.executor().io.registered
        const { isRegistered } = core.executor().stats().ioMemory
        const sum = buffer.bytes.reduce((a, b) => a + b, 0)
        console.log(JSON.stringify({ count, error, isRegistered, sum }))
        await file.close()`,
      })
    } catch (error) {
      // A checkout or a Node that only root may read is no fault of the code.
      t.skip(`nobody can not run it here: ${String(error).slice(0, 200)}`)
      return
    }

    const sum = pattern(8192, 3)
      .subarray(4096)
      .reduce((a, b) => a + b, 0)
    assert.deepEqual(result, { count: 4096, error: -12, isRegistered: false, sum })
  },
)

test('an aborted open() leaves no descriptor, whether it was too late or not', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'text')
  const before = holdings()

  for (let round = 0; round < 100; round++) {
    const controller = new AbortController()
    const opened = BufferedFile.open(path, { signal: controller.signal })
    opened.catch(() => {})
    for (let turn = 0; turn < round % 5; turn++) await new Promise(setImmediate)
    controller.abort()
    await opened.then(
      (file) => file.close(),
      (error) => assert.equal(error.name, 'AbortError'),
    )
  }

  assertNoLeak(before)
})

test('open() of a file that is removed meanwhile opens it, or rejects with ENOENT', async (t) => {
  const path = join(makeFolder(t), 'file')
  const before = holdings()

  for (let round = 0; round < 50; round++) {
    writeFileSync(path, 'text')
    const opened = BufferedFile.open(path)
    setImmediate(() => rmSync(path, { force: true }))
    await opened.then(
      (file) => file.close(),
      (error) => assert.equal(error.code, 'ENOENT'),
    )
  }

  assertNoLeak(before)
})

test('a cancelled task still closes its file', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const before = holdings()
  const task = spawn(async () => {
    await using file = await DirectFile.create(path)
    for (;;) await file.writeBytes(pattern(5000, 4), 0)
  })
  while (!existsSync(path)) await new Promise(setImmediate)

  await task.cancel()

  assert.equal(task.isCancelled, true)
  assertNoLeak(before)
})

test('timeoutMs bounds an operation of several steps as a whole', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  const before = holdings()

  await assert.rejects(file.writeBytes(pattern(3_000_000, 5), 1, { timeoutMs: 0 }), {
    code: 'ERR_TASK_TIMEOUT',
  })

  assertNoLeak(before)
  assert.equal(await file.size(), 0)
})

test('a file outlives its executor as a closed one', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'text')

  const result = runLimited({
    limit: ':',
    args: [path],
    script: `
      const file = await io.BufferedFile.open(args[0])
      await core.executor().close()
      const code = await file.read(0, 1).catch((error) => error.code)
      await file.close()
      console.log(JSON.stringify([code, file.fd, file.isClosed]))`,
  })

  assert.deepEqual(result, ['ERR_EXECUTOR_CLOSED', -1, true])
})

test('a file whose closing had begun is closed with its executor', async (t) => {
  const path = join(makeFolder(t), 'file')

  const result = runLimited({
    limit: ':',
    args: [path],
    script: `
      const [closing, open] = [await io.BufferedFile.create(args[0]), await io.BufferedFile.open(args[0])]
      void closing.close()
      await core.executor().close()
      console.log(JSON.stringify([closing.isClosed, open.isClosed, closing.fd, open.fd]))
      await closing.close()
      await open.close()`,
  })

  assert.deepEqual(result, [true, true, -1, -1])
})

test('a program ends with a file open, and with an operation it does not await', async (t) => {
  const path = join(makeFolder(t), 'file')

  const result = runLimited({
    limit: ':',
    args: [path],
    script: `
      const file = await io.BufferedFile.create(args[0])
      file.write(new Uint8Array(100), 0)
      console.log(JSON.stringify(file.inFlightCount > 0))`,
  })

  assert.equal(result, true)
  assert.equal(readFileSync(path).length, 100)
})

test('a worker that ends with a file open closes it', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'text')

  const result = runLimited({
    limit: ':',
    args: [path, new URL('../../src/io/index.js', import.meta.url).href],
    script: `
      import { once } from 'node:events'
      import { readdirSync, readlinkSync } from 'node:fs'
      import { Worker } from 'node:worker_threads'
      const code = 'const { workerData: [path, door], parentPort } = require("node:worker_threads");'
        + 'import(door).then((io) => io.BufferedFile.open(path)).then(() => parentPort.postMessage(1));'
        + 'setInterval(() => {}, 1000)'
      const worker = new Worker(code, { eval: true, execArgv: [], workerData: args })
      await once(worker, 'message')
      const isOpen = () => readdirSync('/proc/self/fd').some((fd) => {
        try { return readlinkSync('/proc/self/fd/' + fd) === args[0] } catch { return false }
      })
      const during = isOpen()
      await worker.terminate()
      console.log(JSON.stringify([during, isOpen()]))`,
  })

  assert.deepEqual(result, [true, false])
})
