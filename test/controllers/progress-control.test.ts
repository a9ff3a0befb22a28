import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProgressControl } from '../../src/controllers/progress-control.ts'

const STEP = { horizon: 4, elapsed: 1, period: 1 }

test('adjust() keeps the shares of work that is on its line', () => {
  const control = new ProgressControl(100)

  for (let i = 0; i < 100; i++) assert.equal(control.adjust({ ...STEP, lag: 0 }), 100)
})

test('adjust() stays between 1 and 1000 shares, whatever the lag', () => {
  const lags = fc.array(fc.double({ noNaN: true }), { maxLength: 50 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1000 }), lags, (shares, given) => {
      const control = new ProgressControl(shares)
      for (const lag of given) {
        const found = control.adjust({ ...STEP, lag })
        assert.ok(found >= 1 && found <= 1000, `${found}`)
      }
    }),
  )
})

test('adjust() leaves its bound at once when the error turns, however long it was there', () => {
  const short = new ProgressControl(100)
  const long = new ProgressControl(100)
  short.adjust({ ...STEP, lag: 100 })
  for (let i = 0; i < 10_000; i++) long.adjust({ ...STEP, lag: 100 })

  const [afterShort, afterLong] = [short, long].map((control) =>
    control.adjust({ ...STEP, lag: -2 }),
  )

  assert.equal(afterLong, afterShort)
  assert.ok(afterLong! < 100)
})

test('adjust() does not catch up on a gap', () => {
  const [gap, periods] = [new ProgressControl(100), new ProgressControl(100)]

  const afterGap = gap.adjust({ ...STEP, lag: 1, elapsed: 1e9 })
  const afterPeriods = periods.adjust({ ...STEP, lag: 1, elapsed: 4 })

  assert.equal(afterGap, afterPeriods)
})

test('adjust() takes a clock that stands still, or is set back, for no time', () => {
  const control = new ProgressControl(100)

  const found = [-5, 0].map((elapsed) => control.adjust({ ...STEP, lag: 1, elapsed }))

  assert.equal(found[0], found[1])
})

test('follow() goes on without a jump', () => {
  for (const shares of [2, 40, 700]) {
    const control = new ProgressControl(1)
    control.follow(shares, 0.5, 4)

    const found = control.adjust({ ...STEP, lag: 0.5 })

    assert.ok(found > shares * 0.99 && found < shares * 1.2, `${shares} went to ${found}`)
  }
})

test('the loop settles beside any rival and at any demand that can be met', () => {
  const rivals = fc.double({ min: 1, max: 1000, noNaN: true })
  const loads = fc.double({ min: 0.02, max: 0.95, noNaN: true })
  fc.assert(
    fc.property(rivals, loads, fc.integer({ min: 1, max: 1000 }), (rival, load, initial) => {
      // The most it can have of the thread, and what the line asks of it.
      const demand = (load * 1000) / (1000 + rival)
      fc.pre(demand > 1.2 / (1 + rival))
      const control = new ProgressControl(initial)
      let shares = initial
      let lag = 0
      let worst = 0
      for (let period = 0; period < 1000; period++) {
        lag += 1 - shares / (shares + rival) / demand
        shares = control.adjust({ ...STEP, lag })
        if (period > 900) worst = Math.max(worst, Math.abs(lag))
      }
      assert.ok(worst < 0.5, `a lag of ${worst} periods is left at ${shares} shares`)
    }),
    { numRuns: 300 },
  )
})
