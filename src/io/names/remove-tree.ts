import type { Deadline, Executor } from '../../executor/index.ts'
import { EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } from '../../kernel/index.ts'
import { DirectoryReader, openDirectory, type RawEntry } from './directory-reader.ts'
import { Name } from './name.ts'
import { Unlink } from './name-operations.ts'

/** Removals under way at a time. */
const REMOVALS_MAX = 32
/** How often a directory that is not empty is listed again, as others may fill it meanwhile. */
const PASSES_MAX = 16

/**
 * Removes a file, or a directory with all that is in it; symbolic links are removed, not followed.
 *
 * Each directory is opened by its name in that above it, so that nobody who replaces one by a link leads
 * this astray. The names of a batch go at once, the directories among them one after the other: one descriptor and one batch
 * of names for each level, however wide it is.
 */
export async function removeTree(executor: Executor, name: Name, steps: Deadline): Promise<void> {
  const refusal = await unlink(executor, name, steps)
  if (refusal !== null) await removeDirectory(executor, name, steps, refusal)
}

/** Resolves with why not for what seems to be a directory; with null if it is removed. */
async function unlink(executor: Executor, name: Name, steps: Deadline): Promise<unknown> {
  try {
    await new Unlink(executor, name).start(steps.next())
    return null
  } catch (error) {
    // POSIX has EPERM for a directory, Linux EISDIR.
    const { errno } = error as { errno?: number }
    if (errno !== -EISDIR && errno !== -EPERM) throw error
    return error
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
        await removeBatch(executor, names, steps)
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

async function removeBatch(
  executor: Executor,
  names: readonly Name[],
  steps: Deadline,
): Promise<void> {
  const unlinking = names.map((name) => unlessGone(unlink(executor, name, steps)))
  const refusals = await settleAll(unlinking)
  for (const [index, refusal] of refusals.entries()) {
    if (refusal === null) continue
    await unlessGone(removeDirectory(executor, names[index]!, steps, refusal))
  }
}

/** Resolves with null where somebody else has removed it. */
async function unlessGone<T>(removing: Promise<T>): Promise<T | null> {
  try {
    return await removing
  } catch (error) {
    if ((error as { errno?: number }).errno !== -ENOENT) throw error
    return null
  }
}

/** Waits for all, and throws the first error: nothing is under way when it is over. */
async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises)
  return Promise.all(promises)
}
