import {
  DOUBLE_CROWDED,
  DOUBLE_ENTERS,
  DOUBLE_PARKED_NS,
  DOUBLE_PARKS,
  DOUBLE_SPUN_NS,
} from '../kernel/index.ts'
import type { Reactor } from '../reactor/index.ts'
import {
  COUNTER_ACCEPTS,
  COUNTER_BYTES_READ,
  COUNTER_BYTES_RECEIVED,
  COUNTER_BYTES_SENT,
  COUNTER_BYTES_WRITTEN,
  COUNTER_CHANNEL_WAITS,
  COUNTER_COMPLETIONS,
  COUNTER_CONNECTIONS,
  COUNTER_FILE_OPERATIONS,
  COUNTER_FOREIGN,
  COUNTER_GC_PAUSE_NS,
  COUNTER_GC_PAUSE_NS_MAX,
  COUNTER_GC_PAUSES,
  COUNTER_HELD,
  COUNTER_HELD_NS,
  COUNTER_LEASES,
  COUNTER_LIMITED,
  COUNTER_MEMORY_LIMIT,
  COUNTER_MEMORY_REGISTERED,
  COUNTER_MEMORY_SIZE,
  COUNTER_MEMORY_USED,
  COUNTER_POLLED,
  COUNTER_RECEIVED,
  COUNTER_SENT,
  COUNTER_SOCKETS,
  COUNTER_SUBMISSIONS,
  COUNTER_TASKS,
  COUNTER_TIMERS,
  COUNTER_TIMERS_EXPIRED,
  COUNTER_WAKES,
} from '../stats/index.ts'
import type { HostQueue } from './host-queue.ts'
import {
  type CounterSample,
  readBusyNs,
  readInFlight,
  readSpanNs,
  readTurns,
  sumRings,
  takeSample,
} from './sample.ts'
import type { TaskQueue, TaskQueueStats } from './task-queue.ts'

