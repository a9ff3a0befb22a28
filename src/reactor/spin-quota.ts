import { HEADER_CPU_QUOTA, type Kernel } from '../kernel/index.ts'

/** Of the first version of control groups, and of the second: at their root, where a container sees its own. */
const QUOTA_FILE = '/sys/fs/cgroup/cpu/cpu.cfs_quota_us'
const PERIOD_FILE = '/sys/fs/cgroup/cpu/cpu.cfs_period_us'
const LIMIT_FILE = '/sys/fs/cgroup/cpu.max'

/**
 * Tells all executors of the process how many whole CPUs' time its control group allows, so that no more than as many
 * spin: time that is spun away there is missing later. Blocks, for some files: for start-up.
 */
export function noteCpuQuota(kernel: Pick<Kernel, 'readTextFile' | 'directory'>): void {
  const quota = readCpuQuota((path) => kernel.readTextFile(path))
  if (quota === null) return
  Atomics.store(kernel.directory.slot(0).words, HEADER_CPU_QUOTA, Math.max(1, Math.floor(quota)))
}

/** How many CPUs' time the control group allows, which may be a fraction; null where it sets no limit, or can't be read. */
export function readCpuQuota(readText: (path: string) => string | number): number | null {
  const limit = readText(LIMIT_FILE)
  if (typeof limit === 'string') return quotaOf(limit.split(' '))
  const [quota, period] = [readText(QUOTA_FILE), readText(PERIOD_FILE)]
  if (typeof quota !== 'string' || typeof period !== 'string') return null
  return quotaOf([quota, period])
}

/** ABI: microseconds of each period; `max`, or -1 in the first version, for no limit. */
function quotaOf([quotaText, periodText]: readonly string[]): number | null {
  const quota = Number(quotaText) / Number(periodText)
  return quota > 0 && quota < Number.POSITIVE_INFINITY ? quota : null
}
