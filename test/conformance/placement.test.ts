/** Glommio's behaviours of placements and sets of processors: rows 28, 29 and 40 to 44, and its defects there. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type SimCpu, SimKernel, simTopology } from '../../src/testing/index.ts'
import { type CpuSet, Placement, PoolPlacement, Topology } from '../../src/topology/index.ts'

/** A machine by the node, package, core and number of each processor, as Glommio's tests have them. */
function machineOf(cpus: readonly (readonly [number, number, number, number])[]): Topology {
  const found = cpus.map(
    ([node, socket, core, id]): SimCpu => ({ node, package: socket, core, id }),
  )
  const nodes = [...new Set(found.map(({ node }) => node))].map((id) => ({ id, memoryBytes: 1024 }))
  return Topology.read(new SimKernel({ topology: { cpus: found, nodes } }))
}

function order(placement: PoolPlacement, topology: Topology): number[] {
  return placement.resolve(topology).flatMap(({ ids }) => [...ids])
}

test('28: every placement has a set for each shard, and those that bind have each processor once', () => {
  const topology = Topology.read(new SimKernel({ topology: simTopology({ threadCount: 2 }) }))
  const { allowed } = topology
  const placements = [
    PoolPlacement.unbound(8),
    PoolPlacement.fenced(8, allowed),
    PoolPlacement.maxSpread(8),
    PoolPlacement.maxPack(8),
    PoolPlacement.custom(allowed.groupBy('core').flatMap((core) => [core, core])),
  ]

  const counts = placements.map((placement) => placement.resolve(topology).length)

  assert.deepEqual(counts, [8, 8, 8, 8, 8])
  for (const placement of [PoolPlacement.maxSpread(), PoolPlacement.maxPack()]) {
    assert.deepEqual(order(placement, topology).sort(), [...allowed.ids])
  }
})

test('29: one shard more than processors fails where each has its own, and only there', () => {
  const topology = Topology.read(new SimKernel())
  const count = topology.allowed.size + 1

  for (const placement of [PoolPlacement.maxSpread(count), PoolPlacement.maxPack(count)]) {
    assert.throws(() => placement.resolve(topology), { code: 'ERR_TOO_FEW_CPUS' })
  }
  for (const cpus of [
    PoolPlacement.unbound(count),
    PoolPlacement.fenced(count, topology.allowed),
  ]) {
    assert.equal(cpus.resolve(topology).length, count)
  }
})

test('40: maxSpread() takes a core that is free before a second thread', () => {
  const topology = machineOf([
    [0, 0, 1, 3],
    [0, 0, 0, 2],
    [0, 0, 0, 0],
    [0, 0, 0, 1],
  ])

  const [first, second, ...rest] = order(PoolPlacement.maxSpread(), topology)

  assert.deepEqual([first! < 3, second], [true, 3])
  assert.equal(rest.length, 2)
})

test('40: maxSpread() lands on the nodes, packages and cores that have the fewest', () => {
  const levels = [2, 3, 5, 7]
  const cpus = Array.from({ length: 2 * 3 * 5 * 7 }, (_, id) => {
    return [Math.floor(id / 105), Math.floor(id / 35), Math.floor(id / 7), id] as const
  })
  const found = order(PoolPlacement.maxSpread(), machineOf(cpus))

  let partCount = 1
  for (const count of levels) {
    partCount *= count
    const width = cpus.length / partCount
    const parts = found.slice(0, partCount).map((id) => Math.floor(id / width))
    assert.equal(new Set(parts).size, partCount, `${partCount} parts of ${width}`)
  }
})

test('41: maxPack() fills a core, then the package, then the node', () => {
  const topology = machineOf([
    [0, 0, 1, 6],
    [0, 0, 0, 2],
    [0, 0, 0, 0],
    [0, 1, 2, 5],
    [1, 2, 3, 4],
    [0, 0, 0, 3],
    [0, 0, 0, 1],
  ])

  assert.deepEqual(order(PoolPlacement.maxPack(), topology), [0, 1, 2, 3, 6, 5, 4])
})

test('41: maxPack() fills a node within a package before the next', () => {
  const topology = machineOf([
    [0, 0, 1, 4],
    [0, 0, 0, 5],
    [0, 0, 0, 6],
    [1, 0, 2, 3],
    [2, 1, 4, 1],
    [2, 1, 4, 2],
    [3, 1, 3, 0],
  ])

  assert.deepEqual(order(PoolPlacement.maxPack(), topology), [5, 6, 4, 3, 1, 2, 0])
})

test('42: custom() hands out sets in their order', () => {
  const { allowed } = Topology.read()
  const sets = [allowed.pick(`${allowed.ids.at(-1)}`), allowed]

  const found = PoolPlacement.custom(sets).resolve(Topology.read())

  assert.deepEqual(found.map(String), sets.map(String))
})

test('43: sets of different processors have nothing in common', () => {
  const topology = machineOf([
    [0, 0, 0, 1],
    [0, 0, 0, 3],
    [1, 1, 1, 5],
  ])
  const [low, high] = topology.online.groupBy('node') as [CpuSet, CpuSet]

  assert(low.isDisjointFrom(high) && !low.isSubsetOf(high) && !high.isSupersetOf(low))
  assert.equal(String(low.union(high)), '1,3,5')
  assert.equal(String(low.intersection(high)), '')
  assert.equal(String(low.symmetricDifference(topology.online)), '5')
})

test('44: nodes and packages that cut across each other are placed nonetheless', () => {
  const topology = machineOf([
    [0, 0, 0, 0],
    [1, 0, 1, 1],
    [0, 1, 2, 2],
    [1, 1, 3, 3],
  ])

  assert.deepEqual(order(PoolPlacement.maxSpread(2), topology), [0, 3])
  assert.deepEqual(order(PoolPlacement.maxPack(), topology).sort(), [0, 1, 2, 3])
})

test('D19: a refusal has the number of shards and that of processors the right way round', () => {
  const topology = machineOf([[0, 0, 0, 0]])

  assert.throws(() => PoolPlacement.maxSpread(4).resolve(topology), {
    code: 'ERR_TOO_FEW_CPUS',
    message: /place 4 shards .* there are 1 /,
  })
  assert.throws(() => PoolPlacement.unbound(0), /from 1 to .* current value is 0$/)
})

test('a process that may use few processors is placed on these alone', () => {
  const machine = { ...simTopology({ coreCount: 8 }), cpuset: '2,5' }
  const topology = Topology.read(new SimKernel({ topology: machine }))

  assert.deepEqual(order(PoolPlacement.maxSpread(), topology), [2, 5])
  assert.equal(String(Placement.unbound().resolve(topology)), '2,5')
})

test('3: processors above 1,023 can be placed on', () => {
  const topology = machineOf(Array.from({ length: 1100 }, (_, id) => [0, 0, id, id] as const))

  assert.equal(String(Placement.fixed(1099).resolve(topology)), '1099')
})
