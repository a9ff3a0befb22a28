import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readlinkSync, realpathSync, rmSync, statfsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { O_CREAT, O_DIRECT, O_EXCL, O_RDWR, O_TMPFILE } from '../../kernel/index.ts'
import { readText } from './read.ts'

/** Where a folder is kept. */
export interface Mount {
  /** The folder, without symbolic links. */
  readonly folder: string
  readonly mountPoint: string
  /** `ext4`, `overlay`; `unknown` where /proc does not say. */
  readonly type: string
  /** What is mounted: `/dev/vda`. */
  readonly source: string
  /** `major:minor`, as in /sys/dev/block. */
  readonly device: string
}

/** File systems in memory: what they take as direct I/O reaches no device. */
const IN_MEMORY = ['tmpfs', 'ramfs', 'devtmpfs', 'hugetlbfs']

/** The mount that holds a folder. */
export function findMount(path: string): Mount {
  const folder = withoutLinks(path)
  let found: Mount = { folder, mountPoint: '/', type: 'unknown', source: 'unknown', device: '' }
  for (const line of (readText('/proc/self/mountinfo') ?? '').split('\n')) {
    const mount = parseMount(folder, line)
    // The last of equals is mounted over the others.
    if (mount !== undefined && mount.mountPoint.length >= found.mountPoint.length) found = mount
  }
  return found
}

// A folder can be ours though those above it are not: then its links can't be followed.
function withoutLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}

export function isInMemory(mount: Mount): boolean {
  return IN_MEMORY.includes(mount.type)
}

/** Bytes that a user may still write there; Infinity where there is no limit, as in ramfs. */
export function freeBytes(path: string): number {
  const { bavail, blocks, bsize } = statfsSync(path)
  return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize
}

/** The error code with which direct I/O is refused in a folder, or null; leaves no file there. */
export function refusalOfDirect(folder: string): string | null {
  const refusal = tryOpen(() => openSync(folder, O_TMPFILE | O_RDWR | O_DIRECT, 0o600))
  // File systems without nameless files answer so; they may have direct I/O all the same.
  if (refusal !== 'EOPNOTSUPP' && refusal !== 'EISDIR') return refusal
  // Not the process's number, which two containers on one volume may share.
  const path = join(folder, `.percore-${randomBytes(8).toString('hex')}`)
  try {
    return tryOpen(() => openSync(path, O_CREAT | O_EXCL | O_RDWR | O_DIRECT, 0o600))
  } finally {
    rmSync(path, { force: true })
  }
}

/** The folder of /sys that describes a block device's queue, or undefined if there is none. */
export function findQueue(device: string): { name: string; folder: string } | undefined {
  try {
    const target = join('/sys/dev/block', readlinkSync(`/sys/dev/block/${device}`))
    // A partition has the queue of its disk.
    const disk = readText(join(target, 'partition')) === undefined ? target : dirname(target)
    return { name: disk.slice(disk.lastIndexOf('/') + 1), folder: join(disk, 'queue') }
  } catch {
    return undefined
  }
}

function tryOpen(open: () => number): string | null {
  try {
    closeSync(open())
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

/** `id parent major:minor root mount-point options … - type source options`, with octal escapes. */
function parseMount(folder: string, line: string): Mount | undefined {
  const [before = '', after] = line.split(' - ')
  if (after === undefined) return undefined
  const [, , device = '', , mountPoint = ''] = before.split(' ').map(unescapeOctal)
  const [type = 'unknown', source = 'unknown'] = after.split(' ').map(unescapeOctal)
  const prefix = mountPoint.endsWith('/') ? mountPoint : `${mountPoint}/`
  if (!`${folder}/`.startsWith(prefix)) return undefined
  return { folder, mountPoint, type, source, device }
}

function unescapeOctal(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)))
}
