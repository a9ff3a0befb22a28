import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { executor, yieldNow } from '../../src/index.ts'
import { type RangeHold, RangeLock } from '../../src/io/range-lock.ts'

/** One who asked: a range, and what became of it. */
interface Asker extends RangeHold {
  endBytes: number
  readonly controller: AbortController
  hold: RangeHold | null
  isWaiting: boolean
}

const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('acquire' as const),
      start: fc.nat(8),
      length: fc.integer({ min: 1, max: 5 }),
      isExclusive: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), pick: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), pick: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('narrow' as const), pick: fc.nat(99) }) },
)

function conflict(a: RangeHold, b: RangeHold): boolean {
  const overlap = a.startBytes < b.endBytes && b.startBytes < a.endBytes
  return overlap && (a.isExclusive || b.isExclusive)
}

test('holds never conflict, and who waits has somebody before it to wait for', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const lock = new RangeLock(executor())
      const askers: Asker[] = []
      const remove = (asker: Asker): void => void askers.splice(askers.indexOf(asker), 1)

      for (const action of steps) {
        const held = askers.filter(({ hold }) => hold !== null)
        const waiting = askers.filter(({ isWaiting }) => isWaiting)
        if (action.kind === 'acquire') {
          const asker = ask(action.start, action.start + action.length, action.isExclusive)
          askers.push(asker)
          start(lock, asker, remove)
        } else if (action.kind === 'release' && held.length > 0) {
          const asker = held[action.pick % held.length]!
          lock.release(asker.hold!)
          remove(asker)
        } else if (action.kind === 'narrow' && held.length > 0) {
          const asker = held[action.pick % held.length]!
          asker.endBytes = Math.max(asker.startBytes, asker.endBytes - 1)
          lock.narrow(asker.hold!, asker.endBytes)
        } else if (action.kind === 'abort' && waiting.length > 0) {
          waiting[action.pick % waiting.length]!.controller.abort()
        }
        for (let turn = 0; turn < 3; turn++) await yieldNow()
        check(askers)
      }
      // Everybody gets a turn in the end.
      while (askers.length > 0) {
        const holder = askers.find(({ hold }) => hold !== null)
        assert.ok(holder !== undefined, 'somebody holds something while somebody waits')
        lock.release(holder.hold!)
        remove(holder)
        for (let turn = 0; turn < 3; turn++) await yieldNow()
        check(askers)
      }
      const whole = { startBytes: 0, endBytes: Infinity, isExclusive: true }
      lock.release(await lock.acquire(whole, 'test', undefined))
    }),
    { numRuns: 150 },
  )
})

function ask(startBytes: number, endBytes: number, isExclusive: boolean): Asker {
  const controller = new AbortController()
  return { startBytes, endBytes, isExclusive, controller, hold: null, isWaiting: true }
}

function start(lock: RangeLock, asker: Asker, remove: (asker: Asker) => void): void {
  lock.acquire(asker, 'test', { signal: asker.controller.signal }).then(
    (hold) => {
      asker.hold = hold
      asker.isWaiting = false
    },
    () => remove(asker),
  )
}

function check(askers: readonly Asker[]): void {
  askers.forEach((asker, index) => {
    const before = askers.slice(0, index)
    if (asker.hold !== null) {
      const others = askers.filter((other) => other !== asker && other.hold !== null)
      assert.ok(!others.some((other) => conflict(asker, other)), 'two hold the same')
    } else {
      assert.ok(
        before.some((other) => conflict(asker, other)),
        'it waits for nobody',
      )
    }
  })
}
