import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { type SimTopology, simTopology } from '../../src/testing/index.ts'
import {
  type Cpu,
  type CpuLevel,
  type CpuSet,
  Placement,
  PoolPlacement,
  type Topology,
} from '../../src/topology/index.ts'
import * as machines from './machines.ts'
import { changed, topologyOf } from './machines.ts'

/** The order of a policy on a machine, as far as it is asked for. */
const SPREADS: Readonly<Record<string, [SimTopology, number, string]>> = {
  'over nodes, of packages by turns, then over L3 caches': [
    machines.EPYC,
    18,
    '0 64 16 80 32 96 48 112 8 72 24 88 40 104 56 120 1 65',
  ],
  'over all cores of each kind before second threads': [
    machines.HYBRID,
    16,
    '0 2 4 6 8 12 9 13 10 14 11 15 1 3 5 7',
  ],
  'over slow cores apart after those that are efficient': [
    machines.WITH_LOW_POWER,
    18,
    '0 2 4 6 8 12 9 13 10 14 11 15 16 17 1 3 5 7',
  ],
  'over large cores before small ones': [machines.BIG_LITTLE, 6, '4 5 0 1 2 3'],
  'over packages where second threads are offline': [machines.SMT_OFF, 8, '0 4 1 5 2 6 3 7'],
  'over nodes with memory or without': [machines.MEMORYLESS, 6, '0 2 4 1 3 5'],
  'over nodes that have processors': [machines.CPULESS, 4, '0 2 1 3'],
  'over numbers with gaps': [machines.SPARSE, 8, '0 32 8 40 16 48 24 56'],
  'over clusters': [machines.CLUSTERS, 9, '0 4 8 12 1 5 9 13 2'],
  'over nodes within an L3 cache': [machines.SUB_NUMA, 6, '0 8 4 12 1 9'],
  'over nodes that cut across packages': [machines.CROSSED, 8, '0 6 1 7 2 4 3 5'],
  'over one': [machines.ONE, 1, '0'],
}

const PACKS: Readonly<Record<string, [SimTopology, number, string]>> = {
  'into cores, then L3 caches, then nodes': [
    machines.EPYC,
    35,
    '0 128 1 129 2 130 3 131 4 132 5 133 6 134 7 135 8 136 9 137 10 138 11 139 12 140 13 141 14 142 15 143 16 144 17',
  ],
  'into fast cores before modules of slow ones': [
    machines.HYBRID,
    16,
    '0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15',
  ],
  'into slow cores apart at last': [
    machines.WITH_LOW_POWER,
    18,
    '0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17',
  ],
  'into large cores before small ones': [machines.BIG_LITTLE, 6, '4 5 0 1 2 3'],
  'into one package where second threads are offline': [machines.SMT_OFF, 8, '0 1 2 3 4 5 6 7'],
  'into the nearest node next': [machines.MEMORYLESS, 6, '0 1 4 5 2 3'],
  'into nodes that have processors': [machines.CPULESS, 4, '0 1 2 3'],
  'into numbers with gaps': [machines.SPARSE, 5, '0 8 16 24 32'],
  'into clusters': [machines.CLUSTERS, 5, '0 1 2 3 4'],
  'into nodes within an L3 cache': [machines.SUB_NUMA, 10, '0 16 1 17 2 18 3 19 4 20'],
  'into nodes that cut across packages': [machines.CROSSED, 8, '0 1 4 5 2 3 6 7'],
  'into one': [machines.ONE, 1, '0'],
}

for (const [name, [machine, count, expected]] of Object.entries(SPREADS)) {
  test(`maxSpread() spreads ${name}`, () => {
    assert.equal(show(PoolPlacement.maxSpread(count).resolve(topologyOf(machine))), expected)
  })
}

for (const [name, [machine, count, expected]] of Object.entries(PACKS)) {
  test(`maxPack() packs ${name}`, () => {
    assert.equal(show(PoolPlacement.maxPack(count).resolve(topologyOf(machine))), expected)
  })
}

test('maxSpread() and maxPack() use all that is allowed if not told otherwise', () => {
  const topology = topologyOf({ ...machines.EPYC, affinity: '0-15,64-79', cpuset: '8-71' })

  const spread = PoolPlacement.maxSpread().resolve(topology)
  const pack = PoolPlacement.maxPack().resolve(topology)

  assert.equal(show(spread), '8 64 9 65 10 66 11 67 12 68 13 69 14 70 15 71')
  assert.equal(show(pack), '8 9 10 11 12 13 14 15 64 65 66 67 68 69 70 71')
})

