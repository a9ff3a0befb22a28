import type { Deadline, Executor } from '../executor/index.ts'
import { EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } from '../kernel/index.ts'
import { DirectoryReader, openDirectory, type RawEntry } from './directory-reader.ts'
import { Name } from './name.ts'
import { Unlink } from './name-operations.ts'

/** Removals under way at a time, in each directory. */
const REMOVALS_MAX = 32
/** How often a directory that is not empty is listed again, as others may fill it meanwhile. */
const PASSES_MAX = 16

/**
 * Removes a file, or a directory with all that is in it; symbolic links are removed, not followed.
 *
 * Each directory is opened by its name in that above it, so that nobody who replaces one by a link leads
 * this astray. One descriptor and one batch of names for each level.
 */
export async function removeTree(executor: Executor, name: Name, steps: Deadline): Promise<void> {
  try {
    await new Unlink(executor, name).start(steps.next())
  } catch (error) {
    // POSIX has EPERM for a directory, Linux EISDIR.
    const { errno } = error as { errno?: number }
    if (errno !== -EISDIR && errno !== -EPERM) throw error
    await removeDirectory(executor, name, steps, error)
  }
}

async function removeDirectory(
  executor: Executor,
  name: Name,
  steps: Deadline,
  reason: unknown,
): Promise<void> {
  for (let pass = 1; ; pass++) {
    await removeEntries(executor, name, steps, reason)
    try {
      await new Unlink(executor, name, true).start(steps.next())
      return
    } catch (error) {
      if ((error as { errno?: number }).errno !== -ENOTEMPTY || pass === PASSES_MAX) throw error
    }
  }
}

async function removeEntries(
  executor: Executor,
  name: Name,
  steps: Deadline,
  reason: unknown,
): Promise<void> {
  const directory = await openDirectory(executor, name, false, steps.next()).catch((error) => {
    // What could not be removed is no directory: why not is the error to report.
    throw (error as { errno?: number }).errno === -ENOTDIR ? reason : error
  })
  try {
    const reader = new DirectoryReader(directory)
    while (await reader.read(steps.next())) {
      for (let some = takeSome(reader); some.length > 0; some = takeSome(reader)) {
        const names = some.map(({ name, bytes }) => Name.listed(directory, bytes ?? name))
        await settleAll(names.map((entry) => removeEntry(executor, entry, steps)))
      }
    }
  } finally {
    await directory.close()
  }
}

function takeSome(reader: DirectoryReader): RawEntry[] {
  const some: RawEntry[] = []
  while (some.length < REMOVALS_MAX) {
    const entry = reader.take()
    if (entry === null) break
    some.push(entry)
  }
  return some
}

async function removeEntry(executor: Executor, name: Name, steps: Deadline): Promise<void> {
  try {
    await removeTree(executor, name, steps)
  } catch (error) {
    // Somebody else has removed it.
    if ((error as { errno?: number }).errno !== -ENOENT) throw error
  }
}

/** Waits for all, and throws the first error: nothing is under way when it is over. */
async function settleAll(promises: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === 'rejected') throw result.reason
  }
}
