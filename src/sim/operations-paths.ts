import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
  EPERM,
  IORING_OP_CLOSE,
  IORING_OP_LINKAT,
  IORING_OP_MKDIRAT,
  IORING_OP_OPENAT,
  IORING_OP_OPENAT2,
  IORING_OP_RENAMEAT,
  IORING_OP_STATX,
  IORING_OP_SYMLINKAT,
  IORING_OP_UNLINKAT,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  RENAME_NOREPLACE,
  STATX_BYTES,
} from '../kernel/index.ts'
import type { OperationEntry, SimCore, SimOperation } from './core.ts'
import type { SimErrorName } from './faults.ts'
import type { PathEnd } from './file-system.ts'
import type { Inode } from './inode.ts'
import { OpenFile } from './open-file.ts'
import type { SimRequest } from './request.ts'
import { writeStatx } from './statx.ts'
import { readWide } from './vectors.ts'

const ENXIO = 6
const TMPFILE_BIT: number = O_TMPFILE & ~O_DIRECTORY

/** Opcodes on names, and on descriptors as such. */
export const PATH_OPERATIONS: readonly OperationEntry[] = [
  [IORING_OP_OPENAT, onPath('OPENAT', ['EMFILE', 'ENOMEM', 'EINTR'], openAt)],
  [IORING_OP_OPENAT2, onPath('OPENAT2', ['EMFILE', 'ENOMEM', 'EINTR'], openAt2)],
  [IORING_OP_CLOSE, { ...onPath('CLOSE', [], close), kind: 'inline' }],
  [IORING_OP_STATX, onPath('STATX', ['EIO', 'ENOMEM'], statx)],
  [IORING_OP_RENAMEAT, onPath('RENAMEAT', ['EIO', 'ENOSPC'], renameAt)],
  [IORING_OP_UNLINKAT, onPath('UNLINKAT', ['EIO'], unlinkAt)],
  [IORING_OP_MKDIRAT, onPath('MKDIRAT', ['EIO', 'ENOSPC'], makeDirectoryAt)],
  [IORING_OP_SYMLINKAT, onPath('SYMLINKAT', ['EIO', 'ENOSPC'], symbolicLinkAt)],
  [IORING_OP_LINKAT, onPath('LINKAT', ['EIO', 'ENOSPC'], linkAt)],
]

function onPath(
  name: string,
  errors: readonly SimErrorName[],
  attempt: (core: SimCore, request: SimRequest) => number,
): SimOperation {
  return { name, kind: 'disk', needsFile: false, errors, attempt }
}

function openAt(core: SimCore, request: SimRequest): number {
  return open(core, request, request.opFlags, request.length)
}

// ABI: struct open_how is flags, mode and resolve; the last restricts, and everything is allowed here.
function openAt2(core: SimCore, request: SimRequest): number {
  const how = core.memory.view(request.offset, request.length)
  if (how === null || how.length < 24) return how === null ? -EFAULT : -EINVAL
  const fields = new DataView(how.buffer, how.byteOffset, how.length)
  return open(core, request, readWide(fields, 0), readWide(fields, 8))
}

