import type { LoggedTask, WaitLog } from '../executor/index.ts'
import { hasFakeTimers, type SimKernel } from '../sim/index.ts'
import { firstSite, formatSite } from './call-site.ts'
import type { SimulatedThread, SimulatedThreads } from './simulated-threads.ts'

const TASKS_SHOWN_MAX = 12
/** So many of each thread, however many there are. */
const TASKS_OF_THREAD_MIN = 3
const REQUESTS_SHOWN_MAX = 12
/** What any output of a program opens: no sign of anything that it waits for. */
const UNSUSPICIOUS = new Set(['TTYWrap', 'PipeWrap', 'WriteWrap', 'MessagePort'])

/** How many timers, requests and handles of Node's keep its loop alive, by kind. */
export type HostResources = ReadonlyMap<string, number>

/** What of Node's is under way now. */
export function readHostResources(): HostResources {
  const counts = new Map<string, number>()
  // Deno and Bun have no such list.
  for (const kind of process.getActiveResourcesInfo?.() ?? []) {
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

/** What a report is made of. */
export interface StuckProgram {
  readonly kernel: SimKernel
  readonly threads: Pick<SimulatedThreads, 'living' | 'areMany' | 'log'>
  /** Whether nothing moves any more; else it has had too many turns. */
  readonly isIdle: boolean
  /** What of Node's was under way before the program began. */
  readonly hostResources: HostResources
}

/** Which tasks of which thread wait for what, what the kernel has in its hands, and what simulation does not cover. */
export function describeWaits(program: StuckProgram): string {
  const { kernel, threads } = program
  const { living } = threads
  const shownMax = Math.max(TASKS_OF_THREAD_MIN, Math.floor(TASKS_SHOWN_MAX / living.length))
  const lines = living.flatMap((thread) => describeThread(thread, program, shownMax))
  lines.push(describeRequests(kernel), ...hintsOf(program.hostResources))
  return lines.map((line) => `\n  ${line}`).join('')
}

function describeThread(
  thread: SimulatedThread,
  { threads, isIdle }: StuckProgram,
  shownMax: number,
): string[] {
  const { log, areMany } = threads
  const tasks = log.tasks().filter(({ queue }) => queue.owner === thread.executor)
  const lines = tasks.slice(0, shownMax).map((task) => describeTask(task, log, isIdle))
  if (tasks.length > shownMax) lines.push(`and ${tasks.length - shownMax} more`)
  if (!areMany) return lines
  if (tasks.length === 0) lines.push('no task')
  return lines.map((line) => `${thread.name}: ${line}`)
}

function describeTask(task: LoggedTask, log: WaitLog, isIdle: boolean): string {
  const waits = log.waitsOf(task).map(({ action, stack }) => {
    const site = firstSite(stack)
    return site === null ? `to ${action}` : `to ${action} (${formatSite(site)})`
  })
  const name = `task '${task.name}' of queue '${task.queue.name}'`
  if (waits.length > 0) return `${name} waits ${waits.join(', ')}`
  return `${name} ${isIdle ? '' : 'is busy, or '}waits for another task, or a promise of nobody here`
}

function describeRequests(kernel: SimKernel): string {
  const { requests } = kernel.leftovers()
  if (requests.length === 0) return 'no operation is in flight'
  const more = requests.length - REQUESTS_SHOWN_MAX
  const shown = requests.slice(0, REQUESTS_SHOWN_MAX).join(', ')
  return `in flight: ${shown}${more > 0 ? ` and ${more} more` : ''}`
}

function* hintsOf(before: HostResources): Iterable<string> {
  const begun: string[] = []
  for (const [kind, count] of readHostResources()) {
    const added = count - (before.get(kind) ?? 0)
    if (added > 0 && !UNSUSPICIOUS.has(kind)) begun.push(`${added} ${kind}`)
  }
  if (begun.length > 0) {
    yield `under way in Node itself, since it began: ${begun.join(', ')}; timers and I/O that are not percore's are neither simulated nor waited for: use sleep() of percore/time instead of setTimeout(), percore/io and percore/net`
  }
  if (hasFakeTimers()) {
    yield 'setTimeout() is a fake here, which calls only when its test moves its clock: use sleep() of percore/time'
  }
}