/** Counters since the executor was attached; reading does not reset them. */
export interface ExecutorStats {
  readonly name: string
  /** Which kernel driver answers. */
  readonly driver: 'uring' | 'sim'
  /** Time that turns of all task queues took. */
  readonly runtimeNs: number
  /** Time that the thread slept, and that it polled, before it slept or for a device; */
  readonly parkedNs: number
  readonly spunNs: number
  /** and all other time since the executor was attached: its use of a processor, at most. */
  readonly busyNs: number
  /** How often it has not spun, or no longer, since more executors than there are CPUs for did not sleep. */
  readonly crowdedCount: number
  /** Rounds of the event loop, and batches that followed another within one. */
  readonly turnCount: number
  readonly parkCount: number
  /** Calls of io_uring_enter. */
  readonly enterCount: number
  readonly submissionCount: number
  readonly completionCount: number
  /** Completions among these that other threads have posted, to wake this one. */
  readonly foreignCompletionCount: number
  readonly inFlightCount: number
  readonly timerCount: number
  readonly expiredTimerCount: number
  /** Tasks spawned so far. */
  readonly taskCount: number
  readonly ioMemory: {
    readonly sizeBytes: number
    /** What `sizeBytes` may grow to. */
    readonly limitBytes: number
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
  readonly network: {
    /** Connections that are open, or being made. */
    readonly socketCount: number
    /** Connections accepted, or made. */
    readonly connectionCount: number
    readonly acceptCount: number
    readonly receivedBytes: number
    readonly sentBytes: number
  }
  readonly files: {
    /** Operations on files and their names that were begun. */
    readonly operationCount: number
    readonly readBytes: number
    readonly writtenBytes: number
    /** Reads and writes that a device was polled for, rather than told of by an interrupt: requests, of which an operation may take several. */
    readonly polledCount: number
    /** Reads and writes that are held back, for their devices or by limits of their queues. */
    readonly heldCount: number
    /** How long such were held back, all together, as far as they have gone on. */
    readonly heldNs: number
    /** How often limits of a task queue have held back whatever was next in it. */
    readonly limitedCount: number
  }
  /** What went through shared channels, to and from other threads. */
  readonly channels: {
    readonly sentCount: number
    readonly receivedCount: number
    /** How often a task waited for another thread. */
    readonly waitCount: number
    /** How often this executor woke the thread of another one. */
    readonly wakeCount: number
  }
  /** Pauses of the garbage collector, all 0 unless the executor was attached with `measureGc`. */
  readonly gc: {
    readonly pauseCount: number
    readonly pauseNs: number
    readonly longestPauseNs: number
  }
  /** Every task queue, the default one first, and Node's own event loop, named `node`, last. */
  readonly queues: readonly TaskQueueStats[]
}

/** Whose counters are read. */
export interface StatsSources {
  readonly name: string
  readonly reactor: Reactor
  readonly queues: Iterable<TaskQueue>
  readonly host: HostQueue
}

export function readStats(sources: StatsSources): ExecutorStats {
  const { name, reactor } = sources
  reactor.syncCounters()
  const sample = takeSample(reactor.control, () => reactor.leftNs ?? reactor.kernel.nowNs())
  const { doubles, counters } = sample
  const queues = Array.from(sources.queues, (queue) => queue.stats())
  return {
    name,
    driver: reactor.kernel.name,
    runtimeNs: queues.reduce((sum, queue) => sum + queue.runtimeNs, 0),
    parkedNs: readSpanNs(sample, DOUBLE_PARKED_NS),
    spunNs: readSpanNs(sample, DOUBLE_SPUN_NS),
    busyNs: readBusyNs(sample),
    crowdedCount: doubles[DOUBLE_CROWDED]!,
    turnCount: readTurns(sample),
    parkCount: doubles[DOUBLE_PARKS]!,
    enterCount: doubles[DOUBLE_ENTERS]!,
    submissionCount: sumRings(counters, COUNTER_SUBMISSIONS),
    completionCount: sumRings(counters, COUNTER_COMPLETIONS),
    foreignCompletionCount: counters[COUNTER_FOREIGN]!,
    inFlightCount: readInFlight(sample),
    timerCount: counters[COUNTER_TIMERS]!,
    expiredTimerCount: counters[COUNTER_TIMERS_EXPIRED]!,
    taskCount: counters[COUNTER_TASKS]!,
    ioMemory: readIoMemory(sample, reactor),
    ...readTraffic(sample),
    gc: {
      pauseCount: counters[COUNTER_GC_PAUSES]!,
      pauseNs: counters[COUNTER_GC_PAUSE_NS]!,
      longestPauseNs: counters[COUNTER_GC_PAUSE_NS_MAX]!,
    },
    queues: [...queues, sources.host.stats()],
  }
}

function readIoMemory(
  { counters }: CounterSample,
  { memory, kernel }: Reactor,
): ExecutorStats['ioMemory'] {
  const registeredBytes = counters[COUNTER_MEMORY_REGISTERED]!
  return {
    sizeBytes: counters[COUNTER_MEMORY_SIZE]!,
    limitBytes: counters[COUNTER_MEMORY_LIMIT]!,
    usedBytes: counters[COUNTER_MEMORY_USED]!,
    leasedCount: counters[COUNTER_LEASES]!,
    registeredBytes,
    isRegistered: memory.isRegistered,
    leftBytes: kernel.leftBytes(),
  }
}

function readTraffic({
  counters,
}: CounterSample): Pick<ExecutorStats, 'network' | 'files' | 'channels'> {
  return {
    network: {
      socketCount: counters[COUNTER_SOCKETS]!,
      connectionCount: counters[COUNTER_CONNECTIONS]!,
      acceptCount: counters[COUNTER_ACCEPTS]!,
      receivedBytes: counters[COUNTER_BYTES_RECEIVED]!,
      sentBytes: counters[COUNTER_BYTES_SENT]!,
    },
    files: {
      operationCount: counters[COUNTER_FILE_OPERATIONS]!,
      readBytes: counters[COUNTER_BYTES_READ]!,
      writtenBytes: counters[COUNTER_BYTES_WRITTEN]!,
      polledCount: counters[COUNTER_POLLED]!,
      heldCount: counters[COUNTER_HELD]!,
      heldNs: counters[COUNTER_HELD_NS]!,
      limitedCount: counters[COUNTER_LIMITED]!,
    },
    channels: {
      sentCount: counters[COUNTER_SENT]!,
      receivedCount: counters[COUNTER_RECEIVED]!,
      waitCount: counters[COUNTER_CHANNEL_WAITS]!,
      wakeCount: counters[COUNTER_WAKES]!,
    },
  }
}
