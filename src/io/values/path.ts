import { fileURLToPath } from 'node:url'
import { isUrl, validateString, wrongType } from '../../base/index.ts'
import type { Executor } from '../../executor/index.ts'
import { kernelError } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'

/** The name of a file: a path, or a `file:` URL. */
export type FilePath = string | URL

/**
 * The path that a file is named by.
 *
 * @throws {TypeError} unless it is a string without NUL, or a `file:` URL.
 */
export function toPath(action: string, name: string, path: FilePath): string {
  // A URL may hold a NUL too, as %00: the kernel would take what is before it for the name.
  const text = isUrl(path) ? fileURLToPath(path.href) : path
  if (typeof text !== 'string') throw wrongType(action, name, 'a string or a file: URL', path)
  validateString(action, name, text)
  return text
}

/**
 * The same name from wherever the process goes later. Nothing is resolved: `..` behind a symbolic link is
 * the kernel's to follow.
 *
 * @throws {KernelError} `ENOENT` for a relative path where the working directory was removed.
 */
export function toAbsolute(executor: Executor, path: string): string {
  // The empty path names nothing, which the kernel says best.
  if (path.startsWith('/') || path === '') return path
  const directory = executor.kernel.currentDirectory()
  if (typeof directory === 'number') throw kernelError(directory, { syscall: 'getcwd', path })
  return directory.endsWith('/') ? directory + path : `${directory}/${path}`
}

/** A path for the kernel: UTF-8, ended by NUL. Released when the operation that uses it has ended. */
export function leasePath(executor: Executor, path: string | Uint8Array): Lease {
  const lengthBytes = typeof path === 'string' ? Buffer.byteLength(path) : path.length
  const buffer = executor.memory.allocateOwn(lengthBytes + 1)
  const bytes = buffer.bytes
  if (typeof path === 'string') new TextEncoder().encodeInto(path, bytes)
  else bytes.set(path)
  bytes[lengthBytes] = 0
  return buffer
}
