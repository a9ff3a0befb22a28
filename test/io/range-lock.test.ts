import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { executor, yieldNow } from '../../src/index.ts'
import { type RangeHold, RangeLock } from '../../src/io/ranges/range-lock.ts'

/** One who asked for a range, and what became of it. */
interface Asker extends RangeHold {
  endBytes: number
  readonly controller: AbortController
  hold: RangeHold | null
  isGranted: boolean
}

/** The lock as it is described, with a look at everybody in front at each question. */
class Model {
  readonly askers: Asker[] = []

  mayHold(asker: Asker): boolean {
    const before = this.askers.slice(0, this.askers.indexOf(asker))
    return !before.some((other) => conflict(asker, other))
  }

  get holders(): Asker[] {
    return this.askers.filter(({ isGranted }) => isGranted)
  }

  get waiting(): Asker[] {
    return this.askers.filter(({ isGranted }) => !isGranted)
  }

  /** Grants what may be; who holds something keeps it. */
  settle(): void {
    for (const asker of this.askers) asker.isGranted ||= this.mayHold(asker)
  }

  remove(asker: Asker): void {
    this.askers.splice(this.askers.indexOf(asker), 1)
    this.settle()
  }
}

const positions = fc.oneof(fc.nat(8), fc.nat(60), fc.constantFrom(2 ** 32, 2 ** 40))
const range = fc.record({
  kind: fc.constant('acquire' as const),
  start: positions,
  length: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constantFrom(50, Infinity)),
  isExclusive: fc.boolean(),
  isTried: fc.boolean(),
})
const choice = <Kind extends string>(kind: Kind) =>
  fc.record({ kind: fc.constant(kind), pick: fc.nat(999) })
const step = fc.oneof(
  { weight: 6, arbitrary: range },
  { weight: 3, arbitrary: choice('release') },
  { weight: 2, arbitrary: choice('abort') },
  { weight: 1, arbitrary: choice('narrow') },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function conflict(a: RangeHold, b: RangeHold): boolean {
  if (a.startBytes === a.endBytes || b.startBytes === b.endBytes) return false
  const overlap = a.startBytes < b.endBytes && b.startBytes < a.endBytes
  return overlap && (a.isExclusive || b.isExclusive)
}

async function settleTurns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await yieldNow()
}

test('RangeLock grants what a look at everybody in front would grant, and then', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const lock = new RangeLock(executor())
      const model = new Model()
      for (const action of steps) {
        act(lock, model, action)
        await settleTurns()
        check(model)
      }
      while (model.askers.length > 0) {
        const holder = model.holders[0]
        assert.ok(holder !== undefined, 'somebody holds something while somebody waits')
        lock.release(holder.hold!)
        model.remove(holder)
        await settleTurns()
        check(model)
      }
    }),
    { numRuns: 400 },
  )
})

test('RangeLock grants the same when its trees are made anew', async () => {
  const prng = fc.array(step, { minLength: 300, maxLength: 400, size: 'max' })
  await fc.assert(
    fc.asyncProperty(prng, async (steps) => {
      const lock = new RangeLock(executor())
      const model = new Model()
      for (const action of steps) {
        act(lock, model, action)
        await settleTurns()
        check(model)
      }
    }),
    { numRuns: 10 },
  )
})

function act(lock: RangeLock, model: Model, action: Step): void {
  const { holders, waiting } = model
  if (action.kind === 'acquire') {
    ask(lock, model, action)
  } else if (action.kind === 'release' && holders.length > 0) {
    const holder = holders[action.pick % holders.length]!
    lock.release(holder.hold!)
    model.remove(holder)
  } else if (action.kind === 'narrow') {
    const exclusive = holders.filter(({ isExclusive }) => isExclusive)
    if (exclusive.length === 0) return
    const holder = exclusive[action.pick % exclusive.length]!
    const { startBytes, endBytes } = holder
    holder.endBytes = endBytes === Infinity ? startBytes + 5 : Math.max(startBytes, endBytes - 2)
    lock.narrow(holder.hold!, holder.endBytes)
    model.settle()
  } else if (action.kind === 'abort' && waiting.length > 0) {
    const asker = waiting[action.pick % waiting.length]!
    asker.controller.abort()
    model.remove(asker)
  }
}

function ask(lock: RangeLock, model: Model, action: Step & { kind: 'acquire' }): void {
  const { start: startBytes, length, isExclusive } = action
  const controller = new AbortController()
  const endBytes = startBytes + length
  const asker = { startBytes, endBytes, isExclusive, controller, hold: null, isGranted: false }
  model.askers.push(asker)
  model.settle()
  start(lock, asker, action.isTried && !isExclusive)
}

function start(lock: RangeLock, asker: Asker, isTried: boolean): void {
  if (isTried) asker.hold = lock.trySharing(asker.startBytes, asker.endBytes)
  if (asker.hold !== null) return
  lock.acquire(asker, 'test', { signal: asker.controller.signal }).then(
    (hold) => {
      asker.hold = hold
    },
    () => {},
  )
}

function check({ askers }: Model): void {
  const granted = askers.map(({ hold }) => hold !== null)
  assert.deepEqual(
    granted,
    askers.map(({ isGranted }) => isGranted),
  )
}
