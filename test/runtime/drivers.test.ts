/** Layouts and policies: pure functions, by table. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type DriverLayout,
  type DriverLoad,
  dedicatedCores,
  hybridPerCore,
  leastBusy,
  type PickOptions,
  splitSiblings,
} from '../../src/runtime/index.ts'
import { planDrivers } from '../../src/runtime/runtime.ts'
import { SimKernel, simTopology } from '../../src/sim/index.ts'
import { type CpuSet, Topology } from '../../src/topology/index.ts'

/** Two nodes of two cores with two hardware threads each. */
const machine = Topology.read(
  new SimKernel({ topology: simTopology({ nodeCount: 2, coreCount: 2, threadCount: 2 }) }),
)
const nodes = machine.allowed.groupBy('node').map((cpus) => ({ node: cpus.node!, cpus }))

function show(layout: DriverLayout, contexts = nodes): string[] {
  return planDrivers(contexts, layout).map(({ name, cpus }) => `${name}: ${cpus.size}`)
}

test('hybridPerCore() has a driver for each core, on its threads', () => {
  assert.deepEqual(show(hybridPerCore), [
    'hybrid-0.0: 2',
    'hybrid-0.1: 2',
    'hybrid-1.0: 2',
    'hybrid-1.1: 2',
  ])
})

test('splitSiblings() has an I/O and a task driver on each core, on sibling threads', () => {
  const plans = planDrivers(nodes, splitSiblings)

  assert.deepEqual(
    plans.map(({ name }) => name),
    ['io-0.0', 'task-0.0', 'io-0.1', 'task-0.1', 'io-1.0', 'task-1.0', 'io-1.1', 'task-1.1'],
  )
  for (let index = 0; index < plans.length; index += 2) {
    const [first, second] = [plans[index]!.cpus, plans[index + 1]!.cpus]
    assert.equal(first.union(second).groupBy('core').length, 1)
    assert.ok(first.isDisjointFrom(second))
  }
})

test('layouts give a core of its own a hybrid driver', () => {
  const single = [{ node: 0, cpus: nodes[0]!.cpus.filter({ smtIndex: 0 }).groupBy('core')[0]! }]

  assert.deepEqual(show(splitSiblings, single), ['hybrid-0.0: 1'])
  assert.deepEqual(show(dedicatedCores(3), single), ['hybrid-0.0: 1'])
})

test('dedicatedCores() leaves a core for tasks, whatever is asked for', () => {
  assert.deepEqual(show(dedicatedCores(9)), [
    'io-0.0: 2',
    'task-0.0: 2',
    'io-1.0: 2',
    'task-1.0: 2',
  ])
})

const core = nodes[0]!.cpus.groupBy('core')
const far = nodes[1]!.cpus.groupBy('core')

function driver(
  name: string,
  cpus: CpuSet,
  pending: number,
  more: Partial<DriverLoad> = {},
): DriverLoad {
  return { name, kind: 'hybrid', cpus, isRunning: true, pendingCount: () => pending, ...more }
}

const drivers = [driver('a', core[0]!, 3), driver('b', core[1]!, 1), driver('c', core[0]!, 2)]
const table: [string, readonly DriverLoad[], PickOptions, string | undefined][] = [
  ['the least busy', drivers, {}, 'b'],
  ['the first of equals', [driver('x', core[0]!, 1), driver('y', core[1]!, 1)], {}, 'x'],
  ['itself, near itself', drivers, { near: 'a' }, 'a'],
  [
    'its core, near one that ended',
    [driver('a', core[0]!, 0, { isRunning: false }), ...drivers.slice(1)],
    { near: 'a' },
    'c',
  ],
  [
    'the least busy, near one much busier',
    [driver('a', core[0]!, 6), driver('b', far[1]!, 1)],
    { near: 'a' },
    'b',
  ],
  [
    'the near one, a bit busier',
    [driver('a', core[0]!, 5), driver('b', far[1]!, 1)],
    { near: 'a' },
    'a',
  ],
  ['the least busy, near nobody known', drivers, { near: 'nobody' }, 'b'],
  ['nobody, where none runs', [driver('a', core[0]!, 0, { isRunning: false })], {}, undefined],
  [
    'one of its kind',
    [driver('a', core[0]!, 0, { kind: 'io' }), driver('b', core[0]!, 9, { kind: 'task' })],
    { needs: 'task' },
    'b',
  ],
  [
    'nobody, where none is of its kind',
    [driver('a', core[0]!, 0, { kind: 'io' })],
    { needs: 'task' },
    undefined,
  ],
]

for (const [what, given, wanted, expected] of table) {
  test(`leastBusy() picks ${what}`, () => {
    assert.equal(leastBusy(given, wanted)?.name, expected)
  })
}

test('leastBusy() counts only work that goes first', () => {
  const busyWithLow = driver('a', core[0]!, 0, { pendingCount: (p) => (p === 'low' ? 9 : 0) })
  const busyWithHigh = driver('b', core[1]!, 0, { pendingCount: () => 1 })

  assert.equal(leastBusy([busyWithHigh, busyWithLow], { priority: 'normal' })?.name, 'a')
  assert.equal(leastBusy([busyWithHigh, busyWithLow], { priority: 'low' })?.name, 'b')
})

test('leastBusy() spreads keys evenly, and moves only those of a driver that is gone', () => {
  const pick = (key: number, from: readonly DriverLoad[]) => leastBusy(from, { key })!.name
  const keys = Array.from({ length: 3000 }, (_, key) => key)
  const before = keys.map((key) => pick(key, drivers))
  const without = [driver('a', core[0]!, 0, { isRunning: false }), drivers[1]!, drivers[2]!]

  const moved = keys.filter((key) => pick(key, without) !== before[key])

  for (const name of ['a', 'b', 'c']) {
    const share = before.filter((each) => each === name).length / keys.length
    assert.ok(share > 0.28 && share < 0.39, `${name} has ${share}`)
  }
  assert.ok(moved.every((key) => before[key] === 'a'))
})
