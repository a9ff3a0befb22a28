/** The processes that publish their counters, and what these are at a moment. */
import { readFileSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { RuntimeError } from '../../base/index.ts'
import { type ExecutorSample, takeSamples } from '../../executor/index.ts'
import {
  clearPublished,
  hostNowNs,
  listPublished,
  PUBLISHED_FOLDER,
  PublishedDirectory,
} from '../../kernel/index.ts'

/** Why a process can't be shown, as a sentence. */
export class ProcessError extends Error {}

/** One executor at a moment. */
export interface SeenExecutor extends ExecutorSample {
  /** Tells it from all others that its process has or had. */
  readonly key: string
}

/** A process at a moment. */
export interface ProcessSample {
  readonly nowNs: number
  readonly executors: readonly SeenExecutor[]
  /** How many executors are not among them, as there was no room for their counters. */
  readonly hiddenCount: number
}

/** One process; copies of percore that it has publish a directory each. */
export class SeenProcess {
  readonly pid: number
  readonly uid: number
  /** Whether its number is that of another namespace. */
  readonly isForeign: boolean
  readonly command: string
  readonly #directories: readonly PublishedDirectory[]

  constructor(directories: readonly PublishedDirectory[]) {
    const [first] = directories
    this.pid = first!.pid
    this.uid = first!.uid
    this.isForeign = first!.isForeign
    this.command = this.isForeign ? '(in a container)' : readCommand(this.pid)
    this.#directories = directories
  }

  get hasEnded(): boolean {
    // Nobody but a lock tells that one of another namespace was killed: its file goes then.
    if (this.isForeign) clearPublished(dirname(this.#directories[0]!.path))
    return this.#directories.every((directory) => directory.hasEnded)
  }

  sample(): ProcessSample {
    for (const directory of this.#directories) directory.refresh()
    const nowNs = hostNowNs()
    return {
      nowNs,
      executors: this.#directories.flatMap((directory, copy) =>
        takeSamples(directory, (index) => refreshedAtNs(directory, index)).map((sample) => ({
          ...sample,
          key: `${copy}/${sample.id}`,
        })),
      ),
      hiddenCount: this.#directories.reduce((sum, { hiddenCount }) => sum + hiddenCount, 0),
    }
  }

  close(): void {
    for (const directory of this.#directories) directory.close()
  }
}

/** Reads a slot again, after the clock: what differs from before was being written, and the sample is taken anew. */
function refreshedAtNs(directory: PublishedDirectory, index: number): number {
  const nowNs = hostNowNs()
  directory.refreshSlot(index)
  return nowNs
}

/** Every process whose counters this user may see, by number; those of other users and versions are left out. */
export function findProcesses(folder: string = PUBLISHED_FOLDER): SeenProcess[] {
  clearPublished(folder)
  const byProcess = new Map<string, PublishedDirectory[]>()
  for (const path of listPublished(folder)) {
    const directory = tryOpen(path)
    if (directory === null) continue
    const { pid, uid, isForeign } = directory
    const key = `${isForeign} ${uid} ${pid} ${basename(path).split('-')[2]}`
    byProcess.set(key, [...(byProcess.get(key) ?? []), directory])
  }
  const all = Array.from(byProcess.values(), (directories) => new SeenProcess(directories))
  return all.sort((a, b) => Number(a.isForeign) - Number(b.isForeign) || a.pid - b.pid)
}

/**
 * The process of a number; of this namespace rather than of another.
 *
 * @throws {ProcessError}
 */
export function findProcess(pid: number, folder: string = PUBLISHED_FOLDER): SeenProcess {
  const all = findProcesses(folder)
  const found = all.find((process) => process.pid === pid)
  for (const process of all) if (process !== found) process.close()
  if (found !== undefined) return found
  throw new ProcessError(explainMissing(pid, folder))
}

function tryOpen(path: string): PublishedDirectory | null {
  try {
    const directory = new PublishedDirectory(path)
    if (!directory.hasEnded) return directory
    directory.close()
  } catch {
    // It has just ended, is another user's or of another version: whoever asks for it by number is told.
  }
  return null
}

function explainMissing(pid: number, folder: string): string {
  const path = listPublished(folder).find((name) => basename(name).startsWith(`percore-${pid}-`))
  const reason = path === undefined ? null : reasonOf(path)
  if (reason !== null) return `Cannot show process ${pid} as ${reason}`
  if (!isRunning(pid)) return `Cannot show process ${pid} as it must be running: it is not`
  return (
    `Cannot show process ${pid} as it must have an executor, and publish its counters in ${folder}: it does not, ` +
    'or was started with PERCORE_METRICS_FILE=off, or found no room there'
  )
}

/** Why a directory can't be read; null if it can, or is gone. */
function reasonOf(path: string): string | null {
  try {
    new PublishedDirectory(path).close()
    return null
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') {
      return `its user must be this one, or this one root: it is ${ownerOf(path)}`
    }
    // Its sentence begins with what was tried.
    if (error instanceof RuntimeError) return message.slice(message.indexOf(' as ') + 4)
    return null
  }
}

function ownerOf(path: string): string {
  try {
    return `that of number ${statSync(path).uid}`
  } catch {
    return 'another'
  }
}

function isRunning(pid: number): boolean {
  try {
    statSync(`/proc/${pid}`)
    return true
  } catch {
    return false
  }
}

function readCommand(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim()
  } catch {
    return ''
  }
}