function open(core: SimCore, request: SimRequest, flags: number, mode: number): number {
  const path = core.memory.text(request.address)
  if (path === null) return -EFAULT
  const isExclusive = (flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0
  const isFollowing = !(flags & O_NOFOLLOW) && !isExclusive
  const end = find(core, request.fd, path, isFollowing)
  if (typeof end === 'number') return end
  const inode = openInode(core, end, flags, mode)
  if (typeof inode === 'number') return inode
  const isWritable = (flags & (O_WRONLY | O_RDWR)) !== 0
  if (flags & O_TRUNC && isWritable && inode.kind === 'file') inode.truncate(0)
  const file = new OpenFile(core.files, inode, flags, path)
  const result = core.install(request, file)
  if (result < 0) {
    // Nobody has it: held and released, it disposes of itself.
    file.hold()
    file.release()
  }
  return result
}

function openInode(core: SimCore, end: PathEnd, flags: number, mode: number): Inode | number {
  const { inode } = end
  if (flags & TMPFILE_BIT) {
    if (inode === null) return -ENOENT
    if (inode.kind !== 'directory') return -ENOTDIR
    const temporary = core.files.create('file', mode & 0o7777)
    temporary.isLinkable = !(flags & O_EXCL)
    return temporary
  }
  if (inode === null) {
    if (!(flags & O_CREAT)) return -ENOENT
    const created = core.files.create('file', mode & 0o7777)
    core.files.link(end.directory, end.name, created)
    return created
  }
  if (flags & O_CREAT && flags & O_EXCL) return -EEXIST
  if (inode.kind === 'link') return flags & O_PATH ? inode : -ELOOP
  if (inode.kind === 'socket') return -ENXIO
  if (flags & O_DIRECTORY && inode.kind !== 'directory') return -ENOTDIR
  const isWritable = (flags & (O_WRONLY | O_RDWR)) !== 0
  if (inode.kind === 'directory' && (isWritable || flags & O_CREAT)) return -EISDIR
  return inode
}

function close(core: SimCore, request: SimRequest): number {
  if (request.fileIndex === 0) return core.descriptors.close(request.fd)
  if (request.fd !== 0) return -EINVAL
  const { files } = request.ring
  const slot = request.fileIndex - 1
  const description = files?.[slot] ?? null
  if (description === null) return -EBADF
  files![slot] = null
  description.release()
  return 0
}

function statx(core: SimCore, request: SimRequest): number {
  const path = core.memory.text(request.address)
  const target = core.memory.view(request.offset, STATX_BYTES)
  if (path === null || target === null) return -EFAULT
  const inode = statxInode(core, request, path)
  if (typeof inode === 'number') return inode
  writeStatx(target, inode, core.options)
  return 0
}

function statxInode(core: SimCore, request: SimRequest, path: string): Inode | number {
  if (path === '' && request.opFlags & AT_EMPTY_PATH) {
    if (request.fd === AT_FDCWD) return core.files.root
    const file = core.descriptors.get(request.fd)
    if (file === null) return -EBADF
    return file instanceof OpenFile ? file.inode : -EINVAL
  }
  const end = find(core, request.fd, path, !(request.opFlags & AT_SYMLINK_NOFOLLOW))
  if (typeof end === 'number') return end
  return end.inode ?? -ENOENT
}

function renameAt(core: SimCore, request: SimRequest): number {
  const from = fromEnd(core, request, false)
  if (typeof from === 'number') return from
  const to = toEnd(core, request)
  if (typeof to === 'number') return to
  return core.files.rename(from, to, !(request.opFlags & RENAME_NOREPLACE))
}

function unlinkAt(core: SimCore, request: SimRequest): number {
  const path = core.memory.text(request.address)
  if (path === null) return -EFAULT
  const end = find(core, request.fd, path, false)
  if (typeof end === 'number') return end
  return core.files.remove(end, (request.opFlags & AT_REMOVEDIR) !== 0)
}

function makeDirectoryAt(core: SimCore, request: SimRequest): number {
  const path = core.memory.text(request.address)
  if (path === null) return -EFAULT
  const end = find(core, request.fd, path.replace(/\/+$/, '') || '/', false)
  if (typeof end === 'number') return end
  if (end.inode !== null) return -EEXIST
  const directory = core.files.create('directory', request.length & 0o7777)
  core.files.link(end.directory, end.name, directory)
  return 0
}

function symbolicLinkAt(core: SimCore, request: SimRequest): number {
  const target = core.memory.text(request.address)
  const path = core.memory.text(request.offset)
  if (target === null || path === null) return -EFAULT
  const end = find(core, request.fd, path, false)
  if (typeof end === 'number') return end
  if (target === '') return -ENOENT
  if (end.inode !== null) return -EEXIST
  const link = core.files.create('link', 0o777)
  link.target = target
  link.sizeBytes = Buffer.byteLength(target)
  core.files.link(end.directory, end.name, link)
  return 0
}

function linkAt(core: SimCore, request: SimRequest): number {
  const from = fromEnd(core, request, (request.opFlags & AT_SYMLINK_FOLLOW) !== 0)
  if (typeof from === 'number') return from
  // Whatever the second path is: unlike rename(2), which walks both first.
  if (from.inode === null) return -ENOENT
  const to = toEnd(core, request)
  if (typeof to === 'number') return to
  if (to.inode !== null) return -EEXIST
  if (from.inode.kind === 'directory') return -EPERM
  if (from.inode.linkCount === 0 && !from.inode.isLinkable) return -ENOENT
  from.inode.isLinkable = false
  core.files.link(to.directory, to.name, from.inode)
  return 0
}

function fromEnd(core: SimCore, request: SimRequest, isFollowing: boolean): PathEnd | number {
  const path = core.memory.text(request.address)
  if (path === null) return -EFAULT
  // An open file by its descriptor: how an O_TMPFILE gets its name.
  if (path === '' && request.opFlags & AT_EMPTY_PATH) {
    const file = core.descriptors.get(request.fd)
    if (!(file instanceof OpenFile)) return -EBADF
    return { directory: core.files.root, name: '', inode: file.inode }
  }
  const descriptor = /^\/proc\/self\/fd\/(\d+)$/.exec(path)
  if (descriptor !== null && isFollowing) {
    const file = core.descriptors.get(Number(descriptor[1]))
    if (!(file instanceof OpenFile)) return -ENOENT
    return { directory: core.files.root, name: '', inode: file.inode }
  }
  return find(core, request.fd, path, isFollowing)
}

/** ABI: of two paths the second is where the offset is, its directory where the length is. */
function toEnd(core: SimCore, request: SimRequest): PathEnd | number {
  const path = core.memory.text(request.offset)
  return path === null ? -EFAULT : find(core, request.length | 0, path, false)
}

function find(core: SimCore, fd: number, path: string, isFollowing: boolean): PathEnd | number {
  if (path.startsWith('/') || fd === AT_FDCWD) {
    return core.files.resolve(core.files.root, path, isFollowing)
  }
  const directory = core.descriptors.get(fd)
  if (directory === null) return -EBADF
  if (!(directory instanceof OpenFile)) return -ENOTDIR
  return core.files.resolve(directory.inode, path, isFollowing)
}
