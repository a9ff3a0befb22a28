/** Random operations on files and names, done twice: by percore, and by `node:fs` as the oracle. */

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Prng } from '../../src/base/index.ts'
import {
  type BaseFile,
  BufferedFile,
  DirectFile,
  Directory,
  link,
  makeDirectory,
  readLink,
  remove,
  removeDirectory,
  removeTree,
  rename,
  replaceFile,
  stat,
  symbolicLink,
} from '../../src/io/index.ts'
import {
  checkOracle,
  copyOracle,
  type Data,
  findName,
  listOracle,
  type OpenHow,
  openOracle,
  partsOf,
  readOracle,
  replaceOracle,
  statusOf,
  vectorOracle,
} from './fuzz-oracle.ts'
import { pattern } from './support.ts'

/** One operation, as plain data, so that a run can be printed and done again. */
export type FuzzOperation =
  | { readonly kind: 'open'; readonly path: string; readonly how: OpenHow }
  | { readonly kind: 'close' | 'sync' | 'status' | 'removeFile'; readonly handle: number }
  | { readonly kind: 'read'; readonly handle: number; readonly at: number; readonly length: number }
  | { readonly kind: 'write'; readonly handle: number; readonly at: number; readonly data: Data }
  | { readonly kind: 'vector'; readonly handle: number; readonly at: number; readonly data: Data }
  | { readonly kind: 'truncate'; readonly handle: number; readonly size: number }
  | { readonly kind: 'renameFile' | 'linkFile'; readonly handle: number; readonly path: string }
  | {
      readonly kind: 'copy'
      readonly handle: number
      readonly other: number
      readonly from: number
      readonly at: number
      readonly length: number
    }
  | { readonly kind: 'rename' | 'link' | 'symlink'; readonly path: string; readonly to: string }
  | { readonly kind: NameKind; readonly path: string }
  | { readonly kind: 'replace'; readonly path: string; readonly data: Data }

type NameKind =
  | 'remove'
  | 'mkdir'
  | 'mkdirAll'
  | 'rmdir'
  | 'removeTree'
  | 'list'
  | 'stat'
  | 'lstat'
  | 'readlink'

const HANDLES_MAX = 6
const NAMES = ['a', 'b', 'c', 'd'] as const
const NAME_KINDS: readonly NameKind[] = [
  'remove',
  'mkdir',
  'mkdirAll',
  'rmdir',
  'removeTree',
  'list',
  'stat',
  'lstat',
  'readlink',
]

/** Draws a run of operations; files that are open are named by the order of their opening. */
export function drawOperations(prng: Prng, count: number): FuzzOperation[] {
  return Array.from({ length: count }, () => drawOperation(prng))
}

function drawOperation(prng: Prng): FuzzOperation {
  const handle = prng.int(0, HANDLES_MAX - 1)
  const choice = prng.int(0, 99)
  if (choice < 20) return { kind: 'open', path: drawPath(prng), how: drawHow(prng) }
  if (choice < 25) {
    return { kind: prng.pick(['close', 'sync', 'status', 'removeFile'] as const), handle }
  }
  if (choice < 37) return { kind: 'read', handle, at: drawAt(prng), length: drawLength(prng) }
  if (choice < 52) return { kind: 'write', handle, at: drawAt(prng), data: drawData(prng) }
  if (choice < 57) return { kind: 'vector', handle, at: drawAt(prng), data: drawData(prng) }
  if (choice < 63) return { kind: 'truncate', handle, size: drawAt(prng) }
  if (choice < 67) {
    const kind = prng.pick(['renameFile', 'linkFile'] as const)
    return { kind, handle, path: drawPath(prng) }
  }
  if (choice < 71) {
    const other = prng.int(0, HANDLES_MAX - 1)
    const [from, at] = [drawAt(prng), drawAt(prng)]
    return { kind: 'copy', handle, other, from, at, length: drawLength(prng) }
  }
  if (choice < 82) {
    const kind = prng.pick(['rename', 'rename', 'link', 'symlink'] as const)
    const path = kind === 'symlink' ? drawLeadsTo(prng) : drawPath(prng)
    return { kind, path, to: drawPath(prng) }
  }
  if (choice < 86) return { kind: 'replace', path: drawPath(prng), data: drawData(prng) }
  return { kind: prng.pick(NAME_KINDS), path: drawPath(prng) }
}

