/** Counts what the lock does rather than take the time: eight times as many claims may cost that much more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor, yieldNow } from '../../src/index.ts'
import { effort } from '../../src/io/ranges/obstacle.ts'
import { type RangeHold, RangeLock } from '../../src/io/ranges/range-lock.ts'

const FEW = 256
const MANY: number = 8 * FEW
/** Logarithms of these differ by a third; the rest is the shape of trees. */
const RATIO_MAX = 2
const BLOCK = 4096
const GROUP = 64

type Arrange = (lock: RangeLock, count: number) => Promise<unknown>

function block(index: number, isExclusive: boolean): RangeHold {
  return { startBytes: index * BLOCK, endBytes: (index + 1) * BLOCK, isExclusive }
}

function behind(startBytes: number, isExclusive: boolean): RangeHold {
  return { startBytes, endBytes: Infinity, isExclusive }
}

/** Takes a hold, has it for a turn and gives it back, as an operation does. */
async function pass(lock: RangeLock, range: RangeHold): Promise<void> {
  const hold =
    (range.isExclusive ? null : lock.trySharing(range.startBytes, range.endBytes)) ??
    (await lock.acquire(range, 'test', undefined))
  await yieldNow()
  lock.release(hold)
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index))
}

/** Where the `index`th of `count` is when they are shuffled, the same way each time. */
function shuffled(index: number, count: number): number {
  return (index * 7919) % count
}

/** One who holds all, those who wait for it, and what gives up while they do, in an order of its own. */
async function giveUp(
  lock: RangeLock,
  ranges: readonly RangeHold[],
  place: (index: number) => number,
): Promise<void> {
  const hold = await lock.acquire(behind(0, true), 'test', undefined)
  const controllers = ranges.map(() => new AbortController())
  const waits = ranges.map((range, index) => {
    return lock.acquire(range, 'test', { signal: controllers[index]!.signal })
  })
  const settled = Promise.allSettled(waits)
  for (const index of ranges.keys()) controllers[place(index)]!.abort()
  lock.release(hold)
  await settled
}

/** Many who share what one behind each group of them wants alone, as writes do with an allocation. */
function shareInGroups(
  lock: RangeLock,
  count: number,
  alone: (from: number, to: number) => RangeHold,
): Promise<unknown> {
  const waits: Promise<void>[] = []
  for (let index = 0; index < count; index++) {
    waits.push(pass(lock, block(index, false)))
    if (index % GROUP === GROUP - 1) waits.push(pass(lock, alone(index + 1 - GROUP, index + 1)))
  }
  return Promise.all(waits)
}

async function measure(arrange: Arrange, count: number): Promise<number> {
  const lock = new RangeLock(executor())
  const before = effort.steps
  await arrange(lock, count)
  const stepsEach = (effort.steps - before) / count
  // It is as good as new: nobody holds anything, nor is remembered.
  lock.release(await lock.acquire(behind(0, true), 'test', undefined))
  return stepsEach
}

const CASES: readonly (readonly [string, Arrange])[] = [
  ['nobody is exclusive', (lock, n) => Promise.all(times(n, (i) => pass(lock, block(i, false))))],
  [
    'one in the middle is alone everywhere',
    (lock, n) => {
      const half = times(n / 2, (i) => pass(lock, block(i, false)))
      const one = pass(lock, behind(0, true))
      return Promise.all([...half, one, ...times(n / 2, (i) => pass(lock, block(i, false)))])
    },
  ],
  [
    'all are behind one that is alone everywhere',
    (lock, n) => {
      const one = pass(lock, behind(0, true))
      return Promise.all([one, ...times(n, (i) => pass(lock, block(i, false)))])
    },
  ],
  [
    'all are alone everywhere, one after the other',
    (lock, n) => Promise.all(times(n, () => pass(lock, behind(0, true)))),
  ],
  [
    'all are alone, each on a block of its own',
    (lock, n) => Promise.all(times(n, (i) => pass(lock, block(shuffled(i, n), true)))),
  ],
  [
    'all are alone from a block on',
    (lock, n) => Promise.all(times(n, (i) => pass(lock, behind(shuffled(i, n), true)))),
  ],
  [
    'half are alone on blocks, and half share them all',
    (lock, n) => {
      const alone = times(n / 2, (i) => pass(lock, block(i, true)))
      return Promise.all([...alone, ...times(n / 2, () => pass(lock, behind(0, false)))])
    },
  ],
  [
    'half share all blocks, and half are alone on them',
    (lock, n) => {
      const sharing = times(n / 2, () => pass(lock, behind(0, false)))
      return Promise.all([...sharing, ...times(n / 2, (i) => pass(lock, block(i, true)))])
    },
  ],
  [
    'who is alone on a block comes among many, again and again',
    async (lock, n) => {
      const holds = times(n, (i) => lock.trySharing(i * BLOCK, (i + 1) * BLOCK)!)
      for (let i = 0; i < n; i++) await pass(lock, block(n + i, true))
      for (const hold of holds) lock.release(hold)
    },
  ],
  [
    'one in so many is alone everywhere',
    (lock, n) => shareInGroups(lock, n, () => behind(0, true)),
  ],
  [
    'one in so many is alone where they are',
    (lock, n) =>
      shareInGroups(lock, n, (from, to) => ({
        startBytes: from * BLOCK,
        endBytes: to * BLOCK,
        isExclusive: true,
      })),
  ],
  [
    'one in so many is alone where half of them are',
    (lock, n) =>
      shareInGroups(lock, n, (from, to) => ({
        startBytes: ((from + to) / 2) * BLOCK,
        endBytes: to * BLOCK,
        isExclusive: true,
      })),
  ],
  [
    'holds end in the opposite order',
    async (lock, n) => {
      const alone = await Promise.all(
        times(n / 2, (i) => lock.acquire(block(i, true), 'test', undefined)),
      )
      const sharing = times(n / 2, () => pass(lock, behind(0, false)))
      for (const hold of alone.reverse()) lock.release(hold)
      await Promise.all(sharing)
    },
  ],
  [
    'all give up, the first first',
    (lock, n) =>
      giveUp(
        lock,
        times(n, (i) => behind(0, i % 2 === 0)),
        (i) => i,
      ),
  ],
  [
    'all give up, the last first',
    (lock, n) =>
      giveUp(
        lock,
        times(n, (i) => behind(i % 3, i % 2 === 0)),
        (i) => n - 1 - i,
      ),
  ],
  [
    'all give up, in any order',
    (lock, n) =>
      giveUp(
        lock,
        times(n, (i) => block(i % 64, i % 2 === 0)),
        (i) => shuffled(i, n),
      ),
  ],
]

for (const [name, arrange] of CASES) {
  test(`RangeLock costs no more for each of many than of few when ${name}`, async () => {
    const few = await measure(arrange, FEW)
    const many = await measure(arrange, MANY)

    assert.ok(many <= RATIO_MAX * few + 1, `${many} steps each for ${MANY}, ${few} for ${FEW}`)
  })
}

test('claims that share cost nothing for who wants all alone, and a few steps behind it', async () => {
  const everywhere = (): RangeHold => behind(0, true)
  const stepsEach = await measure((lock, n) => shareInGroups(lock, n, everywhere), MANY)

  // By a tree of them it was more than their logarithm, several times.
  assert.ok(stepsEach <= 8, `${stepsEach} steps each`)
})
