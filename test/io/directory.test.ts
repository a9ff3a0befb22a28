/** Directories: names in them, listing off the loop, what is left behind. */

import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { spawn } from '../../src/index.ts'
import {
  BufferedFile,
  Directory,
  link,
  makeDirectory,
  readLink,
  remove,
  removeDirectory,
  removeTree,
  rename,
  stat,
  symbolicLink,
} from '../../src/io/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { assertNoLeak, holdings, makeFolder } from './support.ts'

/** Runs a test in a folder of the real kernel, and in one of a simulated one. */
function onBoth(name: string, body: (folder: string) => Promise<void>): void {
  test(`${name} [uring]`, (t) => body(makeFolder(t)))
  test(`${name} [sim]`, () => simulate(7, () => body('/tmp')))
}

async function writeText(path: string, text: string, directory?: Directory): Promise<void> {
  await using file = await BufferedFile.create(path, { directory })
  await file.write(Buffer.from(text), 0)
}

async function readText(path: string, directory?: Directory): Promise<string> {
  await using file = await BufferedFile.open(path, { directory })
  return Buffer.from(await file.read(0, 100)).toString()
}

async function listed(directory: Directory): Promise<string[]> {
  const found: string[] = []
  for await (const { name, kind } of directory.list()) found.push(`${name} ${kind}`)
  return found.sort()
}

onBoth('open() rejects for what is missing, and for what is no directory', async (folder) => {
  const path = join(folder, 'missing')
  await writeText(join(folder, 'file'), 'x')

  await assert.rejects(Directory.open(path), { code: 'ENOENT', syscall: 'open', path })
  await assert.rejects(Directory.open(join(folder, 'file')), { code: 'ENOTDIR' })
})

onBoth('create() makes a directory, or opens one that is there', async (folder) => {
  const path = join(folder, 'a')
  await using first = await Directory.create(path)
  await using second = await Directory.create(path)

  assert.deepEqual([first.path, second.path], [path, path])
  await assert.rejects(Directory.create(path, { createNew: true }), { code: 'EEXIST' })
  await assert.rejects(Directory.create(join(folder, 'b', 'c')), { code: 'ENOENT' })
})

onBoth('create() and makeDirectory() make those above as well when recursive', async (folder) => {
  await using deep = await Directory.create(join(folder, 'a', 'b', 'c'), {
    recursive: true,
    durable: true,
  })
  await deep.makeDirectory('d/e', { recursive: true })
  await deep.makeDirectory('d/e', { recursive: true, durable: true })

  const path = join(folder, 'a', 'b', 'c', 'd', 'e')
  assert.equal((await stat(path)).kind, 'directory')
  await assert.rejects(makeDirectory(path), { code: 'EEXIST', syscall: 'mkdir', path })
  const createNew = { recursive: true, createNew: true }
  await assert.rejects(Directory.create(path, createNew), { code: 'EEXIST' })
})

onBoth('makeDirectory() rejects where a file is in the way', async (folder) => {
  await writeText(join(folder, 'file'), 'x')

  const options = { recursive: true }
  await assert.rejects(makeDirectory(join(folder, 'file'), options), { code: 'EEXIST' })
  await assert.rejects(makeDirectory(join(folder, 'file', 'a'), options), { code: 'ENOTDIR' })
  await assert.rejects(makeDirectory(join(folder, 'file', 'a', 'b'), options), { code: 'ENOTDIR' })
})

onBoth('list() tells names and kinds, and nothing twice', async (folder) => {
  await using directory = await Directory.open(folder)
  const made: string[] = []
  for (let index = 0; index < 300; index++) {
    await writeText(`file-${index}`, 'x', directory)
    made.push(`file-${index} file`)
  }
  await directory.makeDirectory('folder')
  await directory.symbolicLink('nowhere', 'link')

  const expected = [...made, 'folder directory', 'link symbolicLink'].sort()
  assert.deepEqual(await listed(directory), expected)
  assert.deepEqual(await listed(directory), expected)
})

onBoth('list() tells of an empty directory nothing', async (folder) => {
  await using directory = await Directory.create(join(folder, 'empty'))

  assert.deepEqual(await listed(directory), [])
})

