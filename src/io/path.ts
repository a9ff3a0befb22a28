import { fileURLToPath } from 'node:url'
import { isUrl, validateString, wrongType } from '../base/index.ts'
import type { Executor } from '../executor/index.ts'
import type { Lease } from '../memory/index.ts'

/** The name of a file: a path, or a `file:` URL. */
export type FilePath = string | URL

/**
 * The path that a file is named by.
 *
 * @throws {TypeError} unless it is a string without NUL, or a `file:` URL.
 */
export function toPath(action: string, name: string, path: FilePath): string {
  if (isUrl(path)) return fileURLToPath(path.href)
  if (typeof path !== 'string') throw wrongType(action, name, 'a string or a file: URL', path)
  validateString(action, name, path)
  return path
}

/** A path for the kernel: UTF-8, ended by NUL. Released when the operation that uses it has ended. */
export function leasePath(executor: Executor, path: string): Lease {
  const lengthBytes = Buffer.byteLength(path)
  const buffer = executor.reactor.memory.allocate(lengthBytes + 1)
  const bytes = buffer.bytes
  new TextEncoder().encodeInto(path, bytes)
  bytes[lengthBytes] = 0
  return buffer
}
