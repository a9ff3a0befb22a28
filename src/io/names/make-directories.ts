import { dirname } from 'node:path/posix'
import type { Deadline, Executor } from '../../executor/index.ts'
import { EEXIST, ENOENT } from '../../kernel/index.ts'
import { Sync } from '../requests/file-operations.ts'
import { isDirectory } from '../values/status.ts'
import { openDirectory } from './directory-reader.ts'
import { LookUp } from './look-up.ts'
import { Name } from './name.ts'
import { MakeDirectory } from './name-operations.ts'

/** How directories are made. */
export interface MakeRequest {
  readonly executor: Executor
  readonly mode: number
  /** Whether the directory above is synced. */
  readonly isDurable: boolean
  /** Whether one that is there is taken. */
  readonly takesExisting: boolean
  readonly steps: Deadline
}

/** Makes one directory. */
export async function makeDirectory(name: Name, request: MakeRequest): Promise<void> {
  await makeUnlessThere(name, request, request.takesExisting)
  if (request.isDurable) await syncDirectory(parentOf(name), request)
}

/** Makes a directory and those above it that are missing. */
export async function makeDirectories(name: Name, request: MakeRequest): Promise<void> {
  const { takesExisting, isDurable } = request
  const missing: Name[] = []
  let next = name
  let isMade = await makeIfPossible(next, request, takesExisting)
  while (isMade === null) {
    missing.push(next)
    next = parentOf(next)
    isMade = await makeIfPossible(next, request, true)
  }
  // Also where the last was there: whoever made it may not have come to that.
  if (isDurable && (isMade || next === name)) await syncDirectory(parentOf(next), request)
  while (missing.length > 0) {
    next = missing.pop()!
    await makeUnlessThere(next, request, takesExisting || next !== name)
    if (isDurable) await syncDirectory(parentOf(next), request)
  }
}

/** Whether it was made, rather than there; null if that above it is missing. */
async function makeIfPossible(
  name: Name,
  request: MakeRequest,
  takesExisting: boolean,
): Promise<boolean | null> {
  try {
    return await makeUnlessThere(name, request, takesExisting)
  } catch (error) {
    const isTop = parentOf(name).path === name.path
    if ((error as { errno?: number }).errno !== -ENOENT || isTop) throw error
    return null
  }
}

/** Whether it was made, rather than there. */
async function makeUnlessThere(
  name: Name,
  request: MakeRequest,
  takesExisting: boolean,
): Promise<boolean> {
  const { executor, mode, steps } = request
  try {
    await new MakeDirectory(executor, name, mode).start(steps.next())
    return true
  } catch (error) {
    if (!takesExisting || (error as { errno?: number }).errno !== -EEXIST) throw error
    const look = { action: 'make a directory', syscall: 'mkdir', flags: 0, decode: isDirectory }
    const isThere = await new LookUp(executor, name, look).start(steps.next())
    // Of something else the error is right.
    if (!isThere) throw error
    return false
  }
}

async function syncDirectory(name: Name, { executor, steps }: MakeRequest): Promise<void> {
  const directory = await openDirectory(executor, name, true, steps.next())
  try {
    await new Sync(directory, false).start(steps.next(), 'sync a directory')
  } finally {
    await directory.close()
  }
}

function parentOf(name: Name): Name {
  return new Name(name.base, dirname(name.path as string))
}
