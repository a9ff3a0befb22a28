import { assert } from '../../base/index.ts'
import type { Executor } from '../../executor/index.ts'
import type { FileIdentity } from '../values/status.ts'
import { RangeLock } from './range-lock.ts'

interface Share {
  readonly ranges: RangeLock
  holderCount: number
}

const sharesOf = new WeakMap<Executor, Map<string, Share>>()

/**
 * The one lock of a file for all its descriptors of an executor; {@link releaseRanges} must follow,
 * once the descriptor is closed: until then no other file gets this identity.
 */
export function shareRanges(executor: Executor, identity: FileIdentity): RangeLock {
  let shares = sharesOf.get(executor)
  if (shares === undefined) {
    shares = new Map()
    sharesOf.set(executor, shares)
  }
  const key = keyOf(identity)
  let share = shares.get(key)
  if (share === undefined) {
    share = { ranges: new RangeLock(executor), holderCount: 0 }
    shares.set(key, share)
  }
  share.holderCount++
  return share.ranges
}

/** Gives back what one call of {@link shareRanges} returned. */
export function releaseRanges(executor: Executor, identity: FileIdentity): void {
  const key = keyOf(identity)
  const shares = sharesOf.get(executor)
  const share = shares?.get(key)
  assert(share !== undefined && share.holderCount > 0, 'what is released was shared')
  share.holderCount--
  if (share.holderCount === 0) shares?.delete(key)
}

/** Of how many files descriptors of `executor` share a lock. */
export function sharedFileCount(executor: Executor): number {
  return sharesOf.get(executor)?.size ?? 0
}

function keyOf({ deviceMajor, deviceMinor, inodeWords }: FileIdentity): string {
  return `${deviceMajor}:${deviceMinor}:${inodeWords[1]}:${inodeWords[0]}`
}
