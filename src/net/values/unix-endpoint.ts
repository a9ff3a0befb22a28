import { validateString, wrongType } from '../../base/index.ts'
import type { UnixAddress } from './address.ts'
import { UNIX_NAME_BYTES_MAX } from './sockaddr.ts'

/** Where a Unix socket is found: a path, or an abstract name. The address of a listener can be given as it is. */
export interface UnixEndpoint {
  /** The file that names it; at most 107 bytes, as the kernel has no room for more. */
  readonly path?: string | null
  /** Its name in the abstract name space of Linux, without the NUL before it: no file, and gone with the socket. */
  readonly abstractName?: string | null
  readonly family?: 'unix'
}

/**
 * The address that options give.
 *
 * @throws {TypeError | RangeError} unless there is one of path and abstract name, of a length that the kernel has room for.
 */
export function readUnixEndpoint(
  action: string,
  { path = null, abstractName = null, family = 'unix' }: UnixEndpoint,
): UnixAddress {
  if (family !== 'unix') throw wrongType(action, 'family', "'unix'", family)
  if (path === null) validateName(action, 'abstractName', abstractName)
  else validateName(action, 'path', path)
  if (path !== null && abstractName !== null) {
    throw new TypeError(
      `Cannot ${action} as there must be one of path and abstractName: both are given`,
    )
  }
  return { family, path, abstractName }
}

function validateName(action: string, name: string, value: unknown): void {
  if (value === null) {
    throw new TypeError(
      `Cannot ${action} as there must be a path or an abstractName: none is given`,
    )
  }
  validateString(action, name, value)
  const lengthBytes = Buffer.byteLength(value)
  if (lengthBytes > 0 && lengthBytes <= UNIX_NAME_BYTES_MAX) return
  throw new RangeError(
    `Cannot ${action} as ${name} must have from 1 to ${UNIX_NAME_BYTES_MAX} bytes: current value has ${lengthBytes}`,
  )
}
