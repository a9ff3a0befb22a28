import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { random, spawn } from '../../src/index.ts'
import { type SimulationOptions, simulate } from '../../src/testing/index.ts'
import { nowMs, sleep, wallClockMs } from '../../src/time/index.ts'

const HOUR_MS = 3_600_000
const YEAR_2000_MS = Date.UTC(2000, 0, 1)

interface Seen {
  readonly dateMs: number
  readonly now: number
  readonly random: number
}

function look(): Seen {
  return { dateMs: Date.now(), now: performance.now(), random: Math.random() }
}

function lookTwice(options: SimulationOptions): Promise<readonly [Seen, Seen]> {
  return simulate(options, async () => {
    const first = look()
    await sleep(HOUR_MS)
    return [first, await spawn(look)]
  })
}

test('Date, performance.now() and Math.random() are decided by the seed, in virtual time', async () => {
  const [first, second] = await lookTwice({ seed: 1 })

  assert.deepEqual(await lookTwice({ seed: 1 }), [first, second])
  assert.notEqual((await lookTwice({ seed: 2 }))[0].random, first.random)
  assert.ok(first.now >= 0 && first.now < 1000)
  assert.ok(first.dateMs >= YEAR_2000_MS && first.dateMs < YEAR_2000_MS + 10_000)
  for (const passedMs of [second.dateMs - first.dateMs, second.now - first.now]) {
    assert.ok(passedMs >= HOUR_MS && passedMs < HOUR_MS + 1000)
  }
  assert.ok(second.random >= 0 && second.random < 1)
})

test('random(), nowMs() and wallClockMs() are right in a simulation, and outside of it', async () => {
  const program = async (): Promise<number[]> => {
    const startMs = nowMs()
    await sleep(HOUR_MS)
    return [random(), random(), nowMs() - startMs, wallClockMs()]
  }

  const [first, second, passedMs, dateMs] = await simulate(1, program)

  assert.deepEqual(await simulate(1, program), [first, second, passedMs, dateMs])
  assert.notEqual(first, second)
  assert.ok(passedMs! >= HOUR_MS && dateMs! < YEAR_2000_MS + 2 * HOUR_MS)
  assert.ok(random() >= 0 && random() < 1)
  assert.ok(Math.abs(wallClockMs() - Date.now()) < 60_000)
  const earlierMs = nowMs()
  assert.ok(nowMs() >= earlierMs)
})

test('code beside a simulation sees the real clock, and all is put back at its end', async () => {
  const before = [Date, Math.random, performance.now]
  let tell = (): void => {}
  const told = new Promise<void>((resolve) => {
    tell = resolve
  })
  const running = simulate(1, async () => {
    tell()
    for (let round = 0; round < 50; round++) await sleep(1)
  })
  await told

  assert.ok(new Date().getFullYear() > 2020)
  await running
  assert.deepEqual([Date, Math.random, performance.now], before)
})

test('a Date of a simulated program is one as any other', async () => {
  await simulate(1, () => {
    class Later extends Date {}
    const date = new Date()

    assert.ok(date instanceof Date)
    assert.equal(date.getUTCFullYear(), 2000)
    assert.equal(new Date(0).getTime(), 0)
    assert.equal(new Date(2020, 1, 2).getFullYear(), 2020)
    assert.equal(Date.parse('1970-01-01T00:00:00Z'), 0)
    assert.match(Date(), / 2000 |1999/)
    assert.ok(new Later() instanceof Later)
    assert.equal(new Later().getUTCFullYear(), 2000)
  })
})

test('simulate() leaves the globals alone when told to', async () => {
  const [first] = await lookTwice({ seed: 1, virtualGlobals: false })

  assert.ok(first.dateMs > Date.UTC(2020, 0, 1))
})

test('a date that a test has faked stays so in the program, and after it', async () => {
  mock.timers.enable({ apis: ['Date'], now: 1234 })
  try {
    const [first] = await lookTwice({ seed: 1 })

    assert.equal(first.dateMs, 1234)
    assert.equal(Date.now(), 1234)
  } finally {
    mock.timers.reset()
  }
  assert.ok(Date.now() > 1234)
})

test('a Date.now() that a test has mocked is asked by the program', async (t) => {
  const mocked = t.mock.method(Date, 'now', () => 5678)
  const [first] = await lookTwice({ seed: 1 })
  mocked.mock.restore()

  assert.equal(first.dateMs, 5678)
})

test('globals are put back when the program fails or hangs', async () => {
  const before = [Date, Math.random, performance.now]

  await assert.rejects(simulate(1, () => Promise.reject(new Error('no'))))
  await assert.rejects(simulate(1, () => new Promise(() => {})))

  assert.deepEqual([Date, Math.random, performance.now], before)
})