onBoth('list() can be left early, and be asked several times at once', async (folder) => {
  await using directory = await Directory.open(folder)
  for (const name of ['a', 'b', 'c']) await writeText(name, 'x', directory)

  for await (const entry of directory.list()) {
    assert.equal(entry.kind, 'file')
    break
  }
  const entries = directory.list()
  const answers = await Promise.all([1, 2, 3, 4, 5].map(() => entries.next()))

  const names = answers.map(({ value }) => value?.name ?? null)
  assert.deepEqual(names.slice(0, 3).sort(), ['a', 'b', 'c'])
  assert.deepEqual(names.slice(3), [null, null])
  await entries.return()
  assert.equal((await entries.next()).done, true)
})

onBoth('list() survives the removal of what it tells', async (folder) => {
  await using directory = await Directory.open(folder)
  for (let index = 0; index < 100; index++) await writeText(`file-${index}`, 'x', directory)

  for await (const { name } of directory.list()) await directory.remove(name)

  assert.deepEqual(await listed(directory), [])
})

onBoth('two lists of one directory do not disturb each other', async (folder) => {
  await using directory = await Directory.open(folder)
  for (let index = 0; index < 50; index++) await writeText(`file-${index}`, 'x', directory)

  const [one, other] = await Promise.all([listed(directory), listed(directory)])

  assert.equal(one.length, 50)
  assert.deepEqual(one, other)
})

onBoth('a directory is where its names begin, also once it has another', async (folder) => {
  await using directory = await Directory.create(join(folder, 'old'))
  await rename(join(folder, 'old'), join(folder, 'new'))
  await makeDirectory(join(folder, 'old'))

  await writeText('file', 'text', directory)

  assert.equal(await readText(join(folder, 'new', 'file')), 'text')
  assert.equal(await readText('file', directory), 'text')
  await assert.rejects(stat(join(folder, 'old', 'file')), { code: 'ENOENT' })
})

onBoth('rename() moves, replaces unless told not to, and between directories', async (folder) => {
  await using one = await Directory.create(join(folder, 'one'))
  await using two = await Directory.create(join(folder, 'two'))
  await writeText('a', 'A', one)
  await writeText('b', 'B', one)

  await assert.rejects(one.rename('a', 'b', { replace: false }), { code: 'EEXIST' })
  await one.rename('a', 'b')
  await one.rename('b', 'c', { to: two })

  assert.equal(await readText('c', two), 'A')
  assert.deepEqual(await listed(one), [])
  await assert.rejects(one.rename('b', 'c'), {
    code: 'ENOENT',
    syscall: 'rename',
    path: join(folder, 'one', 'b'),
    dest: join(folder, 'one', 'c'),
  })
})

onBoth(
  'rename() of a directory into itself, or onto one with names, is refused',
  async (folder) => {
    await using directory = await Directory.open(folder)
    await directory.makeDirectory('a/b', { recursive: true })
    await directory.makeDirectory('c')

    await assert.rejects(directory.rename('a', 'a/b/c'), { code: 'EINVAL' })
    await assert.rejects(directory.rename('c', 'a'), { code: 'ENOTEMPTY' })
    await directory.rename('a', 'c')

    assert.deepEqual(await listed(directory), ['c directory'])
  },
)

onBoth('remove() is for files, removeDirectory() for empty directories', async (folder) => {
  await using directory = await Directory.open(folder)
  await writeText('file', 'x', directory)
  await directory.makeDirectory('full/inner', { recursive: true })

  await assert.rejects(directory.remove('full'), { code: 'EISDIR', syscall: 'unlink' })
  await assert.rejects(directory.removeDirectory('file'), { code: 'ENOTDIR', syscall: 'rmdir' })
  await assert.rejects(directory.removeDirectory('full'), { code: 'ENOTEMPTY' })
  await directory.remove('file')
  await directory.removeDirectory('full/inner')
  await directory.removeDirectory('full')

  assert.deepEqual(await listed(directory), [])
  await assert.rejects(remove(join(folder, 'file')), { code: 'ENOENT' })
  await assert.rejects(removeDirectory(join(folder, 'full')), { code: 'ENOENT' })
})