function drawPath(prng: Prng): string {
  const depth = prng.pick([1, 1, 1, 2, 2, 3])
  return Array.from({ length: depth }, () => prng.pick(NAMES)).join('/')
}

/** Where a link leads: never out of the folder, as each `..` is behind a name and before one. */
function drawLeadsTo(prng: Prng): string {
  return prng.chance(0.3) ? `${drawPath(prng)}/../${drawPath(prng)}` : drawPath(prng)
}

function drawHow(prng: Prng): OpenHow {
  const isDirect = prng.chance(0.3)
  const write = isDirect || prng.chance(0.6)
  const append = !isDirect && prng.chance(0.2)
  const canWrite = write || append
  return {
    isDirect,
    read: isDirect || !canWrite || prng.chance(0.7),
    write,
    append,
    create: canWrite && prng.chance(0.7),
    createNew: canWrite && prng.chance(0.1),
    truncate: write && !append && prng.chance(0.2),
    noFollow: prng.chance(0.1),
  }
}

function drawAt(prng: Prng): number {
  if (prng.chance(0.2)) return prng.int(0, 40) * 512
  return prng.chance(0.1) ? prng.int(0, 700_000) : prng.int(0, 20_000)
}

function drawLength(prng: Prng): number {
  if (prng.chance(0.2)) return prng.int(1, 20) * 512
  return prng.chance(0.05) ? prng.int(1, 700_000) : prng.int(1, 9000)
}

function drawData(prng: Prng): Data {
  return { length: drawLength(prng), seed: prng.int(0, 255) }
}

/** What an operation came to: a value to compare, or the code of its error. */
type Outcome = { readonly value: unknown } | { readonly code: string }

interface Handle {
  readonly file: BufferedFile | DirectFile
  readonly fd: number
  readonly how: OpenHow
  /** Where the oracle's file is called, as `file.path` is. */
  path: string
}

/** Two folders, in which all is done. */
export class Fuzz {
  readonly #own: string
  readonly #oracle: string
  readonly #handles: (Handle | null)[] = Array.from({ length: HANDLES_MAX }, () => null)
  #opened = 0

  constructor(own: string, oracle: string) {
    this.#own = own
    this.#oracle = oracle
  }

  /** Does all of them; throws where the two differ. */
  async run(operations: readonly FuzzOperation[]): Promise<void> {
    try {
      for (const [index, operation] of operations.entries()) {
        await this.#step(operation, index)
        if (index % 40 === 39) await this.#compareTrees('', index)
      }
      await this.#compareTrees('', operations.length)
    } finally {
      for (let index = 0; index < HANDLES_MAX; index++) await this.#close(index)
    }
  }