test('maxPack() begins with the largest part, so that the fewest are begun', () => {
  const topology = topologyOf({ ...machines.SMT_OFF, cpuset: '0,4-7' })

  assert.equal(show(PoolPlacement.maxPack(4).resolve(topology)), '4 5 6 7')
})

test('maxSpread() takes second threads alone as cores', () => {
  const topology = topologyOf(machines.EPYC)
  const seconds = topology.allowed.filter({ smtIndex: 1, node: 0 })

  assert.equal(show(PoolPlacement.maxSpread(3, seconds).resolve(topology)), '128 136 129')
})

test('maxSpread() and maxPack() keep to the set that they are given', () => {
  const topology = topologyOf(machines.EPYC)
  const set = topology.allowed.filter({ node: 3 })

  for (const placement of [PoolPlacement.maxSpread(16, set), PoolPlacement.maxPack(16, set)]) {
    assert(placement.resolve(topology).every((cpus) => cpus.size === 1 && cpus.isSubsetOf(set)))
  }
})

test('more shards than processors are refused, naming both numbers', () => {
  const topology = topologyOf(machines.SMT_OFF)
  const set = topology.allowed.pick('0-2')
  const expected = (asked: number, there: string) => ({
    code: 'ERR_TOO_FEW_CPUS',
    message: new RegExp(`Cannot place ${asked} shards.*there are ${there}`),
  })

  for (const name of ['maxSpread', 'maxPack'] as const) {
    const resolve = (count: number, cpus?: CpuSet) => () =>
      PoolPlacement[name](count, cpus).resolve(topology)
    assert.throws(resolve(9), expected(9, '8 \\(0-7\\)'))
    assert.throws(resolve(4, set), expected(4, '3 \\(0-2\\)'))
    assert.equal(resolve(8)().length, 8)
  }
})

test('unbound() and fenced() may have more shards than processors', () => {
  const topology = topologyOf({ ...machines.SMT_OFF, affinity: '0-5' })

  const unbound = PoolPlacement.unbound(20).resolve(topology)
  const fenced = PoolPlacement.fenced(20, topology.allowed.pick('1-2')).resolve(topology)

  assert.equal(unbound.length, 20)
  assert(unbound.every((cpus) => String(cpus) === '0-5'))
  assert.equal(fenced.length, 20)
  assert(fenced.every((cpus) => String(cpus) === '1-2'))
})

test('custom() gives out its sets in their order', () => {
  const topology = topologyOf(machines.SMT_OFF)
  const sets = ['4-5', '0', '0,7'].map((list) => topology.allowed.pick(list))

  assert.deepEqual(PoolPlacement.custom(sets).resolve(topology).map(String), ['4-5', '0', '0,7'])
})

test('a shard says which node it is on, and a fenced one may be on several', () => {
  const topology = topologyOf(machines.EPYC)

  const spread = PoolPlacement.maxSpread(3).resolve(topology)
  const [fenced] = PoolPlacement.fenced(1, topology.allowed.pick('0-31')).resolve(topology)

  assert.deepEqual(
    spread.map(({ node }) => node),
    [0, 4, 1],
  )
  assert.deepEqual([fenced!.node, fenced!.nodes], [null, [0, 1]])
})

test('Placement resolves for one thread', () => {
  const topology = topologyOf({ ...machines.SMT_OFF, affinity: '2-5' })

  const found = [
    Placement.unbound(),
    Placement.fenced(topology.allowed.pick('3-4')),
    Placement.fixed(5),
  ].map((placement) => String(placement.resolve(topology)))

  assert.deepEqual(found, ['2-5', '3-4', '5'])
})

test('processors that are missing, offline or not allowed are refused', () => {
  const topology = topologyOf({ ...machines.SMT_OFF, affinity: '0-3' })
  const { online } = topology
  const refusals: Array<[() => unknown, RegExp]> = [
    [() => Placement.fixed(99).resolve(topology), /there is no 99/],
    [() => Placement.fixed(9).resolve(topology), /offline/],
    [() => Placement.fixed(4).resolve(topology), /not allowed 4/],
    [() => Placement.fenced(online).resolve(topology), /not allowed 4-7/],
    [() => PoolPlacement.fenced(1, online).resolve(topology), /not allowed 4-7/],
    [() => PoolPlacement.maxSpread(1, online).resolve(topology), /not allowed 4-7/],
    [() => PoolPlacement.maxPack(1, online).resolve(topology), /not allowed 4-7/],
    [() => PoolPlacement.custom([online.pick('1'), online.pick('5')]).resolve(topology), / 5,/],
  ]

  for (const [refused, message] of refusals) {
    assert.throws(refused, { code: 'ERR_CPU_UNAVAILABLE', message })
  }
})