onBoth(
  'link() gives a second name, symbolicLink() a way, which readLink() tells',
  async (folder) => {
    await using directory = await Directory.open(folder)
    await writeText('file', 'text', directory)

    await directory.link('file', 'second')
    await directory.symbolicLink('second', 'link')

    assert.equal((await directory.stat('file')).linkCount, 2)
    assert.equal(await readText('link', directory), 'text')
    assert.equal(await directory.readLink('link'), 'second')
    assert.equal((await directory.stat('link')).kind, 'file')
    assert.equal((await directory.stat('link', { followLinks: false })).kind, 'symbolicLink')
    await assert.rejects(directory.readLink('file'), { code: 'EINVAL', syscall: 'readlink' })
    await assert.rejects(directory.readLink('missing'), { code: 'ENOENT' })
    await assert.rejects(directory.link('file', 'second'), { code: 'EEXIST', syscall: 'link' })
    await assert.rejects(directory.symbolicLink('x', 'file'), { code: 'EEXIST' })
    await link(join(folder, 'file'), join(folder, 'third'))
    await symbolicLink('third', join(folder, 'other'))
    assert.equal(await readLink(join(folder, 'other')), 'third')
  },
)

onBoth('removeTree() removes all, and follows no link', async (folder) => {
  await using directory = await Directory.open(folder)
  await directory.makeDirectory('kept')
  await writeText('kept/file', 'kept', directory)
  for (let index = 0; index < 5; index++) {
    await directory.makeDirectory(`tree/${index}/deep/er`, { recursive: true })
    for (let file = 0; file < 40; file++) await writeText(`tree/${index}/${file}`, 'x', directory)
    await directory.symbolicLink('../../kept', `tree/${index}/link`)
  }

  await directory.removeTree('tree')

  assert.deepEqual(await listed(directory), ['kept directory'])
  assert.equal(await readText('kept/file', directory), 'kept')
  await assert.rejects(directory.removeTree('tree'), { code: 'ENOENT' })
  await removeTree(join(folder, 'kept', 'file'))
  assert.deepEqual(await listed(directory), ['kept directory'])
})

test('removeTree() has few descriptors open, however wide a tree is', async (t) => {
  const folder = join(makeFolder(t), 'tree')
  for (let outer = 0; outer < 40; outer++) {
    for (let inner = 0; inner < 40; inner++) {
      mkdirSync(join(folder, `${outer}`, `${inner}`), { recursive: true })
    }
  }
  const before = holdings()
  let most = 0
  let isRemoved = false
  const watching = spawn(async () => {
    while (!isRemoved) {
      most = Math.max(most, holdings().fdCount - before.fdCount)
      await sleep(1)
    }
  })

  await removeTree(folder)
  isRemoved = true
  await watching

  // Three levels, and what lists a directory has one of its own.
  assert.ok(most >= 1 && most <= 6, `${most} descriptors`)
  assertNoLeak(before)
})

onBoth('sync() resolves, and everything is refused once it is closed', async (folder) => {
  const directory = await Directory.open(folder)
  const entries = directory.list()
  await directory.sync()
  assert.equal((await directory.stat()).kind, 'directory')
  await directory.close()
  await directory.close()

  const refused = { code: 'ERR_HANDLE_CLOSED' }
  assert.equal(directory.fd, -1)
  await assert.rejects(directory.sync(), refused)
  await assert.rejects(directory.makeDirectory('a'), refused)
  await assert.rejects(directory.rename('a', 'b'), refused)
  await assert.rejects(directory.removeTree('a'), refused)
  await assert.rejects(entries.next(), refused)
  await assert.rejects(BufferedFile.open('a', { directory }), refused)
  assert.throws(() => directory.list(), refused)
})

onBoth('names are checked', async (folder) => {
  await using directory = await Directory.open(folder)
  const bad = 1 as unknown as string

  await assert.rejects(Directory.open(bad), TypeError)
  await assert.rejects(Directory.open('a', { depth: 1 } as object), { name: 'TypeError' })
  await assert.rejects(Directory.open('a', { directory: bad } as object), { name: 'TypeError' })
  await assert.rejects(directory.remove('/etc/passwd'), RangeError)
  await assert.rejects(BufferedFile.open('/etc/passwd', { directory }), RangeError)
  await assert.rejects(directory.remove(bad), TypeError)
  await assert.rejects(directory.remove('a\0b'), TypeError)
  await assert.rejects(directory.rename('a', 'b', { replace: 1 } as object), TypeError)
  await assert.rejects(directory.rename('a', 'b', { to: folder } as object), TypeError)
  await assert.rejects(directory.makeDirectory('a', { mode: -1 }), RangeError)
  await assert.rejects(directory.makeDirectory('a', { deep: true } as object), TypeError)
  await assert.rejects(directory.stat('a', { followLinks: 0 } as object), TypeError)
  assert.throws(() => directory.list({ deep: true } as object), TypeError)
})

