/**
 * The process directory: one block of memory in which every executor of the process has a slot, whatever thread it
 * is on.
 *
 * A slot is the control block, the inboxes and, from its second page on, counters. Any thread finds any executor there by a
 * number, and may read it without asking; nobody but its own thread and the loop hook write there, but for the lines that
 * loop-control.ts says are others'. Pages that nobody has touched take no memory.
 */
import { assert } from '../base/index.ts'
import {
  CONTROL_BYTES,
  DOUBLE_DEADLINE_NS,
  type LoopControl,
  WORD_HOLDER,
  WORD_RING_FD,
} from './loop-control.ts'

// ABI: the same in native/directory.h, and each side refuses to go on where they differ.
/** How many slots there are. The first has no executor: it is the directory's own. */
export const SLOT_COUNT = 1024
export const SLOT_BYTES = 16_384
/** The length of the inboxes, which follow the control block: a bit for each. */
export const INBOX_BYTES = 512
/** Where the counters of a slot begin. */
export const COUNTERS_OFFSET_BYTES = 4096
/** How many executors have a slot one after the other, at most: each has an id of its own. */
export const GENERATION_MAX = 0x1fffff
/** What a published directory begins with, but for a word. */
export const DIRECTORY_MAGIC = 0x43524550
/**
 * Names the layout of the control block, the directory and the counters. Whoever changes any of them raises it, since a
 * process may be read by the `percore` of another version.
 */
export const DIRECTORY_VERSION = 3
/** Words of the first slot: how many slots have ever been used, itself included; */
export const HEADER_USED_COUNT = 0
/** {@link DIRECTORY_MAGIC}, {@link DIRECTORY_VERSION}, and the process, by its number in its namespace; */
export const HEADER_MAGIC = 1
export const HEADER_VERSION = 2
export const HEADER_PID = 3
/** how many slots are not in the file, since there was no room. */
export const HEADER_HIDDEN_COUNT = 4
/**
 * The executor on whose thread the watchdog of stalls was started; 0 for nobody, {@link WATCHDOG_FAILED} where that has
 * failed. And how many threads' inspectors it is connected to.
 */
export const HEADER_WATCHDOG = 5
export const HEADER_CAPTURING = 6
export const WATCHDOG_FAILED = -1
/** Doubles of the first slot: when the process began, as in `/proc/<pid>/stat`; the inode of its namespace of numbers. */
export const HEADER_START_TICKS = 4
export const HEADER_PID_NAMESPACE = 5
/** Word of the first slot: how many executors do not sleep. Written by the hook. */
export const HEADER_AWAKE_COUNT = 16
/** Word of the first slot: how many CPUs the process has been seen to have; 0 where that is not known. Written by the hook. */
export const HEADER_CPU_COUNT = 32
/** Word of the first slot: how many whole CPUs' time its control group allows, or 0. Written by executors that spin. */
export const HEADER_CPU_QUOTA = 33
/** The first of {@link CAPABILITY_WORDS}: what the kernel offers, once somebody has tried. */
export const HEADER_CAPABILITIES = 48
/** The first of as many words: a bit for each of those CPUs. Written by the hook. */
const HEADER_CPU_MASK = 160
/** The first of as many words: how many executors do not sleep of those that are bound to that CPU alone. Written by the hook. */
const HEADER_CPU_AWAKE = 192
const CPU_COUNT_MAX = 1024

export const DIRECTORY_LAYOUT: Readonly<Record<string, number>> = {
  SLOT_COUNT,
  SLOT_BYTES,
  INBOX_BYTES,
  COUNTERS_OFFSET_BYTES,
  GENERATION_MAX,
  DIRECTORY_MAGIC,
  DIRECTORY_VERSION,
  HEADER_USED_COUNT,
  HEADER_MAGIC,
  HEADER_VERSION,
  HEADER_PID,
  HEADER_HIDDEN_COUNT,
  HEADER_WATCHDOG,
  HEADER_CAPTURING,
  HEADER_START_TICKS,
  HEADER_PID_NAMESPACE,
  HEADER_AWAKE_COUNT,
  HEADER_CPU_COUNT,
  HEADER_CPU_QUOTA,
  HEADER_CAPABILITIES,
  HEADER_CPU_MASK,
  HEADER_CPU_AWAKE,
  CPU_COUNT_MAX,
}

/**
 * Names an executor among all that the process has or had: a positive number below 2^31, and 0 is nobody. It may stand in
 * shared words, and means nothing in another process.
 */
export type ExecutorId = number

/** How many executors a process can have at a time. */
export const EXECUTOR_COUNT_MAX: number = SLOT_COUNT - 1

/** The memory of one slot, as any thread sees it. */
export interface DirectorySlot extends LoopControl {
  /** All of it. */
  readonly memory: ArrayBuffer
}

/** The executors of a process. Each thread has views of its own on the same memory. */
export interface Directory {
  /** How many slots have ever been used, the first included: nobody is beyond. */
  readonly usedCount: number
  /** A slot, by its index. The view is made when it is first asked for, and kept. */
  slot(index: number): DirectorySlot
  /**
   * Wakes the thread whose executor has a slot, parked or not, if there is one: by its event loop, which needs neither
   * a ring nor memory, and never fails. From any thread. A system call; a message of a ring costs the woken one less.
   */
  wake(index: number): void
  /**
   * Gives the calling thread an id though it has no executor, once, until it ends: so that executors learn of its end. It is
   * rung by nobody. Or `-errno`: `-ENOSPC` where no slot is free, `-EOPNOTSUPP` in simulation.
   */
  join(): ExecutorId
}

/** The index of the slot that an executor has, or had. */
export function slotOf(id: ExecutorId): number {
  assert(id > 0, 'an executor has a positive id')
  return id & (SLOT_COUNT - 1)
}

/** Whether the executor has left its loop, however that came; it never comes back. */
export function hasEnded(directory: Directory, id: ExecutorId): boolean {
  // ORDER: sequential; paired with the hook, which says so before it rings the others.
  return Atomics.load(directory.slot(slotOf(id)).words, WORD_HOLDER) !== id
}

/** The memory of a slot, seen as what is in it. */
export function viewSlot(memory: ArrayBuffer): DirectorySlot {
  return {
    memory,
    words: new Int32Array(memory, 0, CONTROL_BYTES / 4),
    doubles: new Float64Array(memory, 0, CONTROL_BYTES / 8),
    inboxes: new Int32Array(memory, CONTROL_BYTES, INBOX_BYTES / 4),
    counters: new Float64Array(memory, COUNTERS_OFFSET_BYTES),
  }
}

/** A slot as it is handed out, in memory of its own. */
export function createSlot(): DirectorySlot {
  const slot = viewSlot(new ArrayBuffer(SLOT_BYTES))
  slot.words[WORD_RING_FD] = -1
  slot.doubles[DOUBLE_DEADLINE_NS] = Number.POSITIVE_INFINITY
  return slot
}

/** A slot as its executor has it. */
export class OwnSlot implements LoopControl {
  words: Int32Array
  doubles: Float64Array
  inboxes: Int32Array
  counters: Float64Array

  constructor({ words, doubles, inboxes, counters }: DirectorySlot) {
    this.words = words
    this.doubles = doubles
    this.inboxes = inboxes
    this.counters = counters
  }

  /** Called just before the loop is left, and the slot given away. */
  leave(): void {
    const { words, doubles, inboxes, counters } = viewSlot(
      this.words.buffer.slice(0) as ArrayBuffer,
    )
    this.words = words
    this.doubles = doubles
    this.inboxes = inboxes
    this.counters = counters
  }
}