test('an empty set is refused', () => {
  const topology = topologyOf(machines.ONE)
  const none = topology.allowed.filter(() => false)

  const placements = [
    Placement.fenced(none),
    PoolPlacement.fenced(1, none),
    PoolPlacement.maxSpread(undefined, none),
    PoolPlacement.maxPack(undefined, none),
    PoolPlacement.custom([topology.allowed, none]),
  ]
  for (const placement of placements) {
    assert.throws(() => placement.resolve(topology), { code: 'ERR_TOO_FEW_CPUS' })
  }
})

test('placements refuse counts, sets and topologies of the wrong kind', () => {
  const topology = topologyOf(machines.ONE)
  const { allowed } = topology

  for (const count of [0, -1, 1.5, Number.NaN]) {
    assert.throws(() => PoolPlacement.unbound(count), RangeError)
    assert.throws(() => PoolPlacement.fenced(count, allowed), RangeError)
    assert.throws(() => PoolPlacement.maxSpread(count), RangeError)
    assert.throws(() => PoolPlacement.maxPack(count), RangeError)
  }
  assert.throws(() => PoolPlacement.unbound('2' as never), TypeError)
  assert.throws(() => PoolPlacement.maxSpread(1, [0] as never), TypeError)
  assert.throws(() => PoolPlacement.fenced(1, undefined as never), TypeError)
  assert.throws(() => PoolPlacement.custom([]), RangeError)
  assert.throws(() => PoolPlacement.custom(allowed as never), TypeError)
  assert.throws(() => PoolPlacement.custom([0] as never), TypeError)
  assert.throws(() => Placement.fixed(-1), RangeError)
  assert.throws(() => Placement.fenced('0' as never), TypeError)
  assert.throws(() => Placement.unbound().resolve({} as never), TypeError)
  assert.throws(() => PoolPlacement.unbound(1).resolve(allowed as never), TypeError)
})

test('placements are shown by their kind', () => {
  assert.equal(inspect(PoolPlacement.maxSpread()), 'PoolPlacement.maxSpread')
  assert.equal(inspect(Placement.fixed(1)), 'Placement.fixed')
})

test('maxSpread() places 1,024 shards on as many processors', () => {
  const sets = PoolPlacement.maxSpread(1024).resolve(topologyOf(machines.HUGE))

  assert.equal(new Set(sets.map(String)).size, 1024)
})

/** Regular machines with some processors offline and some not allowed, but never none. */
const someMachines = fc
  .record({
    packageCount: fc.integer({ min: 1, max: 3 }),
    nodeCount: fc.integer({ min: 1, max: 3 }),
    l3Count: fc.integer({ min: 1, max: 3 }),
    coreCount: fc.integer({ min: 1, max: 4 }),
    threadCount: fc.integer({ min: 1, max: 3 }),
    siblingsAdjacent: fc.boolean(),
  })
  .chain((options) => {
    const machine = simTopology(options)
    const ids = machine.cpus.map(({ id }) => id)
    return fc
      .record({ offline: fc.subarray(ids), affinity: fc.subarray(ids, { minLength: 1 }) })
      .map(({ offline, affinity }) => ({
        ...changed(machine, ({ id }) => ({
          isOnline: id === affinity[0] || !offline.includes(id),
        })),
        affinity: affinity.join(','),
      }))
  })

test('placements use each allowed processor once, and others never', () => {
  fc.assert(
    fc.property(someMachines, (machine) => {
      const topology = topologyOf(machine)
      for (const placement of [PoolPlacement.maxSpread(), PoolPlacement.maxPack()]) {
        const ids = placement.resolve(topology).flatMap(({ ids }) => [...ids])

        assert.deepEqual(
          ids.sort((a, b) => a - b),
          topology.allowed.ids,
        )
      }
    }),
  )
})

