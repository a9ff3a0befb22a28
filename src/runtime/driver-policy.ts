import type { CpuSet } from '../topology/index.ts'
import type { DriverKind } from './driver-layout.ts'
import type { WorkPriority } from './shard-options.ts'
import type { PickOptions } from './work.ts'

/** A driver, as a policy sees it. */
export interface DriverLoad {
  readonly name: string
  readonly kind: DriverKind
  readonly cpus: CpuSet
  /** Whether it runs; one that is being restarted does not. */
  readonly isRunning: boolean
  /** Work it was given and has not ended, of that priority and of higher ones. */
  pendingCount(priority: WorkPriority): number
}

/**
 * Picks the driver for work, or null if none will do: a pure function of what it is given. It sees all drivers of a
 * context in their order, whether they run or not.
 */
export type DriverPolicy = (
  drivers: readonly DriverLoad[],
  wanted: PickOptions,
) => DriverLoad | null

/** So much more work than the least busy one may have who has the data in its caches. */
const NEAR_EXTRA = 4

/**
 * The policy of a context that is given none:
 *
 * | work | goes to |
 * | --- | --- |
 * | that needs something | drivers of that kind and hybrid ones, else to none |
 * | with a key | the one that rendezvous hashing gives for it, among those that run |
 * | near a driver | it, one on its core, or on its L3 cache, in this order, unless that is busier by 4 than the least busy |
 * | else | the least busy, counting work of its priority and above; the first of several |
 */
export const leastBusy: DriverPolicy = (drivers, { needs, key, near, priority = 'normal' }) => {
  const able = drivers.filter(
    ({ kind, isRunning }) =>
      isRunning && (needs === undefined || kind === 'hybrid' || kind === needs),
  )
  if (able.length === 0) return null
  if (key !== undefined) return greatestOf(able, ({ name }) => hash(`${name}\0${key}`))
  const least = greatestOf(able, (driver) => -driver.pendingCount(priority))
  const home = drivers.find(({ name }) => name === near)
  if (home === undefined) return least
  const limit = least.pendingCount(priority) + NEAR_EXTRA
  const free = able.filter((driver) => driver.pendingCount(priority) <= limit)
  const nearest = greatestOf(free, (driver) => closeness(driver, home))
  return closeness(nearest, home) === 0 ? least : nearest
}

function greatestOf(
  drivers: readonly DriverLoad[],
  measure: (driver: DriverLoad) => number,
): DriverLoad {
  return drivers.reduce((best, driver) => (measure(driver) > measure(best) ? driver : best))
}

/** 3 for itself, 2 for one on its core, 1 for one that shares its L3 cache, else 0. */
function closeness(driver: DriverLoad, home: DriverLoad): number {
  if (driver.name === home.name) return 3
  const shares = (level: 'core' | 'l3'): boolean => {
    const values = new Set([...home.cpus].map((cpu) => cpu[level]))
    return [...driver.cpus].some((cpu) => cpu[level] !== null && values.has(cpu[level]))
  }
  if (shares('core')) return 2
  return shares('l3') ? 1 : 0
}

/** FNV-1a of 32 bits, and a mix at the end, since names differ in their last characters alone. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  value = Math.imul(value ^ (value >>> 16), 0x45d9f3b)
  return (value ^ (value >>> 16)) >>> 0
}
