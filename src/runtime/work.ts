import {
  isAbortSignal,
  optionNames,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import type { DriverKind } from './driver-layout.ts'
import { checkModule } from './module-url.ts'
import type { WorkPriority } from './shard-options.ts'

/** What a driver is to run: a function by its module and name, since functions do not cross between threads. */
export interface Work {
  /** A URL, as `new URL('./work.js', import.meta.url)` makes it, or an absolute path. Each driver loads it once. */
  readonly module: URL | string
  /** The name of an export that is a function; `default` if not given. */
  readonly name?: string
  /** What it is called with: a structured clone. */
  readonly argument?: unknown
}

/** How work is run. */
export interface WorkOptions {
  /** `normal` if not given. */
  readonly priority?: WorkPriority
  /** Aborting it rejects the promise with its reason, and cancels the task that runs the function. */
  readonly signal?: AbortSignal
}

/** How a context picks the driver. */
export interface PickOptions extends WorkOptions {
  /** What the work needs of a driver: `io` or `task`, either of which a hybrid one does; any if not given. */
  readonly needs?: Exclude<DriverKind, 'hybrid'>
  /** Equal keys go to one driver, as long as that runs: what it has in its caches and its memory is found there. */
  readonly key?: string | number
  /** The name of a driver whose caches have the work's data: it, or one that shares a cache with it, unless these are much busier. */
  readonly near?: string
}

/** {@link Work}, checked. */
export interface CheckedWork {
  readonly module: string
  readonly name: string
  readonly argument: unknown
}

export const PRIORITIES: readonly WorkPriority[] = ['high', 'normal', 'low']

const WORK_NAMES = optionNames<Work>({ module: true, name: true, argument: true })
const PICK_NAMES = optionNames<PickOptions>({
  priority: true,
  signal: true,
  needs: true,
  key: true,
  near: true,
})
const RUN_NAMES = optionNames<WorkOptions>({ priority: true, signal: true })
const ACTION = 'run work'

/** @throws {TypeError} for anything but {@link Work}. */
export function checkWork(work: Work): CheckedWork {
  validateOptions(ACTION, work, WORK_NAMES, 'work')
  const { name = 'default', argument } = work
  validateString(ACTION, 'work.name', name)
  return { module: checkModule(ACTION, work.module), name, argument }
}

/** @throws {TypeError} for anything but {@link WorkOptions}. */
export function checkWorkOptions(options: WorkOptions): void {
  validateOptions(ACTION, options, RUN_NAMES)
  checkCommon(options)
}

/** @throws {TypeError} for anything but {@link PickOptions}. */
export function checkPickOptions(options: PickOptions): void {
  validateOptions(ACTION, options, PICK_NAMES)
  checkCommon(options)
  const { needs, key, near } = options
  if (needs !== undefined && needs !== 'io' && needs !== 'task') {
    throw wrongType(ACTION, 'needs', "'io' or 'task'", needs)
  }
  if (key !== undefined && typeof key !== 'string' && typeof key !== 'number') {
    throw wrongType(ACTION, 'key', 'a string or a number', key)
  }
  if (near !== undefined) validateString(ACTION, 'near', near)
}

function checkCommon({ priority = 'normal', signal }: WorkOptions): void {
  if (!PRIORITIES.includes(priority)) {
    throw wrongType(ACTION, 'priority', `one of ${PRIORITIES.join(', ')}`, priority)
  }
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(ACTION, 'signal', 'an AbortSignal', signal)
  }
}
