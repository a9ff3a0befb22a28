import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { attachExecutor } from '../../src/index.ts'
import { currentKernel } from '../../src/kernel/index.ts'
import { SimKernel, simTopology, simulate } from '../../src/testing/index.ts'
import { CpuSet, Topology } from '../../src/topology/index.ts'
import * as machines from './machines.ts'
import { topologyOf } from './machines.ts'

const { online } = topologyOf(machines.EPYC)
const sets = fc.subarray([...online.ids]).map((ids) => online.filter(({ id }) => ids.includes(id)))

test('a set iterates over its processors in the order of their numbers', () => {
  const set = online.pick('9,3,200-201,4')

  assert.deepEqual(
    [...set].map(({ id }) => id),
    [3, 4, 9, 200, 201],
  )
  assert.deepEqual(set.ids, [3, 4, 9, 200, 201])
  assert.equal(set.size, 5)
})

test('a set is shown and sent as the list of its numbers', () => {
  const set = online.pick('3-4,9')

  assert.equal(String(set), '3-4,9')
  assert.equal(JSON.stringify({ set }), '{"set":"3-4,9"}')
  assert.equal(inspect(set), 'CpuSet { 3-4,9 }')
})

test('a set can not be changed', () => {
  const set = online.pick('1')

  assert.throws(() => (set.ids as number[]).push(2), TypeError)
  assert.throws(() => Object.assign([...set][0]!, { node: 3 }), TypeError)
  assert.throws(() => Object.assign(set, { ids: [] }), TypeError)
})

test('filter() keeps what is all of it', () => {
  const found = [
    { node: 1 },
    { package: 1, smtIndex: 1 },
    { core: 3 },
    { l3: 2, smtIndex: 0 },
    {},
  ].map((filter) => String(online.filter(filter)))

  assert.deepEqual(found, ['16-31,144-159', '192-255', '3,131', '16-23', '0-255'])
})

test('filter() takes a function', () => {
  assert.equal(String(online.filter(({ id }) => id % 100 === 0)), '0,100,200')
})

test('filter() finds processors of which the kernel does not say it', () => {
  const { online: all } = topologyOf(machines.WITH_LOW_POWER)

  assert.equal(String(all.filter({ l3: null })), '16-17')
})

test('filter() refuses names and values that would let everything pass', () => {
  const nodes: number[] = []

  assert.throws(() => online.filter({ numaNode: 1 } as never), TypeError)
  assert.throws(() => online.filter({ node: nodes[0]! }), TypeError)
  assert.throws(() => online.filter({ node: null } as never), TypeError)
  assert.throws(() => online.filter({ kind: 'fast' } as never), TypeError)
  assert.throws(() => online.filter(3 as never), TypeError)
})

test('groupBy() parts a set, in the order of the lowest processors', () => {
  const cores = topologyOf(machines.HYBRID).online.groupBy('l2').map(String)

  assert.deepEqual(cores, ['0-1', '2-3', '4-5', '6-7', '8-11', '12-15'])
  assert.throws(() => online.groupBy('numa' as never), TypeError)
})

test('node is that of all its processors', () => {
  assert.equal(online.filter({ node: 5 }).node, 5)
  assert.equal(online.node, null)
  assert.equal(online.filter(() => false).node, null)
  assert.deepEqual(online.pick('0,16,255').nodes, [0, 1, 7])
})

test('pick() refuses what is no list, and processors that are not in the set', () => {
  for (const list of ['a', '3-1', '1,,2', '0x1']) {
    assert.throws(() => online.pick(list), RangeError)
  }
  assert.throws(() => online.pick('255-256'), {
    code: 'ERR_CPU_UNAVAILABLE',
    message: /'0-255'.* 256$/,
  })
  assert.throws(() => online.pick(7 as never), TypeError)
})

test('pick() gives back what a set was shown as', () => {
  fc.assert(fc.property(sets, (set) => assert(online.pick(String(set)).equals(set))))
})

test('operations keep the processors of the set that they are called on', () => {
  const old = topologyOf(machines.HYBRID).online.pick('1')
  const other = online.pick('1')

  assert.deepEqual([old.get(1)!.core, other.get(1)!.core], [0, 1])
  assert.equal(old.union(other).get(1)!.core, 0)
  assert.equal(other.union(old).get(1)!.core, 1)
  assert.equal(old.intersection(other).get(1)!.core, 0)
})

