import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maskOfNumbers, numbersOfMask } from '../../src/base/index.ts'
import { EINVAL, MPOL_BIND, MPOL_DEFAULT, MPOL_PREFERRED } from '../../src/kernel/index.ts'
import { SimKernel, simTopology } from '../../src/testing/index.ts'
import { Topology } from '../../src/topology/index.ts'

const MASK_BYTES = 128

function affinityOf(kernel: SimKernel): number[] {
  const mask = new Uint8Array(MASK_BYTES)
  return numbersOfMask(mask.subarray(0, kernel.getAffinity(0, mask)))
}

/** The node of memory that is allocated now. */
function nodeOfNewMemory(kernel: SimKernel): number {
  const nodes = new Int32Array(1)
  kernel.nodesOfPages(Float64Array.of(kernel.allocate(4096).address), nodes)
  return nodes[0]!
}

test('a simulated thread may leave the mask that it was started with, and not its control group', () => {
  const topology = { ...simTopology({ coreCount: 8 }), cpuset: '2-5', affinity: '3,7' }
  const kernel = new SimKernel({ topology })
  assert.deepEqual(affinityOf(kernel), [3])

  assert.equal(kernel.setAffinity(0, maskOfNumbers([4, 6])), 0)
  assert.equal(kernel.setAffinity(0, maskOfNumbers([6, 7])), -EINVAL)

  assert.deepEqual(affinityOf(kernel), [4])
})

test('a mask that is shorter than that of a simulated machine is -EINVAL', () => {
  const kernel = new SimKernel({ topology: simTopology({ coreCount: 100 }) })

  assert.equal(kernel.getAffinity(0, new Uint8Array(8)), -EINVAL)
  assert.equal(kernel.getAffinity(0, new Uint8Array(MASK_BYTES)), 16)
})

test('simulated memory is on the node of its thread, or on the nearest that has some', () => {
  const topology = {
    ...simTopology({ packageCount: 3, coreCount: 1 }),
    nodes: [
      { id: 0, memoryBytes: 4096, distances: [10, 30, 20] },
      { id: 1, memoryBytes: 0, distances: [30, 10, 20] },
      { id: 2, memoryBytes: 4096, distances: [20, 20, 10] },
    ],
  }
  const kernel = new SimKernel({ topology })

  const nodes = [0, 1, 2].map((cpu) => {
    kernel.setAffinity(0, maskOfNumbers([cpu]))
    return nodeOfNewMemory(kernel)
  })

  assert.deepEqual(nodes, [0, 2, 2])
})

test('simulated memory stays where it was when the policy changes', () => {
  const kernel = new SimKernel({ topology: simTopology({ packageCount: 2 }) })
  const { address } = kernel.allocate(4096)

  kernel.setMemoryPolicy(MPOL_BIND, maskOfNumbers([1]))

  const nodes = new Int32Array(1)
  kernel.nodesOfPages(Float64Array.of(address), nodes)
  assert.deepEqual([nodes[0], nodeOfNewMemory(kernel)], [0, 1])
})

test('a simulated policy has nodes that the control group allows', () => {
  const kernel = new SimKernel({
    topology: { ...simTopology({ packageCount: 3 }), memoryNodes: '1-2' },
  })

  assert.equal(kernel.setMemoryPolicy(MPOL_BIND, maskOfNumbers([0])), -EINVAL)
  assert.equal(kernel.setMemoryPolicy(MPOL_PREFERRED, maskOfNumbers([0, 2])), 0)

  const nodes = new Uint8Array(8)
  assert.equal(kernel.getMemoryPolicy(nodes), MPOL_PREFERRED)
  assert.deepEqual(numbersOfMask(nodes), [2])
  assert.equal(kernel.setMemoryPolicy(MPOL_DEFAULT, new Uint8Array(8)), 0)
  assert.equal(nodeOfNewMemory(kernel), 1)
})

test('a simulated thread begins where the one is that makes it, and is bound by itself', () => {
  const kernel = new SimKernel({ topology: simTopology({ packageCount: 2, coreCount: 2 }) })
  kernel.setAffinity(0, maskOfNumbers([3]))
  kernel.setMemoryPolicy(MPOL_BIND, maskOfNumbers([1]))
  const thread = kernel.thread()

  kernel.setAffinity(0, maskOfNumbers([0, 1, 2, 3]))
  kernel.setMemoryPolicy(MPOL_DEFAULT, new Uint8Array(8))

  assert.deepEqual([affinityOf(thread), nodeOfNewMemory(thread)], [[3], 1])
  assert.deepEqual([affinityOf(kernel), nodeOfNewMemory(kernel)], [[0, 1, 2, 3], 0])
})

test('a simulated thread that is bound asks for what the process may use', () => {
  const kernel = new SimKernel()
  const thread = kernel.thread()
  thread.setAffinity(0, maskOfNumbers([2]))

  assert.equal(String(Topology.read(thread).allowed), '0-3')
  assert.equal(thread.setAffinity(thread.processId, maskOfNumbers([1, 2])), 0)
  assert.equal(String(Topology.read(thread).allowed), '1-2')
})
