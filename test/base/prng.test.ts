import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Prng } from '../../src/base/index.ts'

test('equal seeds give equal sequences, and near ones different sequences', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (seed) => {
      const [first, again, next] = [new Prng(seed), new Prng(seed), new Prng(seed + 1)]
      const values = Array.from({ length: 8 }, () => first.uint32())

      assert.deepEqual(
        Array.from({ length: 8 }, () => again.uint32()),
        values,
      )
      assert.notDeepEqual(
        Array.from({ length: 8 }, () => next.uint32()),
        values,
      )
    }),
  )
})

test('seeds that differ above 2^32 give different sequences', () => {
  assert.notEqual(new Prng(7).uint32(), new Prng(7 + 2 ** 32).uint32())
})

test('int() stays within its bounds, and reaches both', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer(), fc.nat({ max: 3 }), (seed, min, span) => {
      const prng = new Prng(seed)
      const seen = new Set(Array.from({ length: 200 }, () => prng.int(min, min + span)))

      assert.equal(Math.min(...seen), min)
      assert.equal(Math.max(...seen), min + span)
    }),
  )
})

test('chance() of 0 is never, of 1 always, of a half about half the time', () => {
  const prng = new Prng(1)
  const count = (probability: number): number =>
    Array.from({ length: 10_000 }, () => prng.chance(probability)).filter(Boolean).length

  assert.equal(count(0), 0)
  assert.equal(count(1), 10_000)
  assert.ok(Math.abs(count(0.5) - 5000) < 300)
})

test('bits are about even', () => {
  const prng = new Prng(42)
  const ones = new Array<number>(32).fill(0)
  for (let i = 0; i < 10_000; i++) {
    const value = prng.uint32()
    for (let bit = 0; bit < 32; bit++) ones[bit]! += (value >>> bit) & 1
  }

  assert.ok(ones.every((count) => Math.abs(count - 5000) < 300))
})

test('shuffle() keeps every element, and pick() takes one of them', () => {
  fc.assert(
    fc.property(fc.nat(), fc.array(fc.integer(), { minLength: 1 }), (seed, values) => {
      const prng = new Prng(seed)
      const shuffled = prng.shuffle([...values])

      assert.deepEqual([...shuffled].sort(), [...values].sort())
      assert.ok(values.includes(prng.pick(values)))
    }),
  )
})
