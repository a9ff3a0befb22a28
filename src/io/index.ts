export { OwnedDescriptor } from '../executor/index.ts'
export type { Lease } from '../memory/index.ts'
export { BaseFile } from './base-file.ts'
export { BufferedFile } from './buffered-file.ts'
export type { ByteRange } from './bulk/merge-ranges.ts'
export { RangeRead } from './bulk/range-read.ts'
export { ReadMany } from './bulk/read-many.ts'
export type { ReadManyOptions } from './bulk/read-many-options.ts'
export type { PollMode } from './devices/polling.ts'
export { DirectFile, type DirectOpenOptions } from './direct-file.ts'
export type { FileDetachOptions, FileTicket, FileTicketOptions } from './file-ticket.ts'
export {
  type ImmutableBuildOptions,
  ImmutableFile,
  ImmutableFileSink,
  type ImmutableOpenOptions,
} from './immutable-file.ts'
export {
  Directory,
  type DirectoryCreateOptions,
  type DirectoryOpenOptions,
  type ToDirectoryOptions,
} from './names/directory.ts'
export { DirectoryEntries, type DirectoryEntry } from './names/directory-entries.ts'
export {
  link,
  makeDirectory,
  readLink,
  remove,
  removeDirectory,
  removeTree,
  rename,
  stat,
  symbolicLink,
} from './names/name-functions.ts'
export type { MakeDirectoryOptions, RenameOptions, StatOptions } from './names/names.ts'
export type { OpenOptions } from './options.ts'
export { type ReplaceFileOptions, replaceFile } from './replace-file.ts'
export type { AdviseOptions, FileAdvice } from './requests/advise.ts'
export type { CopyOptions } from './requests/copy-range.ts'
export type { TransferStats } from './requests/descriptor.ts'
export { FileLock, type LockOptions } from './requests/file-lock.ts'
export type { AllocateOptions, ZeroOptions } from './requests/space.ts'
export type { SpliceOptions } from './requests/splice.ts'
export { FileReader, type FileReaderOptions } from './streams/file-reader.ts'
export { FileWriter, type FileWriterOptions } from './streams/file-writer.ts'
export { Stdin, stdin } from './streams/stdin.ts'
export type { FilePath } from './values/path.ts'
export type { FileIdentity, FileKind, FileStatus } from './values/status.ts'