test('operations refuse what is no set', () => {
  const set = online.pick('1')
  const others: unknown[] = ['1', [1], new Set([1]), undefined]

  for (const other of others as never[]) {
    for (const name of ['union', 'intersection', 'difference', 'symmetricDifference'] as const) {
      assert.throws(() => set[name](other), TypeError)
    }
    for (const name of ['equals', 'isSubsetOf', 'isSupersetOf', 'isDisjointFrom'] as const) {
      assert.throws(() => set[name](other), TypeError)
    }
  }
})

test('the laws of sets hold', () => {
  fc.assert(
    fc.property(sets, sets, sets, (a, b, c) => {
      const isSame = (left: CpuSet, right: CpuSet): void => assert.deepEqual(left.ids, right.ids)
      isSame(a.union(b), b.union(a))
      isSame(a.intersection(b), b.intersection(a))
      isSame(a.union(b).union(c), a.union(b.union(c)))
      isSame(a.intersection(b.union(c)), a.intersection(b).union(a.intersection(c)))
      isSame(a.difference(b.union(c)), a.difference(b).intersection(a.difference(c)))
      isSame(a.symmetricDifference(b), a.union(b).difference(a.intersection(b)))
      isSame(a.difference(b).union(a.intersection(b)), a)
      assert.equal(a.union(b).size + a.intersection(b).size, a.size + b.size)
      assert.equal(a.isSubsetOf(b), a.difference(b).size === 0)
      assert.equal(a.isSupersetOf(b), b.isSubsetOf(a))
      assert.equal(a.isDisjointFrom(b), a.intersection(b).size === 0)
      assert.equal(a.equals(b), a.symmetricDifference(b).size === 0)
    }),
  )
})

test('groupBy() loses and doubles nobody', () => {
  const levels = fc.constantFrom('node', 'package', 'die', 'cluster', 'l3', 'l2', 'core')
  fc.assert(
    fc.property(sets, levels, (set, level) => {
      const ids = set.groupBy(level).flatMap((group) => [...group.ids])

      assert.deepEqual(
        ids.sort((a, b) => a - b),
        set.ids,
      )
    }),
  )
})

test('CpuSet.online(), allowed() and parse() read this machine', () => {
  const topology = Topology.read()

  assert(CpuSet.online().equals(topology.online))
  assert(CpuSet.allowed().equals(topology.allowed))
  assert.equal(CpuSet.parse(`${topology.online.ids[0]}`).size, 1)
  assert(topology.allowed.size > 0)
})

test('a simulated program has the topology of its machine, and code beside it has not', async () => {
  const topology = simTopology({ packageCount: 2, coreCount: 3 })
  const before = Topology.read()

  const within = await simulate(
    { seed: 1, topology: { ...topology, affinity: '1-4' } },
    async () => {
      await Promise.resolve()
      return [CpuSet.online(), CpuSet.allowed(), CpuSet.parse('5')].map(String)
    },
  )

  assert.deepEqual(within, ['0-5', '1-4', '5'])
  assert(Topology.read().online.equals(before.online))
  assert.equal(currentKernel().name, 'uring')
})

test('a thread whose executor has a simulated kernel sees that machine', async () => {
  const kernel = new SimKernel({ topology: simTopology({ coreCount: 6 }) })
  const executor = attachExecutor({ kernel })
  try {
    assert.equal(String(CpuSet.online()), '0-5')
  } finally {
    await executor.close()
  }

  assert.equal(currentKernel().name, 'uring')
})

test('a simulated machine has four processors unless it was described', async () => {
  assert.equal(String(await simulate(1, () => CpuSet.allowed())), '0-3')
})

test('simTopology() and simulate() refuse machines that can not be', async () => {
  assert.throws(() => simTopology({ cores: 3 } as never), TypeError)
  assert.throws(() => simTopology({ coreCount: 0 }), RangeError)
  for (const topology of [{}, { cpus: [], nodes: [] }, null] as never[]) {
    await assert.rejects(
      simulate({ seed: 1, topology }, () => 1),
      TypeError,
    )
  }
})

test('threads of a core have numbers beside each other where asked for', () => {
  const { online: all } = topologyOf(
    simTopology({ coreCount: 2, threadCount: 2, siblingsAdjacent: true }),
  )

  assert.equal(String(all.filter({ core: 1 })), '2-3')
})