  async #step(operation: FuzzOperation, index: number): Promise<void> {
    if (operation.kind === 'open') {
      await this.#open(operation.path, operation.how, index)
      return
    }
    if ('handle' in operation) {
      if (this.#handles[operation.handle] === null) return
      if (operation.kind === 'close') {
        await this.#close(operation.handle)
        return
      }
    }
    const own = await outcomeOf(() => this.#act(operation))
    const oracle = await outcomeOf(() => this.#actOracle(operation))
    assert.deepEqual(own, oracle, `operation ${index}: ${JSON.stringify(operation)}`)
  }

  async #open(path: string, how: OpenHow, index: number): Promise<void> {
    const slot = this.#opened++ % HANDLES_MAX
    await this.#close(slot)
    const { isDirect, ...options } = how
    const [ownPath, oraclePath] = [join(this.#own, path), join(this.#oracle, path)]
    let file: BufferedFile | DirectFile | null = null
    let fd = -1
    const own = await outcomeOf(async () => {
      file = isDirect
        ? await DirectFile.open(ownPath, { ...withoutAppend(options), fallback: 'buffered' })
        : await BufferedFile.open(ownPath, options)
    })
    const oracle = await outcomeOf(() => {
      fd = openOracle(oraclePath, how)
    })
    if (file !== null && fd >= 0) this.#handles[slot] = { file, fd, how, path: oraclePath }
    assert.deepEqual(own, oracle, `operation ${index}: open ${path} ${JSON.stringify(how)}`)
  }

  async #close(slot: number): Promise<void> {
    const handle = this.#handles[slot]
    if (handle == null) return
    this.#handles[slot] = null
    fs.closeSync(handle.fd)
    await handle.file.close()
  }

  #handle(index: number): Handle {
    return this.#handles[index]!
  }

  async #act(operation: FuzzOperation): Promise<unknown> {
    if ('handle' in operation) return this.#actOnFile(operation)
    const path = join(this.#own, operation.path)
    switch (operation.kind) {
      case 'rename':
        return rename(path, join(this.#own, operation.to))
      case 'link':
        return link(path, join(this.#own, operation.to))
      case 'symlink':
        return symbolicLink(operation.path, join(this.#own, operation.to))
      case 'replace':
        return replaceFile(path, bytesOf(operation.data))
      case 'remove':
        return remove(path)
      case 'mkdir':
        return makeDirectory(path)
      case 'mkdirAll':
        return makeDirectory(path, { recursive: true })
      case 'rmdir':
        return removeDirectory(path)
      case 'removeTree':
        return removeTree(path)
      case 'list':
        return list(path)
      case 'readlink':
        return readLink(path)
      case 'stat':
      case 'lstat': {
        const followLinks = operation.kind === 'stat'
        const { kind, sizeBytes, linkCount } = await stat(path, { followLinks })
        return kind === 'directory' ? kind : [kind, sizeBytes, linkCount]
      }
    }
    return assert.fail(`no such operation: ${operation.kind}`)
  }

  async #actOnFile(operation: FuzzOperation & { readonly handle: number }): Promise<unknown> {
    const { file, how } = this.#handle(operation.handle)
    switch (operation.kind) {
      case 'sync':
        return file.sync()
      case 'status': {
        const { kind, sizeBytes, linkCount } = await file.stat()
        return [kind, sizeBytes, linkCount]
      }
      case 'read': {
        if (file instanceof BufferedFile) return file.read(operation.at, operation.length)
        using lease = await file.read(operation.at, operation.length)
        return lease.bytes.slice()
      }
      case 'write': {
        const data = bytesOf(operation.data)
        if (file instanceof DirectFile) return file.writeBytes(data, operation.at)
        return how.append ? file.append(data) : file.write(data, operation.at)
      }
      case 'vector':
        return writeAndReadVector(file, how, operation.at, operation.data)
      case 'truncate':
        return file.truncate(operation.size)
      case 'renameFile':
        return file.rename(join(this.#own, operation.path))
      case 'linkFile':
        return file.link(join(this.#own, operation.path))
      case 'removeFile':
        return file.remove()
      case 'copy': {
        const source = this.#handles[operation.other]
        if (source == null || how.append) return null
        const { from: fromBytes, at: offsetBytes, length: lengthBytes } = operation
        return file.copyFrom(source.file, { fromBytes, offsetBytes, lengthBytes })
      }
    }
    return assert.fail(`no such operation: ${operation.kind}`)
  }

  #actOracle(operation: FuzzOperation): unknown {
    if ('handle' in operation) return this.#actOracleOnFile(operation)
    const path = join(this.#oracle, operation.path)
    switch (operation.kind) {
      case 'rename':
        return fs.renameSync(path, join(this.#oracle, operation.to))
      case 'link':
        return fs.linkSync(path, join(this.#oracle, operation.to))
      case 'symlink':
        return fs.symlinkSync(operation.path, join(this.#oracle, operation.to))
      case 'replace':
        return replaceOracle(path, bytesOf(operation.data))
      case 'remove':
        return fs.unlinkSync(path)
      case 'mkdir':
        return fs.mkdirSync(path)
      case 'mkdirAll':
        return void fs.mkdirSync(path, { recursive: true })
      case 'rmdir':
        return fs.rmdirSync(path)
      case 'removeTree':
        return fs.rmSync(path, { recursive: true })
      case 'list':
        return listOracle(path)
      case 'readlink':
        return fs.readlinkSync(path)
      case 'stat':
      case 'lstat':
        return statusOf(operation.kind === 'stat' ? fs.statSync(path) : fs.lstatSync(path))
    }
    return assert.fail(`no such operation: ${operation.kind}`)
  }

  #actOracleOnFile(operation: FuzzOperation & { readonly handle: number }): unknown {
    const handle = this.#handle(operation.handle)
    const { fd, how } = handle
    switch (operation.kind) {
      case 'sync':
        return fs.fsyncSync(fd)
      case 'status':
        return statusOf(fs.fstatSync(fd))
      case 'read':
        return readOracle(fd, operation.at, operation.length)
      case 'write': {
        const data = bytesOf(operation.data)
        return fs.writeSync(fd, data, 0, data.length, how.append ? null : operation.at)
      }
      case 'vector':
        return vectorOracle(fd, how, operation.at, operation.data)
      case 'truncate':
        return fs.ftruncateSync(fd, operation.size)
      case 'renameFile': {
        const to = join(this.#oracle, operation.path)
        checkOracle(handle)
        fs.renameSync(handle.path, to)
        handle.path = to
        return
      }
      case 'linkFile':
        return this.#linkOracle(fd, join(this.#oracle, operation.path))
      case 'removeFile':
        checkOracle(handle)
        return fs.unlinkSync(handle.path)
      case 'copy': {
        const source = this.#handles[operation.other]
        if (source == null || how.append) return null
        return copyOracle(source.fd, fd, operation)
      }
    }
    return assert.fail(`no such operation: ${operation.kind}`)
  }

  /** Links a file that is open, by any name that it has. */
  #linkOracle(fd: number, path: string): void {
    const { ino, nlink } = fs.fstatSync(fd)
    if (nlink > 0) {
      fs.linkSync(findName(this.#oracle, ino), path)
      return
    }
    // What is wrong with the new name comes first.
    const other = `${this.#oracle}-other`
    fs.writeFileSync(other, '')
    fs.linkSync(other, path)
    fs.unlinkSync(path)
    throw Object.assign(new Error('it was removed'), { code: 'ENOENT' })
  }

  async #compareTrees(path: string, index: number): Promise<void> {
    const where = `${path || 'the folder'} after operation ${index}`
    const names = listOracle(join(this.#oracle, path))
    assert.deepEqual(await list(join(this.#own, path)), names, where)
    for (const entry of names) {
      const [name, kind] = entry.split(' ') as [string, string]
      const below = path === '' ? name : `${path}/${name}`
      if (kind === 'directory') await this.#compareTrees(below, index)
      else if (kind === 'file') await this.#compareContents(below, where)
    }
  }

  async #compareContents(path: string, where: string): Promise<void> {
    const expected = fs.readFileSync(join(this.#oracle, path))
    await using file = await BufferedFile.open(join(this.#own, path))
    const found = await file.read(0, Math.max(1, expected.length + 10))
    assert.ok(expected.equals(found), `contents of ${path} in ${where}`)
  }
}

async function outcomeOf(act: () => unknown): Promise<Outcome> {
  try {
    const value = await act()
    return { value: value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value }
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    const { code, name } = error as { code?: string; name: string }
    return { code: code ?? name }
  }
}

function bytesOf({ length, seed }: Data): Uint8Array {
  return pattern(length, seed)
}

function withoutAppend<T extends { readonly append: boolean }>(options: T): Omit<T, 'append'> {
  const { append: _, ...rest } = options
  return rest
}

/** Writes three buffers and reads them back: whole blocks, since direct files take no others. */
async function writeAndReadVector(
  file: BaseFile,
  how: OpenHow,
  at: number,
  data: Data,
): Promise<unknown> {
  if (how.append || !how.read) return null
  const target = file as BufferedFile
  const [offset, parts] = partsOf(at, data)
  const leases = parts.map((part) => {
    const lease = file.descriptor.executor.memory.allocate(part.length)
    lease.bytes.set(part)
    return lease
  })
  try {
    const written = how.write ? await target.writeVector(leases, offset) : 0
    const read = await target.readVector(leases, offset)
    return [written, read, ...leases.map(({ bytes }) => Buffer.from(bytes).toString('latin1'))]
  } finally {
    for (const lease of leases) lease.release()
  }
}

async function list(path: string): Promise<string[]> {
  await using directory = await Directory.open(path)
  const found: string[] = []
  for await (const { name, kind } of directory.list()) found.push(`${name} ${kind}`)
  return found.sort()
}
