/** What `node:fs` does, in the words of test/io/fuzz.ts. */

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { pattern } from './support.ts'

/** How a file is opened. */
export interface OpenHow {
  readonly isDirect: boolean
  readonly read: boolean
  readonly write: boolean
  readonly append: boolean
  readonly create: boolean
  readonly createNew: boolean
  readonly truncate: boolean
  readonly noFollow: boolean
}

/** Bytes, by their length and what they are made from. */
export interface Data {
  readonly length: number
  readonly seed: number
}

export function openOracle(path: string, how: OpenHow): number {
  const { constants } = fs
  let flags = how.read ? constants.O_RDWR : constants.O_WRONLY
  if (!how.write && !how.append) flags = constants.O_RDONLY
  if (how.append) flags |= constants.O_APPEND
  if (how.create || how.createNew) flags |= constants.O_CREAT
  if (how.createNew) flags |= constants.O_EXCL
  if (how.truncate) flags |= constants.O_TRUNC
  if (how.noFollow) flags |= constants.O_NOFOLLOW
  const fd = fs.openSync(path, flags)
  if (!fs.fstatSync(fd).isDirectory()) return fd
  fs.closeSync(fd)
  throw Object.assign(new Error('a directory is no file'), { code: 'EISDIR' })
}

export function readOracle(fd: number, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let done = 0
  for (;;) {
    const count = fs.readSync(fd, bytes, done, length - done, at + done)
    done += count
    if (count === 0 || done === length) return bytes.subarray(0, done)
  }
}

export function vectorOracle(fd: number, how: OpenHow, at: number, data: Data): unknown {
  if (how.append || !how.read) return null
  const [offset, parts] = partsOf(at, data)
  const buffers = parts.map((part) => part.slice())
  const written = how.write ? fs.writevSync(fd, buffers, offset) : 0
  const read = fs.readvSync(fd, buffers, offset)
  return [written, read, ...buffers.map((bytes) => Buffer.from(bytes).toString('latin1'))]
}

export function partsOf(at: number, { length, seed }: Data): [number, Uint8Array[]] {
  const blocks = 1 + (length % 4)
  const parts = [1, blocks, 2].map((count, index) => pattern(count * 4096, seed + index))
  return [at - (at % 4096), parts]
}

export function statusOf(status: fs.Stats): unknown {
  if (status.isDirectory()) return 'directory'
  return [status.isSymbolicLink() ? 'symbolicLink' : 'file', status.size, status.nlink]
}

export function listOracle(path: string): string[] {
  const kindOf = (entry: fs.Dirent): string => {
    if (entry.isSymbolicLink()) return 'symbolicLink'
    return entry.isDirectory() ? 'directory' : 'file'
  }
  const entries = fs.readdirSync(path, { withFileTypes: true })
  return entries.map((entry) => `${entry.name} ${kindOf(entry)}`).sort()
}

/** A name of the file with that number. */
export function findName(folder: string, inode: number): string {
  const found = fs
    .readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .find((path) => fs.lstatSync(path).ino === inode)
  assert.ok(found !== undefined, 'a file with names is found by one')
  return found
}

/** Whether the file has its name still, as percore asks before it changes that. */
export function checkOracle({ fd, path }: { readonly fd: number; readonly path: string }): void {
  if (fs.statSync(path).ino === fs.fstatSync(fd).ino) return
  throw Object.assign(new Error('another has the name'), { code: 'ERR_NAME_TAKEN' })
}

export function copyOracle(
  from: number,
  to: number,
  range: { readonly from: number; readonly at: number; readonly length: number },
): number {
  const isSame = fs.fstatSync(from).ino === fs.fstatSync(to).ino
  if (isSame && Math.abs(range.from - range.at) < range.length) {
    throw Object.assign(new Error('they overlap'), { code: 'RangeError' })
  }
  // What can't be written is to fail though there is nothing to write.
  fs.writeSync(to, new Uint8Array(0), 0, 0, range.at)
  const bytes = readOracle(from, range.from, range.length)
  if (bytes.length === 0) return 0
  return fs.writeSync(to, bytes, 0, bytes.length, range.at)
}

export function replaceOracle(path: string, data: Uint8Array): void {
  let target = path
  for (let count = 0; ; count++) {
    if (count > 40) throw Object.assign(new Error('a circle'), { code: 'ELOOP' })
    const status = fs.lstatSync(target, { throwIfNoEntry: false })
    if (status?.isDirectory()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' })
    if (!status?.isSymbolicLink()) break
    // By the kernel: join() would take `..` out by its letters, whatever is a link.
    target = `${fs.realpathSync.native(dirname(target))}/${fs.readlinkSync(target)}`
  }
  const temporary = `${target}.tmp`
  fs.writeFileSync(temporary, data)
  fs.renameSync(temporary, target)
}
