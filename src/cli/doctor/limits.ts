import { formatBytes } from '../../base/index.ts'
import type { ExecutorStats } from '../../executor/index.ts'
import type { Finding, Section } from './finding.ts'
import { readField } from './read.ts'

/** Fewer open files than this, and a busy server runs out of them. */
const FILES_MIN = 10_000

/** How locked memory is raised. */
export const MEMLOCK_CHANGE =
  'Raise the limit of locked memory: ulimit -l unlimited, LimitMEMLOCK=infinity in systemd, or docker run --ulimit memlock=-1'

/** Looks at the limits of this process; `stats` says whether I/O memory could be registered. */
export function examineLimits(stats: ExecutorStats | null): Section {
  return { id: 'limits', title: 'Limits', findings: [lockedMemory(stats), openFiles()] }
}

function lockedMemory(stats: ExecutorStats | null): Finding {
  const limit = readLimit('Max locked memory')
  const limitText = formatLimit(limit, formatBytes)
  const id = 'locked-memory'
  const data = {
    limitBytes: limit ?? null,
    isRegistered: stats?.ioMemory.isRegistered ?? null,
    ioMemoryBytes: stats?.ioMemory.sizeBytes ?? null,
  }
  if (stats === null) {
    return { id, state: 'ok', text: `The limit of locked memory is ${limitText}.`, data }
  }
  const size = formatBytes(stats.ioMemory.sizeBytes)
  if (stats.ioMemory.isRegistered) {
    const text = `The ${size} of I/O memory are registered with the rings; the limit of locked memory is ${limitText}.`
    return { id, state: 'ok', text, data }
  }
  const registered = formatBytes(stats.ioMemory.registeredBytes)
  return {
    id,
    state: 'could be better',
    text: `${registered} of ${size} of I/O memory are registered with the rings, as the limit of locked memory is ${limitText}; the rest costs pinning pages per request.`,
    change: MEMLOCK_CHANGE,
    data,
  }
}

function openFiles(): Finding {
  const limit = readLimit('Max open files')
  const id = 'open-files'
  const data = { limit: limit ?? null }
  const text = `The limit of open files and sockets is ${formatLimit(limit, String)}.`
  if (limit === undefined || limit >= FILES_MIN) return { id, state: 'ok', text, data }
  return {
    id,
    state: 'could be better',
    text: `${text} A busy server runs out of them.`,
    change: `Raise it: ulimit -n 65536, LimitNOFILE=65536 in systemd, or docker run --ulimit nofile=65536`,
    data,
  }
}

function readLimit(name: string): number | undefined {
  const soft = readField('/proc/self/limits', new RegExp(`^${name} +(\\S+)`, 'm'))
  if (soft === undefined) return undefined
  // JSON has no Infinity: the largest exact number stands for it.
  return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft)
}

function formatLimit(limit: number | undefined, format: (value: number) => string): string {
  if (limit === undefined) return 'unknown'
  return limit === Number.MAX_SAFE_INTEGER ? 'unlimited' : format(limit)
}
