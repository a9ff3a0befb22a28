import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/base/index.ts'
import { BufferedFile } from '../../src/io/index.ts'
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  EIO,
  IORING_OP_FSYNC,
  IORING_OP_LINKAT,
  IORING_OP_MKDIRAT,
  IORING_OP_RENAMEAT,
  IORING_OP_UNLINKAT,
  IORING_OP_WRITE,
  O_CREAT,
  O_DIRECTORY,
  O_RDONLY,
  O_RDWR,
} from '../../src/kernel/index.ts'
import {
  type FileSystem,
  SimKernel,
  type SimKernelOptions,
  simulate,
} from '../../src/testing/index.ts'
import { TestRing } from '../contract/harness.ts'
import { spreadSeedCount } from '../limits.ts'

const SEEDS = 40

/** What a program does to names, by the rings. */
class Names {
  readonly kernel: SimKernel
  readonly #ring: TestRing

  constructor(options: SimKernelOptions) {
    this.kernel = new SimKernel(options)
    this.#ring = new TestRing(this.kernel)
  }

  create(path: string, text = ''): void {
    const fd = this.#ring.open(path, O_RDWR | O_CREAT)
    const address = this.#ring.place(Buffer.from(text))
    if (text !== '') this.#run({ opcode: IORING_OP_WRITE, fd, address, length: text.length })
    this.#run({ opcode: IORING_OP_FSYNC, fd })
    this.#ring.close(fd)
  }

  makeDirectory(path: string): void {
    this.#onPath(IORING_OP_MKDIRAT, path, 0, 0o755)
  }

  unlink(path: string): void {
    this.#onPath(IORING_OP_UNLINKAT, path)
  }

  removeDirectory(path: string): void {
    this.#onPath(IORING_OP_UNLINKAT, path, AT_REMOVEDIR)
  }

  rename(from: string, to: string): void {
    this.#onPaths(IORING_OP_RENAMEAT, from, to)
  }

  link(from: string, to: string): void {
    this.#onPaths(IORING_OP_LINKAT, from, to)
  }

  sync(path: string): void {
    const fd = this.#ring.open(path, O_RDONLY | O_DIRECTORY)
    this.#run({ opcode: IORING_OP_FSYNC, fd })
    this.#ring.close(fd)
  }

  #onPath(opcode: number, path: string, opFlags = 0, length = 0): void {
    this.#run({ opcode, fd: AT_FDCWD, address: this.#ring.place(path), opFlags, length })
  }

  #onPaths(opcode: number, from: string, to: string): void {
    const names = { address: this.#ring.place(from), offset: this.#ring.place(to) }
    this.#run({ opcode, fd: AT_FDCWD, ...names, length: AT_FDCWD })
  }

  #run(entry: Parameters<TestRing['run']>[0]): void {
    assert.ok(this.#ring.run(entry) >= 0)
  }
}

/** All outcomes of a crash after `act`, each as what `look` sees, sorted. */
function outcomes(act: (names: Names) => void, look: (disk: FileSystem) => string): string[] {
  const found = new Set<string>()
  for (let seed = 0; seed < SEEDS; seed++) {
    const names = new Names({ seed })
    act(names)
    found.add(look(names.kernel.crash()))
  }
  return [...found].sort()
}

function list(disk: FileSystem, path = '/tmp'): string {
  return disk.list(path)?.join(' ') ?? 'none'
}

function text(disk: FileSystem, path: string): string {
  const bytes = disk.readFile(path)
  return bytes === null ? 'none' : Buffer.from(bytes).toString()
}

test('crash() loses a new name, though the file was synced, until its directory is', () => {
  const create = (names: Names): void => names.create('/tmp/a', 'data')

  assert.deepEqual(outcomes(create, list), ['', 'a'])
  const createAndSync = (names: Names): void => {
    create(names)
    names.sync('/tmp')
  }
  assert.deepEqual(
    outcomes(createAndSync, (disk) => text(disk, '/tmp/a')),
    ['data'],
  )
})