test('one shard more moves no other', () => {
  fc.assert(
    fc.property(someMachines, fc.nat(40), (machine, more) => {
      const topology = topologyOf(machine)
      const count = 1 + (more % topology.allowed.size)
      for (const name of ['maxSpread', 'maxPack'] as const) {
        const some = show(PoolPlacement[name](count).resolve(topology))
        const all = show(PoolPlacement[name]().resolve(topology))

        assert.equal(`${all} `.startsWith(`${some} `), true)
      }
    }),
  )
})

test('maxSpread() uses no core again while another has fewer threads in use', () => {
  fc.assert(
    fc.property(someMachines, (machine) => {
      const topology = topologyOf(machine)
      const cores = topology.allowed.groupBy('core')
      everyPrefix(topology, 'maxSpread', (chosen) => {
        const counts = cores.map((core) => countIn(core, chosen))
        const most = Math.max(...counts)
        for (const [index, count] of counts.entries()) {
          assert(count >= most - 1 || count === cores[index]!.size)
        }
      })
    }),
  )
})

for (const level of ['node', 'package', 'l3'] as const) {
  test(`maxSpread() keeps counts per ${level} within one of each other where there is room`, () => {
    fc.assert(
      fc.property(someMachines, (machine) => {
        const topology = topologyOf(machine)
        const ranks = ranksOf(topology.allowed)
        everyPrefix(topology, 'maxSpread', (chosen) => {
          const last = chosen.at(-1)!
          // Of the same parent: over different ones it is the parents that are kept even.
          const parts = topology.allowed
            .groupBy(level)
            .filter((part) => isBeside(part, last, level, topology))
          const own = countIn(parts.find((part) => part.has(last))!, chosen)
          for (const part of parts) {
            const isFull = [...part].every(
              (cpu) => chosen.includes(cpu) || ranks.get(cpu)! > ranks.get(last)!,
            )
            assert(own - countIn(part, chosen) <= 1 || isFull)
          }
        })
      }),
    )
  })
}

test('maxPack() begins no core, cache, node or package before the one begun is full', () => {
  fc.assert(
    fc.property(someMachines, (machine) => {
      const topology = topologyOf(machine)
      everyPrefix(topology, 'maxPack', (chosen) => {
        for (const level of ['core', 'l3', 'node', 'package'] as const) {
          const begun = topology.allowed.groupBy(level).filter((part) => {
            const count = countIn(part, chosen)
            return count > 0 && count < part.size
          })
          assert(begun.length <= 1, `${begun.length} of level ${level}`)
        }
      })
    }),
  )
})

test('maxPack() begins as few packages as could hold the shards', () => {
  fc.assert(
    fc.property(someMachines, (machine) => {
      const topology = topologyOf(machine)
      const packages = topology.allowed.groupBy('package')
      const sizes = packages.map(({ size }) => size).sort((a, b) => b - a)
      everyPrefix(topology, 'maxPack', (chosen) => {
        let needed = 0
        for (let room = 0; room < chosen.length; needed++) room += sizes[needed]!

        assert.equal(packages.filter((part) => countIn(part, chosen) > 0).length, needed)
      })
    }),
  )
})

function show(sets: readonly CpuSet[]): string {
  return sets.map(String).join(' ')
}

function everyPrefix(
  topology: Topology,
  name: 'maxSpread' | 'maxPack',
  check: (chosen: readonly Cpu[]) => void,
): void {
  const all = PoolPlacement[name]()
    .resolve(topology)
    .flatMap((set) => [...set])
  for (let count = 1; count <= all.length; count++) check(all.slice(0, count))
}

function countIn(set: CpuSet, chosen: readonly Cpu[]): number {
  return chosen.filter((cpu) => set.has(cpu)).length
}

/** How many processors of the same core come before each, in a set. */
function ranksOf(set: CpuSet): ReadonlyMap<Cpu, number> {
  const cores = set.groupBy('core').map((core) => [...core])
  return new Map(cores.flatMap((core) => core.map((cpu, rank) => [cpu, rank] as const)))
}

/** Whether a part of a level has the same parent as the one that a processor is in. */
function isBeside(part: CpuSet, cpu: Cpu, level: CpuLevel, topology: Topology): boolean {
  const [first] = part
  if (level === 'node') return true
  if (level === 'l3') return first!.node === cpu.node
  // Packages take turns as far as their nodes do not differ.
  const nodes = topology.allowed.nodes.length
  const packages = topology.allowed.groupBy('package').length
  return nodes === packages || part.has(cpu)
}
