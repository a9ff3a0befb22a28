import {
  DOUBLE_CROWDED,
  DOUBLE_ENTERS,
  DOUBLE_PARKED_NS,
  DOUBLE_PARKS,
  DOUBLE_SPUN_NS,
  DOUBLE_TURNS,
} from '../kernel/index.ts'
import type { Reactor } from '../reactor/index.ts'
import { COUNTER_FOLLOW_UPS, COUNTER_TASKS, COUNTER_TIMERS } from '../stats/index.ts'
import type { HostQueue } from './host-queue.ts'
import type { TaskQueue, TaskQueueStats } from './task-queue.ts'

/** Counters since the executor was attached; reading does not reset them. */
export interface ExecutorStats {
  readonly name: string
  /** Which kernel driver answers. */
  readonly driver: 'uring' | 'sim'
  /** Time that turns of all task queues took. */
  readonly runtimeNs: number
  readonly parkedNs: number
  readonly spunNs: number
  /** How often it has not spun, or no longer, since more executors than there are CPUs for did not sleep. */
  readonly crowdedCount: number
  /** Rounds of the event loop, and batches that followed another within one. */
  readonly turnCount: number
  readonly parkCount: number
  /** Calls of io_uring_enter. */
  readonly enterCount: number
  readonly submissionCount: number
  readonly completionCount: number
  readonly inFlightCount: number
  readonly timerCount: number
  /** Tasks spawned so far. */
  readonly taskCount: number
  readonly ioMemory: {
    readonly sizeBytes: number
    readonly usedBytes: number
    readonly leasedCount: number
    /**
     * How much of it the rings have registered: less than the option `ioMemoryBytes` if locked memory is
     * short, 0 before a direct file is opened.
     */
    readonly registeredBytes: number
    /** Whether that is all of `ioMemoryBytes`. */
    readonly isRegistered: boolean
    /**
     * What threads of this process that have ended left behind for good, beside all of this: leases whose
     * ArrayBuffer had been detached (`transfer()`), since another thread may have it.
     */
    readonly leftBytes: number
  }
  /** Every task queue, the default one first, and Node's own event loop, named `node`, last. */
  readonly queues: readonly TaskQueueStats[]
}

/** What the executor itself counts, and whose counters are read. */
export interface StatsSources {
  readonly name: string
  readonly reactor: Reactor
  readonly queues: Iterable<TaskQueue>
  readonly host: HostQueue
}

export function readStats(sources: StatsSources): ExecutorStats {
  const { name, reactor } = sources
  const { doubles, counters } = reactor.control
  const queues = Array.from(sources.queues, (queue) => queue.stats())
  const latency = reactor.hasLatencyRing ? reactor.latency : null
  return {
    name,
    driver: reactor.kernel.name,
    runtimeNs: queues.reduce((sum, queue) => sum + queue.runtimeNs, 0),
    parkedNs: doubles[DOUBLE_PARKED_NS]!,
    spunNs: doubles[DOUBLE_SPUN_NS]!,
    crowdedCount: doubles[DOUBLE_CROWDED]!,
    turnCount: doubles[DOUBLE_TURNS]! + counters[COUNTER_FOLLOW_UPS]!,
    parkCount: doubles[DOUBLE_PARKS]!,
    enterCount: doubles[DOUBLE_ENTERS]!,
    submissionCount: reactor.main.submissionCount + (latency?.submissionCount ?? 0),
    completionCount: reactor.main.completionCount + (latency?.completionCount ?? 0),
    inFlightCount: reactor.inFlightCount,
    timerCount: counters[COUNTER_TIMERS]!,
    taskCount: counters[COUNTER_TASKS]!,
    ioMemory: {
      sizeBytes: reactor.memory.sizeBytes,
      usedBytes: reactor.memory.usedBytes,
      leasedCount: reactor.memory.leasedCount,
      registeredBytes: reactor.memory.registeredBytes,
      isRegistered: reactor.memory.isRegistered,
      leftBytes: reactor.kernel.leftBytes(),
    },
    queues: [...queues, sources.host.stats()],
  }
}