test('crash() brings a removed name back, with its contents, until its directory is synced', () => {
  const remove = (names: Names): void => {
    names.create('/tmp/a', 'data')
    names.sync('/tmp')
    names.unlink('/tmp/a')
  }

  assert.deepEqual(
    outcomes(remove, (disk) => text(disk, '/tmp/a')),
    ['data', 'none'],
  )
  const removeAndSync = (names: Names): void => {
    remove(names)
    names.sync('/tmp')
  }
  assert.deepEqual(outcomes(removeAndSync, list), [''])
})

test('crash() leaves the old file or the new one of a rename, and nothing else', () => {
  const replace = (names: Names): void => {
    names.create('/tmp/a', 'old')
    names.create('/tmp/b', 'new')
    names.sync('/tmp')
    names.rename('/tmp/b', '/tmp/a')
  }

  assert.deepEqual(
    outcomes(replace, (disk) => `${list(disk)}: ${text(disk, '/tmp/a')}`),
    ['a b: old', 'a: new'],
  )
})

test('crash() leaves a file that moves between directories in one of them', () => {
  const move = (names: Names): void => {
    names.makeDirectory('/tmp/d')
    names.create('/tmp/a')
    names.sync('/tmp')
    names.create('/tmp/d/other')
    names.rename('/tmp/a', '/tmp/d/a')
  }
  const look = (disk: FileSystem): string => `${list(disk)}: ${list(disk, '/tmp/d')}`

  assert.deepEqual(outcomes(move, look), ['a d: ', 'a d: other', 'd: a other'])
  for (const synced of ['/tmp', '/tmp/d']) {
    const moveAndSync = (names: Names): void => {
      move(names)
      names.sync(synced)
    }
    assert.deepEqual(outcomes(moveAndSync, look), ['d: a other'], synced)
  }
})

test('crash() loses changes of a directory from the last one on', () => {
  const createThree = (names: Names): void => {
    for (const name of ['a', 'b', 'c']) names.create(`/tmp/${name}`)
  }

  assert.deepEqual(outcomes(createThree, list), ['', 'a', 'a b', 'a b c'])
})

test('crash() keeps one of the names of a file that is linked anew and unlinked', () => {
  const relink = (names: Names): void => {
    names.makeDirectory('/tmp/d')
    names.create('/tmp/a')
    names.sync('/tmp')
    names.link('/tmp/a', '/tmp/d/a')
    names.unlink('/tmp/a')
  }
  const look = (disk: FileSystem): string => `${list(disk)}: ${list(disk, '/tmp/d')}`

  assert.deepEqual(outcomes(relink, look), ['a d: ', 'a d: a', 'd: a'])
})

test('crash() loses a directory whose own name was not synced, with what is in it', () => {
  const create = (names: Names): void => {
    names.makeDirectory('/tmp/d')
    names.create('/tmp/d/a')
    names.sync('/tmp/d')
  }

  assert.deepEqual(
    outcomes(create, (disk) => list(disk, '/tmp/d')),
    ['a', 'none'],
  )
})

test('crash() removes no directory before what was in it', () => {
  const empty = (names: Names): void => {
    names.makeDirectory('/tmp/d')
    names.create('/tmp/d/a')
    names.sync('/tmp')
    names.sync('/tmp/d')
    names.rename('/tmp/d/a', '/tmp/a')
    names.removeDirectory('/tmp/d')
  }
  const look = (disk: FileSystem): string => `${list(disk)}: ${list(disk, '/tmp/d')}`

  assert.deepEqual(outcomes(empty, look), ['a d: ', 'a: none', 'd: a'])
})

test('crash() keeps what was arranged, and what an earlier crash has left', async () => {
  const arrange = ({ files }: SimKernel): void => files.writeFile('/tmp/a', Buffer.from('data'))
  for (let seed = 0; seed < spreadSeedCount(10); seed++) {
    const disk = await simulate({ seed, arrange }, ({ kernel }) => kernel.crash())
    const again = await simulate({ seed, disk }, ({ kernel }) => kernel.crash())

    assert.equal(text(again, '/tmp/a'), 'data')
  }
})

