import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type Buckets,
  bucketsWaitUs,
  bucketWaitUs,
  type Candidate,
  costLineOf,
  costUs,
  fillBucket,
  fillOwnBucket,
  fractionOf,
  LARGE_REQUEST_BYTES,
  leftWindowUs,
  pickNext,
  SMALL_REQUEST_BYTES,
  windowAdmits,
  windowPartUs,
  windowUsOf,
} from '../../src/io/devices/io-model.ts'

const rate: fc.Arbitrary<number> = fc.double({ min: 1, max: 1e12, noNaN: true })

test('costLineOf() goes through both measured points where small requests are the dearer ones', () => {
  fc.assert(
    fc.property(rate, rate, (bytesPerSecond, operationsPerSecond) => {
      const line = costLineOf({ bytesPerSecond, operationsPerSecond })
      const smallUs = 1e6 / operationsPerSecond
      const largeUs = (1e6 * LARGE_REQUEST_BYTES) / bytesPerSecond
      assert.ok(line.fixedUs >= 0 && line.perByteUs >= 0)
      // Never less than was measured: then a device would get more than it can do.
      assert.ok(costUs(line, SMALL_REQUEST_BYTES) >= smallUs * (1 - 1e-9))
      assert.ok(costUs(line, LARGE_REQUEST_BYTES) >= largeUs * (1 - 1e-9))
      if (largeUs < smallUs || largeUs > smallUs * 256) return
      assert.ok(Math.abs(costUs(line, LARGE_REQUEST_BYTES) / largeUs - 1) < 1e-6)
      assert.ok(Math.abs(costUs(line, SMALL_REQUEST_BYTES) / smallUs - 1) < 1e-6)
    }),
  )
})

/** Full until, now, and the wait with a burst of 100. */
const BUCKETS: readonly (readonly [number, number, number])[] = [
  [0, 1000, 0],
  [1000, 1000, 0],
  [1100, 1000, 0],
  [1101, 1000, 1],
  [5000, 1000, 3900],
]

for (const [fullUs, nowUs, waitUs] of BUCKETS) {
  test(`bucketWaitUs() is ${waitUs} of a bucket that is full until ${fullUs}, at ${nowUs}`, () => {
    assert.equal(bucketWaitUs(fullUs, nowUs, 100), waitUs)
  })
}

/** Both buckets, from now on; the wait with a burst of 100; until when the own one is full after a request of 30. */
const PAIRS: readonly (readonly [fullUs: number, ownUs: number, waitUs: number, after: number])[] =
  [
    [0, 0, 0, 30],
    [100, 100, 0, 130],
    [150, 0, 50, 30],
    // It has had its part: others leave half the burst, which does not count.
    [50, 1000, 0, 1000],
    [51, 1000, 1, 1030],
    [100, 1000, 50, 1030],
    // Its part is free before what others leave.
    [100, 110, 10, 140],
    [300, 110, 200, 140],
  ]

for (const [fullUs, ownFullUs, waitUs, afterUs] of PAIRS) {
  test(`a device full for ${fullUs} and a part of it full for ${ownFullUs} make a request wait ${waitUs}`, () => {
    const nowUs = 1000
    const times = { fullUs: nowUs + fullUs, ownFullUs: nowUs + ownFullUs }
    const buckets: Buckets = { ...times, nowUs, burstUs: 100, isLeft: true }

    assert.equal(bucketsWaitUs(buckets), waitUs)
    assert.equal(fillOwnBucket(buckets, 30), nowUs + afterUs)
  })
}

test('a device with much in flight leaves nothing to a thread that has had its part', () => {
  const buckets: Buckets = { fullUs: 0, ownFullUs: 1200, nowUs: 1000, burstUs: 100, isLeft: false }

  assert.equal(bucketsWaitUs(buckets), 100)
  assert.equal(fillOwnBucket(buckets, 30), 1230)
})

test('leftWindowUs() is half of the window without what others use, and never less than a quarter', () => {
  assert.equal(leftWindowUs(2000, 0), 1000)
  assert.equal(leftWindowUs(2000, 300), 700)
  assert.equal(leftWindowUs(2000, 5000), 500)
})

test('windowPartUs() is what others do not use, and never less than the part by shares', () => {
  assert.equal(windowPartUs(2000, 0.25, 0), 2000)
  assert.equal(windowPartUs(2000, 0.25, 600), 1400)
  assert.equal(windowPartUs(2000, 0.25, 1900), 500)
  assert.equal(windowPartUs(2000, 0.25, 9000), 500)
})

test('a bucket lets no more through than time passes, and a burst and a request', () => {
  const step = fc.record({
    passUs: fc.integer({ min: 0, max: 500 }),
    requestUs: fc.integer({ min: 1, max: 300 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let [nowUs, fullUs, takenUs] = [0, 0, 0]
      for (const { passUs, requestUs } of steps) {
        nowUs += passUs
        if (bucketWaitUs(fullUs, nowUs, 100) > 0) continue
        fullUs = fillBucket(fullUs, nowUs, requestUs)
        takenUs += requestUs
      }
      assert.ok(takenUs <= nowUs + 100 + 300)
    }),
  )
})

test('fractionOf() is the whole for who asks alone, and never more', () => {
  assert.deepEqual(
    [fractionOf(5, 5), fractionOf(5, 3), fractionOf(1, 4), fractionOf(1000, 1250)],
    [1, 1, 0.25, 0.8],
  )
})

test('windowAdmits() always admits one request, then what fits', () => {
  assert.equal(windowAdmits(0, 5000, 100), true)
  assert.equal(windowAdmits(60, 40, 100), true)
  assert.equal(windowAdmits(61, 40, 100), false)
})

test('windowUsOf() keeps as many requests in flight as a slow device needs', () => {
  const limits = (operationsPerSecond: number) => ({ bytesPerSecond: 1e9, operationsPerSecond })
  const fast = { read: limits(1e6), write: limits(1e6) }
  const slow = { read: limits(1e6), write: limits(100) }

  assert.equal(windowUsOf(fast, 32, 1000), 2000)
  assert.equal(windowUsOf(slow, 32, 1000), 640_000)
})

const candidate = (virtualUs: number, refusedUs: number, isUrgent = false): Candidate => {
  return { virtualUs, refusedUs, isUrgent }
}
const RULES = { nowUs: 10_000, starvationUs: 1000, leadUs: 50 }

test('pickNext() takes who has had least', () => {
  const [least, oldest] = [candidate(1, 9900), candidate(2, 9800)]

  assert.equal(pickNext({ least, oldest, urgent: undefined }, RULES), least)
})

test('pickNext() takes who is urgent, unless it is too far ahead', () => {
  const least = candidate(100, 9900)
  const [near, far] = [candidate(150, 9950, true), candidate(151, 9950, true)]

  assert.equal(pickNext({ least, oldest: least, urgent: near }, RULES), near)
  assert.equal(pickNext({ least, oldest: least, urgent: far }, RULES), least)
})

test('pickNext() takes who starves before who is urgent', () => {
  const [least, oldest] = [candidate(1, 9900, true), candidate(900, 8999)]

  assert.equal(pickNext({ least, oldest, urgent: least }, RULES), oldest)
})
