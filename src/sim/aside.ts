import {
  type AsideCalls,
  type CallDone,
  type CopyRangeArgs,
  EAGAIN,
  EBADF,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  EOPNOTSUPP,
  EPERM,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  O_APPEND,
  O_PATH,
  O_RDWR,
  O_WRONLY,
} from '../kernel/index.ts'
import type { SimCore } from './core.ts'
import { ERRNO_OF, type SimErrorName } from './faults.ts'
import type { Inode } from './inode.ts'
import { OpenFile } from './open-file.ts'

const ACCESS_MODE = 3
const COPY_BYTES_MAX: number = 2 ** 20
/** How often a file system does not tell the type of an entry, as some never do. */
const UNKNOWN_PROBABILITY = 1 / 16
// ABI: struct linux_dirent64: inode, offset of the next, length, type, name.
const RECORD_BYTES = 19
const TYPES = { file: 8, directory: 4, link: 10, socket: 12 } as const

/** What native/aside.c does: each call takes the time of a disk. */
export class SimAside implements AsideCalls {
  readonly #core: SimCore

  constructor(core: SimCore) {
    this.#core = core
  }

  readDirectory(fd: number, target: Uint8Array, done: CallDone): number {
    return this.#call([fd], ['EIO'], done, (file) => {
      if (file.inode.kind !== 'directory') return -ENOTDIR
      return this.#list(file, target)
    })
  }

  readLink(fd: number, target: Uint8Array, done: CallDone): number {
    return this.#call([fd], ['EIO'], done, ({ inode }) => {
      // By a descriptor; by a name it would be EINVAL.
      if (inode.kind !== 'link') return -ENOENT
      const bytes = Buffer.from(inode.target).subarray(0, target.length)
      target.set(bytes)
      return bytes.length
    })
  }

  copyRange(args: CopyRangeArgs, done: CallDone): number {
    return this.#call([args.fromFd, args.toFd], ['EIO', 'ENOSPC'], done, (from, to) => {
      return this.#copy(from, to!, args)
    })
  }

  lock(fd: number, operation: number, done: CallDone): number {
    return this.#call([fd], [], done, (file) => lock(file, operation))
  }

  changeMode(fd: number, mode: number, done: CallDone): number {
    return this.#call([fd], ['EIO'], done, ({ inode, statusFlags }) => {
      if (statusFlags & O_PATH) return -EBADF
      inode.mode = mode & 0o7777
      return 0
    })
  }

  // There is one user, who owns everything.
  changeOwner(fd: number, userId: number, groupId: number, done: CallDone): number {
    const isKept = [userId, groupId].every((id) => id === 0 || id === -1)
    return this.#call([fd], [], done, () => (isKept ? 0 : -EPERM))
  }

  // As ext4 says.
  hintExtent(fd: number, _sizeBytes: number, done: CallDone): number {
    return this.#call([fd], [], done, () => -EOPNOTSUPP)
  }

  /** Runs `body` in a while, on files that stay open until then. */
  #call(
    fds: readonly number[],
    errors: readonly SimErrorName[],
    done: CallDone,
    body: (first: OpenFile, second?: OpenFile) => number,
  ): number {
    const { clock, threads, descriptors, options } = this.#core
    const descriptions = fds.map((fd) => descriptors.get(fd))
    if (descriptions.includes(null)) return -EBADF
    for (const description of descriptions) description!.hold()
    const [minNs, maxNs] = options.diskLatencyNs
    clock.schedule(this.#core.latencyNs(minNs, maxNs), () => {
      const [first, second] = descriptions
      const areFiles = descriptions.every((description) => description instanceof OpenFile)
      let result = areFiles ? this.#fault(errors) : -EINVAL
      if (result === 0) result = body(first as OpenFile, second as OpenFile | undefined)
      for (const description of descriptions) description!.release()
      threads.interrupt(0, () => done(result))
    })
    return 0
  }

  #fault(names: readonly SimErrorName[]): number {
    const { faults, prng } = this.#core
    for (const name of names) {
      const probability = faults.errors.get(name)
      if (probability !== undefined && prng.chance(probability)) return -ERRNO_OF[name]
    }
    return 0
  }

  #list(file: OpenFile, target: Uint8Array): number {
    const { entries, parent } = file.inode
    if (file.position === 0) file.names = ['.', '..', ...entries.keys()]
    let usedBytes = 0
    for (; file.position < file.names.length; file.position++) {
      const name = file.names[file.position]!
      const inode = name === '.' ? file.inode : name === '..' ? parent : entries.get(name)
      // Removed since.
      if (!inode) continue
      const recordBytes = this.#writeRecord(target.subarray(usedBytes), name, inode)
      if (recordBytes === 0) return usedBytes > 0 ? usedBytes : -EINVAL
      usedBytes += recordBytes
    }
    return usedBytes
  }

  /** Returns its length, or 0 if there is no room for it. */
  #writeRecord(target: Uint8Array, name: string, inode: Inode): number {
    const bytes = Buffer.from(name)
    const recordBytes = Math.ceil((RECORD_BYTES + bytes.length + 1) / 8) * 8
    if (recordBytes > target.length) return 0
    target.fill(0, 0, recordBytes)
    const fields = new DataView(target.buffer, target.byteOffset, recordBytes)
    fields.setUint32(0, inode.number, true)
    fields.setUint16(16, recordBytes, true)
    const isKnown = !this.#core.prng.chance(UNKNOWN_PROBABILITY)
    fields.setUint8(18, isKnown ? TYPES[inode.kind] : 0)
    target.set(bytes, RECORD_BYTES)
    return recordBytes
  }

  #copy(from: OpenFile, to: OpenFile, args: CopyRangeArgs): number {
    const { fromBytes, toBytes, lengthBytes } = args
    const access = to.statusFlags & ACCESS_MODE
    if ((from.statusFlags & ACCESS_MODE) === O_WRONLY) return -EBADF
    if (access !== O_WRONLY && access !== O_RDWR) return -EBADF
    if (to.statusFlags & O_APPEND) return -EBADF
    if (from.inode.kind === 'directory' || to.inode.kind === 'directory') return -EISDIR
    if (fromBytes < 0 || toBytes < 0 || lengthBytes < 0) return -EINVAL
    const isSame = from.inode === to.inode
    if (isSame && Math.abs(fromBytes - toBytes) < lengthBytes) return -EINVAL
    const wanted = Math.min(lengthBytes, COPY_BYTES_MAX)
    const piece = new Uint8Array(this.#core.shorten(wanted, this.#core.faults.shortWrite))
    const readBytes = from.inode.read(fromBytes, piece)
    if (readBytes === 0) return 0
    to.inode.modifiedNs = this.#core.clock.nowNs
    return to.inode.write(toBytes, piece.subarray(0, readBytes))
  }
}

function lock(file: OpenFile, operation: number): number {
  const { lockers } = file.inode
  if (operation === LOCK_UN) {
    lockers.delete(file)
    return 0
  }
  // Nobody would wake a call that waits.
  if (!(operation & LOCK_NB)) return -EINVAL
  const isExclusive = (operation & LOCK_EX) !== 0
  if (!isExclusive && !(operation & LOCK_SH)) return -EINVAL
  for (const [other, kind] of lockers) {
    if (other === file) continue
    if (isExclusive || kind === 'exclusive') {
      // A conversion that fails has given up what there was.
      lockers.delete(file)
      return -EAGAIN
    }
  }
  lockers.set(file, isExclusive ? 'exclusive' : 'shared')
  return 0
}