test('what is unlinked gives its space back at once, and is kept for a crash', () => {
  const names = new Names({ seed: 1, diskBytes: 16_384 })
  names.create('/tmp/a', 'data')
  names.sync('/tmp')
  const { usedBytes } = names.kernel.files
  names.unlink('/tmp/a')

  assert.equal(names.kernel.files.usedBytes, usedBytes - 4096)
  const found = new Set(Array.from({ length: 20 }, () => text(names.kernel.crash(), '/tmp/a')))
  assert.deepEqual([...found].sort(), ['data', 'none'])
})

test('names that were never synced are written by themselves, the oldest first', () => {
  const names = new Names({ seed: 1 })
  for (let index = 0; index < 300; index++) names.create(`/tmp/${1000 + index}`)

  for (let round = 0; round < 10; round++) {
    const found = names.kernel.crash().list('/tmp')!
    assert.ok(found.length >= 44, `${found.length} names`)
    assert.equal(found[0], '1000')
  }
})

test('a sync that failed has lost what it was to write, and the next one does not tell', () => {
  let lostCount = 0
  for (let seed = 0; seed < SEEDS; seed++) {
    const disk = failAndRetry(seed)
    if (disk !== null && text(disk, '/tmp/a') !== 'data') lostCount++
  }

  assert.ok(lostCount > 0)
})

/** Writes, and syncs until that succeeds; null if it did so at once. */
function failAndRetry(seed: number): FileSystem | null {
  const kernel = new SimKernel({ seed, faults: { errors: { EIO: 0.5 } } })
  kernel.files.writeFile('/tmp/a', Buffer.from('none'))
  kernel.files.syncAll()
  const ring = new TestRing(kernel)
  const fd = ring.open('/tmp/a', O_RDWR)
  const address = ring.place(Buffer.from('data'))
  while (ring.run({ opcode: IORING_OP_WRITE, fd, address, length: 4 }) === -EIO);
  let failureCount = 0
  while (ring.run({ opcode: IORING_OP_FSYNC, fd }) === -EIO) failureCount++
  return failureCount === 0 ? null : kernel.crash()
}

test('a random program loses no file whose name and contents were synced', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const prng = new Prng(seed)
    const names = new Names({ seed })
    const synced = new Set<string>()
    for (let step = 0; step < 60; step++) {
      const directory = prng.pick(['/tmp', '/tmp/d', '/tmp/e'])
      const path = `${directory}/${prng.int(0, 3)}`
      const { files } = names.kernel
      if (files.list(directory) === null) names.makeDirectory(directory)
      if (files.readFile(path) === null) names.create(path, 'data')
      else if (prng.chance(0.5)) names.rename(path, `${prng.pick(['/tmp'])}/${prng.int(4, 7)}`)
      else names.unlink(path)
    }
    for (const directory of ['/tmp', '/tmp/d', '/tmp/e']) {
      if (names.kernel.files.list(directory) === null) continue
      names.sync(directory)
      for (const name of names.kernel.files.list(directory)!) {
        if (name !== 'd' && name !== 'e') synced.add(`${directory}/${name}`)
      }
    }
    names.unlink([...synced][0]!)
    names.create('/tmp/9')

    const disk = names.kernel.crash()
    for (const path of [...synced].slice(1)) assert.equal(text(disk, path), 'data', path)
  }
})

test('a program finds its log, or none, when it did not sync the directory', async () => {
  const found = new Set<string>()
  for (let seed = 0; seed < SEEDS; seed++) {
    const disk = await simulate(seed, async ({ kernel }) => {
      await using log = await BufferedFile.create('/tmp/log')
      await log.write(Buffer.from('entry'), 0)
      await log.datasync()
      return kernel.crash()
    })
    found.add(text(disk, '/tmp/log'))
  }

  assert.deepEqual([...found].sort(), ['entry', 'none'])
})
