/**
 * The model of a device, in pure functions: what a request costs, and when there is room for it. docs/models/io-scheduler.md
 * has the equations.
 *
 * All times are microseconds; costs are microseconds of the device's time.
 */

/** The requests that limits were measured with: the small ones for operations, the large ones for bytes. */
export const SMALL_REQUEST_BYTES = 4096
export const LARGE_REQUEST_BYTES: number = 1024 * 1024

/** What a device does at the most, in one direction. */
export interface DirectionLimits {
  /** With requests of {@link LARGE_REQUEST_BYTES}. */
  readonly bytesPerSecond: number
  /** With requests of {@link SMALL_REQUEST_BYTES}. */
  readonly operationsPerSecond: number
}

/** What a device does at the most. */
export interface DeviceLimits {
  readonly read: DirectionLimits
  readonly write: DirectionLimits
}

/** What requests of one direction cost: so much each, and so much for each byte. */
export interface CostLine {
  readonly fixedUs: number
  readonly perByteUs: number
}

const US_PER_S = 1e6

/**
 * The line through both measured points. A device that is quicker with small requests than with large ones has no fixed
 * part, and the dearer point decides.
 */
export function costLineOf({ bytesPerSecond, operationsPerSecond }: DirectionLimits): CostLine {
  const smallUs = US_PER_S / operationsPerSecond
  const largeUs = (US_PER_S * LARGE_REQUEST_BYTES) / bytesPerSecond
  const perByteUs = Math.max(0, largeUs - smallUs) / (LARGE_REQUEST_BYTES - SMALL_REQUEST_BYTES)
  const fixedUs = smallUs - perByteUs * SMALL_REQUEST_BYTES
  if (fixedUs >= 0) return { fixedUs, perByteUs }
  return { fixedUs: 0, perByteUs: largeUs / LARGE_REQUEST_BYTES }
}

export function costUs(line: CostLine, lengthBytes: number): number {
  return line.fixedUs + line.perByteUs * lengthBytes
}

/**
 * How long a request waits for a bucket that is full until `fullUs`: 0 if there is room now. Waiting counts from the burst on,
 * so that one that costs more than a burst is taken too.
 */
export function bucketWaitUs(fullUs: number, nowUs: number, burstUs: number): number {
  return Math.max(0, fullUs - nowUs - burstUs)
}

/** Until when the bucket is full once it has taken a request. An empty one has no credit from before. */
export function fillBucket(fullUs: number, nowUs: number, requestUs: number): number {
  return Math.max(fullUs, nowUs) + requestUs
}

/** What two buckets say: the one of the device, which all threads share, and that of our part of it. */
export interface Buckets {
  readonly fullUs: number
  readonly ownFullUs: number
  readonly nowUs: number
  readonly burstUs: number
  /** Whether there is so little in flight that others leave something; see {@link leftWindowUs}. */
  readonly isLeft: boolean
}

/**
 * How long a request waits for both buckets. Who has had its part of the device has what others leave: it waits for the
 * device to be taken for no more than half a burst, so that those who have not find room in the other half.
 */
export function bucketsWaitUs({ fullUs, ownFullUs, nowUs, burstUs, isLeft }: Buckets): number {
  const ownUs = bucketWaitUs(ownFullUs, nowUs, burstUs)
  const leftUs = isLeft ? bucketWaitUs(fullUs, nowUs, burstUs / 2) : ownUs
  return Math.max(bucketWaitUs(fullUs, nowUs, burstUs), Math.min(ownUs, leftUs))
}

/** Until when our part is taken once a request has passed; what others left counts for nothing in it. */
export function fillOwnBucket(buckets: Buckets, requestUs: number): number {
  const { fullUs, ownFullUs, nowUs, burstUs } = buckets
  const isLeft = buckets.isLeft && bucketWaitUs(fullUs, nowUs, burstUs / 2) === 0
  if (isLeft && bucketWaitUs(ownFullUs, nowUs, burstUs) > 0) return ownFullUs
  return fillBucket(ownFullUs, nowUs, requestUs)
}

/** The part of the device that is ours, of shares that ask for it in all. */
export function fractionOf(ownShares: number, allShares: number): number {
  return allShares <= ownShares ? 1 : ownShares / allShares
}

/** Whether one more request may be in flight: one always may, so that a request of any size comes to its turn. */
export function windowAdmits(inFlightUs: number, requestUs: number, windowUs: number): boolean {
  return inFlightUs <= 0 || inFlightUs + requestUs <= windowUs
}

/** Our part of the window: by shares, or all that others do not use. */
export function windowPartUs(windowUs: number, fraction: number, othersUs: number): number {
  return Math.max(windowUs * fraction, windowUs - othersUs)
}

/**
 * How much of the window is for those who take what others leave: half of it without what others use, so that a device that falls
 * behind, whose bucket is empty as nothing passes, does not look like one that is idle; and enough to keep it from running dry.
 */
export function leftWindowUs(windowUs: number, othersUs: number): number {
  return Math.max(windowUs / 4, windowUs / 2 - othersUs)
}

/** How many devices' time may be in flight: what keeps a device busy that is as slow to answer as this one at its limits. */
export function windowUsOf(limits: DeviceLimits, depth: number, burstUs: number): number {
  const slowest = Math.min(limits.read.operationsPerSecond, limits.write.operationsPerSecond)
  return Math.max(2 * burstUs, (2 * depth * US_PER_S) / slowest)
}

/** What {@link pickNext} chooses from: the first request of a task queue that has some waiting. */
export interface Candidate {
  /** Device time that the queue has had, divided by its shares. */
  readonly virtualUs: number
  /** When its first request was first refused. */
  readonly refusedUs: number
  /** Whether that is a small read of a queue with a latency class. */
  readonly isUrgent: boolean
}

/** The order among queues, by what they have had. */
export function hasHadLess(a: Candidate, b: Candidate): boolean {
  return a.virtualUs < b.virtualUs || (a.virtualUs === b.virtualUs && a.refusedUs < b.refusedUs)
}

/** The order among queues, by how long they wait. */
export function hasWaitedLonger(a: Candidate, b: Candidate): boolean {
  return a.refusedUs < b.refusedUs || (a.refusedUs === b.refusedUs && a.virtualUs < b.virtualUs)
}

/** The first of three orders. */
export interface Candidates<T extends Candidate> {
  /** Who has had least. */
  readonly least: T
  /** Who waits for longest. */
  readonly oldest: T
  /** Who has had least of those whose first request is urgent. */
  readonly urgent: T | undefined
}

/**
 * Which queue is next. Pure.
 *
 * | there is | next is |
 * | --- | --- |
 * | a request that was first refused longer ago than `starvationUs` | the oldest |
 * | an urgent one whose queue is ahead of the least by `leadUs` at the most | that one |
 * | else | who has had least |
 */
export function pickNext<T extends Candidate>(
  { least, oldest, urgent }: Candidates<T>,
  { nowUs, starvationUs, leadUs }: { nowUs: number; starvationUs: number; leadUs: number },
): T {
  if (nowUs - oldest.refusedUs > starvationUs) return oldest
  if (urgent !== undefined && urgent.virtualUs <= least.virtualUs + leadUs) return urgent
  return least
}
