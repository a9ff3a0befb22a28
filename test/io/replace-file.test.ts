/** Replacing a file: whole or not at all, whoever looks, whenever the power goes. */

import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { spawn, yieldNow } from '../../src/index.ts'
import {
  BufferedFile,
  Directory,
  makeDirectory,
  replaceFile,
  symbolicLink,
} from '../../src/io/index.ts'
import { type FileSystem, type Simulation, seeds, simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { spreadSeedCount } from '../limits.ts'
import {
  assertNoLeak,
  holdings,
  makeFolder,
  mountFolder,
  needsRoot,
  pattern,
  runLimited,
} from './support.ts'

/** Runs a test in a folder of the real kernel, and in one of a simulated one. */
function onBoth(name: string, body: (folder: string) => Promise<void>): void {
  test(`${name} [uring]`, (t) => body(makeFolder(t)))
  test(`${name} [sim]`, () => simulate(7, () => body('/tmp')))
}

async function readText(path: string): Promise<string> {
  await using file = await BufferedFile.open(path)
  return Buffer.from(await file.read(0, 1000)).toString()
}

async function listed(folder: string): Promise<string[]> {
  await using directory = await Directory.open(folder)
  const found: string[] = []
  for await (const { name } of directory.list()) found.push(name)
  return found.sort()
}

onBoth(
  'replaceFile() creates a file, replaces it, and leaves nothing beside it',
  async (folder) => {
    const path = join(folder, 'file')

    await replaceFile(path, 'one')
    assert.equal(await readText(path), 'one')
    await replaceFile(path, Buffer.from('three'))
    assert.equal(await readText(path), 'three')
    await replaceFile(path, '')
    assert.equal(await readText(path), '')

    assert.deepEqual(await listed(folder), ['file'])
  },
)

onBoth(
  'replaceFile() leaves those who have the old file open with the old contents',
  async (folder) => {
    const path = join(folder, 'file')
    await replaceFile(path, 'old')
    await using file = await BufferedFile.open(path)

    await replaceFile(path, 'new')

    assert.equal(Buffer.from(await file.read(0, 100)).toString(), 'old')
  },
)

onBoth('replaceFile() takes a name in a directory, and large data', async (folder) => {
  await using directory = await Directory.create(join(folder, 'a'))
  const data = pattern(1_000_000, 3)

  await replaceFile('file', data, { directory })

  await using file = await BufferedFile.open('file', { directory })
  assert.deepEqual(await file.read(0, 2_000_000), data)
})

onBoth('replaceFile() rejects where there is no directory, or the path is one', async (folder) => {
  await assert.rejects(replaceFile(join(folder, 'a', 'b'), 'x'), { code: 'ENOENT' })
  await assert.rejects(replaceFile(folder, 'x'), { code: 'EISDIR', path: folder })

  assert.deepEqual(await listed(folder), [])
})

onBoth('replaceFile() checks what it is given', async (folder) => {
  const path = join(folder, 'file')
  await assert.rejects(replaceFile(path, 1 as unknown as string), TypeError)
  await assert.rejects(replaceFile(path, 'x', { mode: 0o10000 }), RangeError)
  await assert.rejects(replaceFile(path, 'x', { sync: true } as object), TypeError)
  await assert.rejects(replaceFile(path, 'x', { directory: folder } as object), TypeError)
  await assert.rejects(replaceFile('a\0b', 'x'), TypeError)

  assert.deepEqual(await listed(folder), [])
})

onBoth('a replacement that is cancelled has been made, or has changed nothing', async (folder) => {
  const path = join(folder, 'file')
  let now = 'text 0'
  await replaceFile(path, now)
  const counts = { made: 0, cancelled: 0 }
  for (let index = 1; index <= 60; index++) {
    const next = `text ${index}`
    const controller = new AbortController()
    const replacing = replaceFile(path, next, { signal: controller.signal })
    const aborting = spawn(async () => {
      for (let turn = 0; turn < index % 20; turn++) await yieldNow()
      controller.abort(new Error('no'))
    })
    const isMade = await replacing.then(
      () => true,
      (error) => {
        assert.equal((error as Error).message, 'no')
        return false
      },
    )
    await aborting
    if (isMade) now = next
    counts[isMade ? 'made' : 'cancelled']++

    assert.equal(await readText(path), now)
    assert.deepEqual(await listed(folder), ['file'])
  }
  assert.ok(counts.cancelled > 0)
})

onBoth('replacements at once leave the contents of one of them', async (folder) => {
  const path = join(folder, 'file')
  const texts = Array.from({ length: 20 }, (_, index) => `text ${index}`)

  await Promise.all(texts.map((text) => replaceFile(path, text)))

  assert.ok(texts.includes(await readText(path)))
  assert.deepEqual(await listed(folder), ['file'])
})

onBoth(
  'replaceFile() follows a link as the kernel does, below a linked directory',
  async (folder) => {
    await makeDirectory(join(folder, 'a', 'b'), { recursive: true })
    await symbolicLink('a/b', join(folder, 'linked'))
    await symbolicLink('../file', join(folder, 'a', 'b', 'link'))
    await replaceFile(join(folder, 'file'), 'another')
    await replaceFile(join(folder, 'a', 'file'), 'old')

    await replaceFile(join(folder, 'linked', 'link'), 'new')

    assert.equal(await readText(join(folder, 'a', 'file')), 'new')
    assert.equal(await readText(join(folder, 'file')), 'another')
  },
)

test('replaceFile() keeps permissions, and follows links', async (t) => {
  const folder = makeFolder(t)
  mkdirSync(join(folder, 'elsewhere'))
  writeFileSync(join(folder, 'elsewhere', 'file'), 'old')
  chmodSync(join(folder, 'elsewhere', 'file'), 0o666)
  symlinkSync('elsewhere/file', join(folder, 'one'))
  symlinkSync(join(folder, 'one'), join(folder, 'two'))
  linkSync(join(folder, 'elsewhere', 'file'), join(folder, 'other name'))

  await replaceFile(join(folder, 'two'), 'new')
  await replaceFile(join(folder, 'secret'), 'x', { mode: 0o600 })
  await replaceFile(join(folder, 'open'), 'x', { mode: 0o777 })

  assert.ok(lstatSync(join(folder, 'one')).isSymbolicLink())
  assert.equal(readFileSync(join(folder, 'elsewhere', 'file'), 'utf8'), 'new')
  assert.equal(readFileSync(join(folder, 'other name'), 'utf8'), 'old')
  const modes = ['elsewhere/file', 'secret', 'open'].map(
    (name) => statSync(join(folder, name)).mode & 0o777,
  )
  assert.deepEqual(modes, [0o666, 0o600, 0o777])
  symlinkSync('circle', join(folder, 'circle'))
  await assert.rejects(replaceFile(join(folder, 'circle'), 'x'), { code: 'ELOOP' })
  await assert.rejects(replaceFile('/dev/null', 'x'), { code: 'ERR_UNSUPPORTED' })
})

test('replaceFile() keeps the owner where it may', needsRoot(), async (t) => {
  const path = join(makeFolder(t), 'file')
  await replaceFile(path, 'old')
  chownSync(path, 65534, 65534)

  await replaceFile(path, 'new')

  assert.deepEqual([statSync(path).uid, statSync(path).gid], [65534, 65534])
})

/** What is left of files of these owners and modes after `nobody` has replaced them. */
function replacedByNobody(
  t: TestContext,
  files: readonly (readonly [userId: number, groupId: number, mode: number])[],
  options: { readonly mode?: number } = {},
): unknown[] {
  const folder = makeFolder(t)
  // What is made there has the group of the folder, not of its maker.
  chmodSync(folder, 0o2777)
  for (const [index, [userId, groupId, mode]] of files.entries()) {
    const path = join(folder, `${index}`)
    writeFileSync(path, 'old')
    chownSync(path, userId, groupId)
    chmodSync(path, mode)
  }
  runLimited({
    limit: 'true',
    unprivileged: true,
    script: `
      const [folder, options] = args
      for (let index = 0; index < ${files.length}; index++) {
        await io.replaceFile(folder + '/' + index, 'new', JSON.parse(options))
      }
      console.log('null')`,
    args: [folder, JSON.stringify(options)],
  })
  return files.map((_, index) => {
    const path = join(folder, `${index}`)
    assert.equal(readFileSync(path, 'utf8'), 'new')
    const { uid, gid, mode } = statSync(path)
    return [uid, gid, (mode & 0o7777).toString(8)]
  })
}

test(
  'replaceFile() gives set-ID bits to no other owner, nor to another group',
  needsRoot(),
  (t) => {
    const files = [
      [0, 0, 0o6755],
      [0, 1, 0o6755],
      [0, 65534, 0o6755],
      [65534, 1, 0o6755],
      [65534, 65534, 0o6755],
    ] as const

    const left = replacedByNobody(t, files)

    assert.deepEqual(left, [
      [65534, 0, '755'],
      [65534, 0, '755'],
      [65534, 65534, '2755'],
      [65534, 0, '4755'],
      [65534, 65534, '6755'],
    ])
  },
)

test('replaceFile() sets the set-ID bits that its mode has', needsRoot(), (t) => {
  assert.deepEqual(replacedByNobody(t, [[0, 0, 0o755]], { mode: 0o4755 }), [[65534, 0, '4755']])
})

test(
  'replaceFile() leaves no file and no descriptor where the disk is full',
  needsRoot(),
  async (t) => {
    const folder = mountFolder(t, ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs'])
    const path = join(folder, 'file')
    await replaceFile(path, 'old')
    const before = holdings()

    await assert.rejects(replaceFile(path, new Uint8Array(2_000_000)), { code: 'ENOSPC' })

    assertNoLeak(before)
    assert.deepEqual(readdirSync(folder), ['file'])
    assert.equal(readFileSync(path, 'utf8'), 'old')
  },
)

/** What a crash has left of a file: its text, or null. */
function found(disk: FileSystem): string | null {
  const bytes = disk.readFile('/tmp/file')
  return bytes === null ? null : Buffer.from(bytes).toString()
}

const FAULTS = { shortWrite: 0.2, reorder: 0.2, errors: { EIO: 0.02, ENOSPC: 0.02 } }

// Each crash is of the machine as it is then, while the program goes on: every step is a point to crash at.
test('a crash at any point of replaceFile() leaves the old contents or the new', async () => {
  for (const seed of seeds(spreadSeedCount(40)))
    await simulate({ seed, faults: FAULTS }, crashAllAlong)
})

async function crashAllAlong({ kernel }: Simulation): Promise<void> {
  const texts = Array.from({ length: 5 }, (_, index) => `${index}:`.padEnd(9000, `${index}`))
  let [settled, index] = [-1, -1]
  const isDone = { value: false }
  const crashing = spawn(async () => {
    while (!isDone.value) {
      const text = found(kernel.crash())
      const possible = [settled < 0 ? null : texts[settled], texts[index] ?? null]
      assert.ok(possible.includes(text), `${text?.slice(0, 9)} while ${settled} becomes ${index}`)
      await sleep(kernel.prng.int(1, 20) / 1000)
    }
  })
  for (index = 0; index < texts.length; index++) {
    try {
      await replaceFile('/tmp/file', texts[index]!)
      settled = index
    } catch (error) {
      assert.match((error as { code: string }).code, /^(EIO|ENOSPC)$/)
      // It may have been replaced all the same, if only the sync of the directory has failed.
      const text = await readAgain()
      if (text === texts[index]) break
    }
    if (settled === index) assert.equal(found(kernel.crash()), texts[index])
  }
  isDone.value = true
  await crashing
}

async function readAgain(): Promise<string | null> {
  for (;;) {
    try {
      await using file = await BufferedFile.open('/tmp/file')
      return Buffer.from(await file.read(0, 10_000)).toString()
    } catch (error) {
      const { code } = error as { code: string }
      if (code === 'ENOENT') return null
      if (code !== 'EIO') throw error
    }
  }
}
