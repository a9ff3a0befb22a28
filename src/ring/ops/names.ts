import { assert } from '../../base/index.ts'
import {
  IORING_OP_LINKAT,
  IORING_OP_MKDIRAT,
  IORING_OP_RENAMEAT,
  IORING_OP_SYMLINKAT,
  IORING_OP_UNLINKAT,
} from '../../kernel/index.ts'
import { encodeEntry, type SqeWords } from '../sqe.ts'

/** A name in a directory. */
export interface NameRef {
  /** What a relative path starts from; `AT_FDCWD` for the working directory. */
  readonly directoryFd: number
  /** Address of the path, ended by NUL; it must stay until the operation ends. */
  readonly pathAddress: number
}

/** Arguments of {@link encodeRename} and {@link encodeLink}. */
export interface TwoNamesArgs {
  readonly from: NameRef
  readonly to: NameRef
  /** `RENAME_…`, or `AT_…` for a link. */
  readonly flags: number
}

/**
 * Renames a file, like `renameat2(2)`. Linux 5.11.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_renameat(3)
 */
export function encodeRename(sqe: SqeWords, base: number, args: TwoNamesArgs): void {
  encodeTwoNames(sqe, base, IORING_OP_RENAMEAT, args)
}

/**
 * Gives a file another name, like `linkat(2)`. Linux 5.15.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_linkat(3)
 */
export function encodeLink(sqe: SqeWords, base: number, args: TwoNamesArgs): void {
  encodeTwoNames(sqe, base, IORING_OP_LINKAT, args)
}

function encodeTwoNames(sqe: SqeWords, base: number, opcode: number, args: TwoNamesArgs): void {
  const { from, to, flags } = args
  const directory = to.directoryFd
  assert(from.pathAddress > 0, 'a name that is taken is in memory')
  assert(to.pathAddress > 0, 'a name that is given is in memory')
  encodeEntry(
    sqe,
    base,
    opcode,
    from.directoryFd,
    to.pathAddress,
    from.pathAddress,
    directory,
    flags,
  )
}

/** Arguments of {@link encodeUnlink}. */
export interface UnlinkArgs {
  readonly name: NameRef
  /** `AT_REMOVEDIR`, or 0 for a file. */
  readonly flags: number
}

/**
 * Removes a name, like `unlinkat(2)`. Linux 5.11.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_unlinkat(3)
 */
export function encodeUnlink(sqe: SqeWords, base: number, args: UnlinkArgs): void {
  const { name, flags } = args
  assert(name.pathAddress > 0, 'a name that is removed is in memory')
  encodeEntry(sqe, base, IORING_OP_UNLINKAT, name.directoryFd, 0, name.pathAddress, 0, flags)
}

/** Arguments of {@link encodeMakeDirectory}. */
export interface MakeDirectoryArgs {
  readonly name: NameRef
  /** Permissions, before the process's mask. */
  readonly mode: number
}

/**
 * Makes a directory, like `mkdirat(2)`. Linux 5.15.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_mkdirat(3)
 */
export function encodeMakeDirectory(sqe: SqeWords, base: number, args: MakeDirectoryArgs): void {
  const { name, mode } = args
  assert(name.pathAddress > 0, 'a name that is made is in memory')
  encodeEntry(sqe, base, IORING_OP_MKDIRAT, name.directoryFd, 0, name.pathAddress, mode, 0)
}

/** Arguments of {@link encodeSymbolicLink}. */
export interface SymbolicLinkArgs {
  /** Address of what the link says, ended by NUL. */
  readonly targetAddress: number
  readonly name: NameRef
}

/**
 * Makes a symbolic link, like `symlinkat(2)`. Linux 5.15.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_symlinkat(3)
 */
export function encodeSymbolicLink(sqe: SqeWords, base: number, args: SymbolicLinkArgs): void {
  const { targetAddress, name } = args
  const { directoryFd, pathAddress } = name
  assert(targetAddress > 0, 'a link says something')
  assert(pathAddress > 0, 'a name that is made is in memory')
  encodeEntry(sqe, base, IORING_OP_SYMLINKAT, directoryFd, pathAddress, targetAddress, 0, 0)
}
