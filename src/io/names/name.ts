import type { Executor } from '../../executor/index.ts'
import type { Descriptor } from '../requests/descriptor.ts'
import { toAbsolute } from '../values/path.ts'

/** A name as operations get it: an absolute path, or one that begins at an open directory. */
export class Name {
  /** Where it begins; null for an absolute path. */
  readonly base: Descriptor | null
  /** What the kernel is told. */
  readonly path: string | Uint8Array
  /** What people are told. */
  readonly fullPath: string

  /** @internal */
  constructor(base: Descriptor | null, path: string | Uint8Array) {
    this.base = base
    this.path = path
    const text = typeof path === 'string' ? path : Buffer.from(path).toString()
    this.fullPath = base === null ? text : joinPath(base.path, text)
  }

  /** @throws {KernelError} `ENOENT` for a relative path where the working directory was removed. */
  static fromHere(executor: Executor, path: string): Name {
    return new Name(null, toAbsolute(executor, path))
  }

  static absolute(path: string): Name {
    return new Name(null, path)
  }

  /** @throws {RangeError} for an absolute path, which would begin elsewhere. */
  static within(base: Descriptor, path: string, action: string): Name {
    if (path.startsWith('/')) {
      throw new RangeError(
        `Cannot ${action} as a name in a directory must be relative: current value is '${path}'`,
      )
    }
    return new Name(base, path)
  }

  /** A name that a directory has told, which need not be UTF-8. */
  static listed(base: Descriptor, name: string | Uint8Array): Name {
    return new Name(base, name)
  }
}

/** The path of a name in a directory. */
export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`
}