onBoth('what is aborted before it begins changes nothing', async (folder) => {
  await using directory = await Directory.open(folder)
  const signal = AbortSignal.abort(new Error('no'))

  await assert.rejects(directory.makeDirectory('a', { signal }), { message: 'no' })
  await assert.rejects(directory.list({ signal }).next(), { message: 'no' })
  await assert.rejects(Directory.create(join(folder, 'b'), { signal }), { message: 'no' })

  assert.deepEqual(await listed(directory), [])
})

onBoth('a change of names that is cancelled tells whether it has been made', async (folder) => {
  await using directory = await Directory.open(folder)
  const outcomes: boolean[] = []
  for (let index = 0; index < 40; index++) {
    const controller = new AbortController()
    const making = directory.makeDirectory(`d${index}`, { signal: controller.signal })
    if (index % 2 === 1) await Promise.resolve()
    const aborting = spawn(async () => controller.abort(new Error('no')))
    const isMade = await making.then(
      () => true,
      () => false,
    )
    await aborting
    outcomes.push(isMade)
  }

  const names = new Set(await listed(directory))
  const found = outcomes.map((_, index) => names.has(`d${index} directory`))
  assert.deepEqual(found, outcomes)
})

test('a directory leaves nothing open, whatever happens to it', async (t) => {
  const folder = makeFolder(t)
  for (let index = 0; index < 100; index++) writeFileSync(join(folder, `file-${index}`), 'x')
  await Directory.open(folder).then((directory) => directory.close())
  const before = holdings()

  await using directory = await Directory.open(folder)
  for await (const _ of directory.list()) break
  await assert.rejects(directory.makeDirectory('file-1/a', { recursive: true }))
  await assert.rejects(BufferedFile.open('missing', { directory }))
  await assert.rejects(BufferedFile.create('file-2/x', { directory }))
  await directory.makeDirectory('a/b/c', { recursive: true, durable: true })
  await directory.removeTree('a')
  await directory.close()

  assertNoLeak(before)
})

test('names that are not UTF-8 are told, and removed with their tree', async (t) => {
  const folder = makeFolder(t)
  const name = Buffer.concat([Buffer.from(`${folder}/tree/`), Buffer.from([0x66, 0xff, 0xfe])])
  mkdirSync(join(folder, 'tree'))
  writeFileSync(name, 'x')
  writeFileSync(join(folder, 'tree', 'grüße \u{fffd} 😀'), 'x')
  await using directory = await Directory.open(join(folder, 'tree'))

  const names = (await listed(directory)).sort()
  await removeTree(join(folder, 'tree'))

  assert.deepEqual(names, ['f\u{fffd}\u{fffd} file', 'grüße \u{fffd} 😀 file'].sort())
  assert.equal(existsSync(join(folder, 'tree')), false)
})

test('list() tells all of a large directory, a batch in memory at a time', async (t) => {
  const folder = makeFolder(t)
  for (let index = 0; index < 5000; index++) {
    writeFileSync(join(folder, `a-name-of-some-length-${index}`), '')
  }
  await using directory = await Directory.open(folder)

  const names: string[] = []
  for await (const { name } of directory.list()) names.push(name)

  assert.deepEqual(names.sort(), readdirSync(folder).sort())
})

test('the free functions agree with node:fs', async (t) => {
  const folder = makeFolder(t)
  const at = (name: string): string => join(folder, name)
  writeFileSync(at('a'), 'A', { mode: 0o640 })

  await rename(at('a'), at('b'))
  await link(at('b'), at('c'))
  await symbolicLink('b', at('d'))
  await makeDirectory(at('e'), { mode: 0o700 })

  assert.equal(readFileSync(at('c'), 'utf8'), 'A')
  assert.equal(readlinkSync(at('d')), 'b')
  const [own, theirs] = [await stat(at('b')), statSync(at('b'))]
  assert.deepEqual(
    [own.kind, own.mode, own.linkCount, own.sizeBytes, own.identity.inode, own.modifiedAtMs],
    ['file', theirs.mode, 2, 1, theirs.ino, theirs.mtimeMs],
  )
  assert.equal(statSync(at('e')).mode & 0o777, 0o700)
  renameSync(at('e'), at('f'))
  symlinkSync(at('f'), at('g'))
  assert.equal((await stat(at('g'))).kind, 'directory')
  await assert.rejects(Directory.open(at('d')), { code: 'ENOTDIR' })
  await using through = await Directory.open(at('g'))
  assert.deepEqual(await listed(through), [])
})
