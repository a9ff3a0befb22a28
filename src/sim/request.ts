import { SQE_WORDS } from '../kernel/index.ts'
import type { BufferGroup } from './buffer-group.ts'
import type { SimEvent } from './clock.ts'
import type { Description } from './descriptors.ts'

const WORD = 2 ** 32

/** Memory registered with a ring. */
export interface RegisteredBuffer {
  readonly address: number
  readonly lengthBytes: number
}

/** What requests know of the ring that they came from. */
export interface RequestRing {
  /** Whether it finds completions by polling devices, and takes nothing else. */
  readonly isPolled: boolean
  /** The thread that made it. */
  readonly threadId: number
  /** In the order of submission. */
  readonly inFlight: Set<SimRequest>
  /** Timeouts that end when so many completions were posted. */
  readonly countedTimeouts: Set<SimRequest>
  readonly buffers: readonly RegisteredBuffer[] | null
  files: (Description | null)[] | null
  readonly bufferGroups: Map<number, BufferGroup>
  /** Completions posted, wherever they are, that have not been reaped. */
  readonly unreapedCount: number
  /** Posts a completion. */
  post(low: number, high: number, result: number, flags: number): void
  /** Posts one of several completions; false if there is no room: then it must be the last. */
  postMore(request: SimRequest, result: number, flags: number): boolean
}

/** What a request is about, for people. */
export interface RequestSubject {
  /** Descriptor and what that is, paths, or an address; empty if there are none. */
  readonly subject: string
  readonly offsetBytes: number | null
  readonly lengthBytes: number | null
}

/** One submission entry, from when the kernel takes it to its last completion. */
export class SimRequest {
  readonly ring: RequestRing
  readonly opcode: number
  /** `IOSQE_…` */
  readonly flags: number
  readonly ioPriority: number
  readonly fd: number
  readonly offset: number
  /** The halves of the offset and the address, where they are the user data of another request. */
  readonly offsetLow: number
  readonly offsetHigh: number
  readonly address: number
  readonly addressLow: number
  readonly addressHigh: number
  readonly length: number
  readonly opFlags: number
  readonly userDataLow: number
  readonly userDataHigh: number
  /** Registered buffer, or group of provided buffers. */
  readonly bufferIndex: number
  readonly fileIndex: number

  description: Description | null = null
  /** What it is about, where completions are traced. */
  subject: RequestSubject | null = null
  /** The step that is scheduled; none while it waits for readiness. */
  event: SimEvent | null = null
  /** What it waits for: `POLLIN | …` */
  waitEvents = 0
  /** Bytes transferred by earlier steps, of one that wants them all. */
  doneBytes = 0
  /** Completions of a repeating operation, or what it still needs. */
  count = 0
  /** Whether it had been started. */
  isStarted = false
  isDone = false
  /** Whether no cancel finds it: all that it has left is its last completion. */
  isUnstoppable = false
  /** The entry that is to start when this one has succeeded. */
  next: SimRequest | null = null
  /** Of a link timeout: the entry that it bounds. */
  bounded: SimRequest | null = null
  /** The timeout that bounds this entry. */
  linkTimeout: SimRequest | null = null

  constructor(ring: RequestRing, sqes: Int32Array, index: number) {
    const base = index * SQE_WORDS
    const first = sqes[base]! >>> 0
    this.ring = ring
    this.opcode = first & 0xff
    this.flags = (first >>> 8) & 0xff
    this.ioPriority = first >>> 16
    this.fd = sqes[base + 1]!
    this.offset = wide(sqes[base + 2]!, sqes[base + 3]!)
    this.offsetLow = sqes[base + 2]!
    this.offsetHigh = sqes[base + 3]!
    this.addressLow = sqes[base + 4]!
    this.addressHigh = sqes[base + 5]!
    this.address = wide(sqes[base + 4]!, sqes[base + 5]!)
    this.length = sqes[base + 6]! >>> 0
    this.opFlags = sqes[base + 7]! >>> 0
    this.userDataLow = sqes[base + 8]!
    this.userDataHigh = sqes[base + 9]!
    this.bufferIndex = sqes[base + 10]! & 0xffff
    this.fileIndex = sqes[base + 11]! >>> 0
  }
}

/** A signed 64-bit field as a number: exact below 2^53. */
function wide(low: number, high: number): number {
  return high * WORD + (low >>> 0)
}
