export type { Lease } from '../memory/index.ts'
export type { AdviseOptions, FileAdvice } from './advise.ts'
export { BaseFile } from './base-file.ts'
export { BufferedFile } from './buffered-file.ts'
export type { CopyOptions } from './copy-range.ts'
export type { TransferStats } from './descriptor.ts'
export { DirectFile, type DirectOpenOptions } from './direct-file.ts'
export {
  Directory,
  type DirectoryCreateOptions,
  type DirectoryOpenOptions,
  type ToDirectoryOptions,
} from './directory.ts'
export { DirectoryEntries, type DirectoryEntry } from './directory-entries.ts'
export { FileLock, type LockOptions } from './file-lock.ts'
export { FileReader, type FileReaderOptions } from './file-reader.ts'
export type { FileDetachOptions, FileTicket, FileTicketOptions } from './file-ticket.ts'
export { FileWriter, type FileWriterOptions } from './file-writer.ts'
export {
  type ImmutableBuildOptions,
  ImmutableFile,
  ImmutableFileSink,
  type ImmutableOpenOptions,
} from './immutable-file.ts'
export type { ByteRange } from './merge-ranges.ts'
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
} from './name-functions.ts'
export type { MakeDirectoryOptions, RenameOptions, StatOptions } from './names.ts'
export type { OpenOptions } from './options.ts'
export type { FilePath } from './path.ts'
export type { PollMode } from './polling.ts'
export { RangeRead } from './range-read.ts'
export { ReadMany } from './read-many.ts'
export type { ReadManyOptions } from './read-many-options.ts'
export { type ReplaceFileOptions, replaceFile } from './replace-file.ts'
export type { AllocateOptions, ZeroOptions } from './space.ts'
export type { SpliceOptions } from './splice.ts'
export type { FileIdentity, FileKind, FileStatus } from './status.ts'
export { Stdin, stdin } from './stdin.ts'
