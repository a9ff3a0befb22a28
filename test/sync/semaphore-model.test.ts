import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { executor, yieldNow } from '../../src/index.ts'
import { type Permit, RwLock, Semaphore, type SharedGuard } from '../../src/sync/index.ts'
import { settle, type Watched, watch } from './watch.ts'

type Step =
  | { readonly kind: 'acquire' | 'try' | 'signal'; readonly count: number }
  | { readonly kind: 'release' | 'abort'; readonly pick: number }
  | { readonly kind: 'turn' }

const count = fc.integer({ min: 0, max: 4 })
const pick = fc.nat({ max: 1000 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('acquire' as const), count }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('try' as const), count }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('signal' as const), count }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), pick }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('abort' as const), pick }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'turn' as const }) },
)

interface Request {
  readonly count: number
  readonly controller: AbortController
  readonly watched: Watched<{ release(): void }>
  /** What the model says. */
  state: 'waiting' | 'granted' | 'aborted' | 'released'
}

/** The reference: a number and a list. */
class Model {
  available: number
  readonly requests: Request[] = []

  constructor(available: number) {
    this.available = available
  }

  get waiting(): Request[] {
    return this.requests.filter(({ state }) => state === 'waiting')
  }

  isFree(wanted: number): boolean {
    return wanted === 0 || (wanted <= this.available && this.waiting.length === 0)
  }

  grant(): void {
    for (const request of this.waiting) {
      if (request.count > this.available) return
      this.available -= request.count
      request.state = 'granted'
    }
  }

  /** Those that may be released: granted, and settled, as only then the guard is to be had. */
  get held(): Request[] {
    return this.requests.filter(
      ({ state, watched }) => state === 'granted' && watched.state === 'fulfilled',
    )
  }
}

function choose<T>(values: readonly T[], index: number): T | undefined {
  return values[index % Math.max(1, values.length)]
}

async function apply(semaphore: Semaphore, model: Model, taken: Step): Promise<void> {
  if (taken.kind === 'acquire') {
    const controller = new AbortController()
    const watched = watch(semaphore.acquire(taken.count, { signal: controller.signal }))
    const isFree = model.isFree(taken.count)
    if (isFree) model.available -= taken.count
    const state = isFree ? 'granted' : 'waiting'
    model.requests.push({ count: taken.count, controller, watched, state })
  } else if (taken.kind === 'try') {
    const permit = semaphore.tryAcquire(taken.count)
    assert.equal(permit !== null, model.isFree(taken.count))
    permit?.release()
  } else if (taken.kind === 'signal') {
    semaphore.signal(taken.count)
    model.available += taken.count
    model.grant()
  } else if (taken.kind === 'release') {
    const request = choose(model.held, taken.pick)
    if (request === undefined) return
    request.watched.value!.release()
    request.state = 'released'
    model.available += request.count
    model.grant()
  } else if (taken.kind === 'abort') {
    const request = choose(model.requests, taken.pick)
    request?.controller.abort(new Error('aborted'))
    if (request?.state !== 'waiting') return
    request.state = 'aborted'
    model.grant()
  } else {
    await settle()
    checkSettled(model)
  }
}

function checkSettled(model: Model): void {
  for (const { state, watched } of model.requests) {
    const expected = { waiting: 'pending', granted: 'fulfilled', aborted: 'rejected' }
    if (state !== 'released') assert.equal(watched.state, expected[state])
  }
}

test('Semaphore does what a list and a number do, whatever is acquired, released and aborted when', async () => {
  const property = fc.asyncProperty(
    fc.integer({ min: 0, max: 4 }),
    fc.array(step, { maxLength: 60 }),
    async (initialCount, steps) => {
      const semaphore = new Semaphore(initialCount)
      const model = new Model(initialCount)

      for (const taken of steps) {
        await apply(semaphore, model, taken)
        assert.equal(semaphore.available, model.available)
        assert.equal(semaphore.waiterCount, model.waiting.length)
      }

      // Enough for everyone: nobody may be stuck.
      await apply(semaphore, model, { kind: 'signal', count: 500 })
      await apply(semaphore, model, { kind: 'turn' })
      assert.equal(model.waiting.length, 0)
      for (const request of model.held) request.watched.value!.release()
      const signalled = steps.reduce(
        (sum, taken) => sum + (taken.kind === 'signal' ? taken.count : 0),
        0,
      )
      assert.equal(semaphore.available, initialCount + signalled + 500)
    },
  )

  await fc.assert(property, { numRuns: 300 })
})

type LockStep =
  | { readonly kind: 'read' | 'write' }
  | Extract<Step, { pick: number }>
  | { readonly kind: 'turn' }

const lockStep: fc.Arbitrary<LockStep> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: 'read' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'write' as const }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('release' as const), pick }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('abort' as const), pick }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'turn' as const }) },
)

interface LockRequest {
  readonly isWriter: boolean
  readonly controller: AbortController
  readonly watched: Watched<SharedGuard<string>>
}

function isHeld({ watched }: LockRequest): boolean {
  return watched.state === 'fulfilled' && !watched.value!.isReleased
}

test('RwLock keeps writers alone and order strict, and leaves nobody waiting at the end', async () => {
  const property = fc.asyncProperty(fc.array(lockStep, { maxLength: 60 }), async (steps) => {
    const lock = new RwLock('value')
    const requests: LockRequest[] = []

    const check = (): void => {
      const held = requests.filter(isHeld)
      const isWriting = held.some(({ isWriter }) => isWriter)
      assert.ok(!isWriting || held.length === 1, 'a writer is alone')
      const states = requests.map(({ watched }) => watched.state)
      const firstPending = states.indexOf('pending')
      if (firstPending !== -1) {
        assert.ok(!states.slice(firstPending).includes('fulfilled'), 'nobody overtakes')
        assert.ok(held.length > 0, 'who waits, waits for somebody')
      }
    }
    for (const taken of steps) {
      if (taken.kind === 'read' || taken.kind === 'write') {
        const controller = new AbortController()
        const { signal } = controller
        const isWriter = taken.kind === 'write'
        const watched = watch<SharedGuard<string>>(
          isWriter ? lock.write({ signal }) : lock.read({ signal }),
        )
        requests.push({ isWriter, controller, watched })
      } else if (taken.kind === 'release') {
        choose(requests.filter(isHeld), taken.pick)?.watched.value?.release()
      } else if (taken.kind === 'abort') {
        choose(requests, taken.pick)?.controller.abort(new Error('aborted'))
      } else {
        await settle()
        check()
      }
    }

    for (let round = 0; round <= requests.length; round++) {
      await settle()
      for (const request of requests.filter(isHeld)) request.watched.value!.release()
    }
    assert.ok(requests.every(({ watched }) => watched.state !== 'pending'))
    assert.equal(lock.takeValue(), 'value')
  })

  await fc.assert(property, { numRuns: 200 })
})

test('a permit that is granted in the turn in which its time limit passes is not lost', async () => {
  for (let round = 0; round < 100; round++) {
    const semaphore = new Semaphore(0)
    const startNs = executor().nowNs()
    const wait = semaphore.acquire(1, { timeoutMs: 0.05 * (round % 4) }).then(
      (permit: Permit) => permit,
      () => null,
    )
    while (executor().nowNs() < startNs + 50_000 * (round % 3)) if (round % 2) await yieldNow()

    semaphore.signal()
    const outcome = await wait

    outcome?.release()
    assert.equal(semaphore.available, 1)
  }
})
