/** Which file a name is: where the process is, who else has the name by now, what is not a name. */

import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { yieldNow } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { spreadSeedCount } from '../limits.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect } from './support.ts'

/** Runs a test in a folder of the real kernel, and in one of a simulated one. */
function onBoth(name: string, body: (folder: string) => Promise<void>): void {
  test(`${name} [uring]`, (t) => body(makeFolder(t)))
  test(`${name} [sim]`, () => simulate(5, () => body('/tmp')))
}

async function writeText(path: string, text: string): Promise<void> {
  await using file = await BufferedFile.create(path)
  await file.write(Buffer.from(text), 0)
}

async function readText(path: string): Promise<string> {
  await using file = await BufferedFile.open(path)
  return Buffer.from(await file.read(0, 100)).toString()
}

test('remove() and rename() find their file when the process is elsewhere by now', async (t) => {
  const folder = makeFolder(t)
  const elsewhere = join(folder, 'elsewhere')
  mkdirSync(elsewhere)
  for (const name of ['removed', 'renamed']) writeFileSync(join(elsewhere, name), 'another')
  const home = process.cwd()
  t.after(() => process.chdir(home))

  process.chdir(folder)
  await using removed = await BufferedFile.create('removed')
  await using renamed = await BufferedFile.create('./renamed')
  const renaming = renamed.rename('new')
  process.chdir(elsewhere)
  await renaming
  await removed.remove()
  await renamed.rename(join(folder, 'newer'))

  assert.deepEqual(
    ['removed', 'renamed', 'new', 'newer'].map((name) => existsSync(join(folder, name))),
    [false, false, false, true],
  )
  assert.equal(readFileSync(join(elsewhere, 'removed'), 'utf8'), 'another')
  assert.equal(readFileSync(join(elsewhere, 'renamed'), 'utf8'), 'another')
  assert.equal(removed.path, join(folder, 'removed'))
})

onBoth(
  'remove() and rename() throw ERR_NAME_TAKEN when another file has the name',
  async (folder) => {
    const path = join(folder, 'file')
    await using file = await BufferedFile.create(path)
    await writeText(join(folder, 'stranger'), 'kept')
    await using stranger = await BufferedFile.open(join(folder, 'stranger'))
    await stranger.rename(path)

    await assert.rejects(file.remove(), { code: 'ERR_NAME_TAKEN' })
    await assert.rejects(file.rename(join(folder, 'new')), { code: 'ERR_NAME_TAKEN' })

    assert.equal(await readText(path), 'kept')
    assert.equal(file.path, path)
    await stranger.remove()
  },
)

onBoth('remove() and rename() throw ENOENT when nobody has the name', async (folder) => {
  const path = join(folder, 'gone')
  await using file = await BufferedFile.create(path)
  await file.remove()

  await assert.rejects(file.remove(), { code: 'ENOENT', syscall: 'unlink', path })
  await assert.rejects(file.rename(`${path}-too`), { code: 'ENOENT', syscall: 'rename', path })
})

test('remove() removes the link that its file was opened by', async (t) => {
  const folder = makeFolder(t)
  writeFileSync(join(folder, 'file'), 'kept')
  symlinkSync('file', join(folder, 'link'))
  await using file = await BufferedFile.open(join(folder, 'link'))

  await file.remove()

  assert.equal(existsSync(join(folder, 'link')), false)
  assert.equal(readFileSync(join(folder, 'file'), 'utf8'), 'kept')
})

test('open() and rename() refuse a NUL, also in a URL', async (t) => {
  const folder = makeFolder(t)
  writeFileSync(join(folder, 'cut'), 'short')
  const url = new URL(`${pathToFileURL(join(folder, 'cut')).href}%00off`)
  await using file = await BufferedFile.create(join(folder, 'file'))

  for (const name of [url, join(folder, 'cut\0off')]) {
    await assert.rejects(BufferedFile.open(name), TypeError)
    await assert.rejects(DirectFile.open(name), TypeError)
    await assert.rejects(file.rename(name), TypeError)
  }

  await assert.rejects(BufferedFile.open(Buffer.from(join(folder, 'cut')) as never), TypeError)
})

test('open() of an empty path throws ENOENT', async () => {
  await assert.rejects(BufferedFile.open(''), { code: 'ENOENT' })
})

interface Creating {
  readonly controller: AbortController
  /** Whether it was opened; then it is closed. */
  readonly isOpen: Promise<boolean>
}

function create(path: string): Creating {
  const controller = new AbortController()
  const { signal } = controller
  const opening = BufferedFile.open(path, { write: true, createNew: true, signal })
  const isOpen = opening.then(
    (file) => file.close().then(() => true),
    () => false,
  )
  return { controller, isOpen }
}

test('createNew leaves no file when it is aborted, whenever that is', async (t) => {
  const folder = makeFolder(t)
  const before = holdings()
  let abortedCount = 0
  for (let turn = 0; turn < 40; turn++) {
    const path = join(folder, `new-${turn}`)
    const { controller, isOpen } = create(path)
    for (let passed = 0; passed < turn % 8; passed++) await (turn < 20 ? yieldNow() : leaveTurn())
    controller.abort()

    const wasOpen = await isOpen
    if (!wasOpen) abortedCount++
    assert.equal(existsSync(path), wasOpen, `aborted after ${turn} turns`)
  }
  assert.ok(abortedCount > 0)
  assertNoLeak(before)
})

function leaveTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

test('createNew leaves the file of another that took the name before it was aborted', async () => {
  let abortedCount = 0
  for (let seed = 0; seed < spreadSeedCount(60); seed++) {
    await simulate(seed, async ({ kernel }) => {
      await writeText('/tmp/stranger', 'kept')
      await using stranger = await BufferedFile.open('/tmp/stranger')
      const { controller, isOpen } = create('/tmp/new')
      for (let turn = 0; turn < seed % 15; turn++) await sleep(0.01)
      await stranger.rename('/tmp/new')
      controller.abort()

      if (!(await isOpen)) abortedCount++
      assert.equal(Buffer.from(kernel.files.readFile('/tmp/new') ?? []).toString(), 'kept')
    })
  }
  assert.ok(abortedCount > 0)
})

test('createNew opens for direct I/O', needsDirect(), async (t) => {
  const path = join(makeFolder(t), 'new')

  await using file = await DirectFile.open(path, { read: true, write: true, createNew: true })
  using buffer = file.allocateBuffer(4096)
  buffer.bytes.fill(3)
  await file.write(buffer, 0)

  assert.equal(file.isDirect, true)
  renameSync(path, `${path}-kept`)
  await assert.rejects(DirectFile.open(`${path}-kept`, { write: true, createNew: true }), {
    code: 'EEXIST',
  })
})
