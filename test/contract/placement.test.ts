import assert from 'node:assert/strict'
import { maskOfNumbers, numbersOfMask } from '../../src/base/index.ts'
import {
  EINVAL,
  ENOENT,
  ESRCH,
  type Kernel,
  MPOL_BIND,
  MPOL_DEFAULT,
  MPOL_PREFERRED,
} from '../../src/kernel/index.ts'
import { contract } from '../../src/testing/index.ts'
import { describe } from '../needs.ts'

const MASK_BYTES = 1024
const NODE_MASK_BYTES = 128
const PAGE_BYTES = 4096
const NO_CPU = 8000
/** Above what Linux counts to. */
const NO_THREAD = 1 << 29

contract('a file of /sys is read as text', (kernel) => {
  assert.match(String(kernel.readTextFile('/sys/devices/system/cpu/online')), /^\d[\d,-]*\n$/)
})

contract('a file that is not there is -ENOENT', (kernel) => {
  assert.equal(kernel.readTextFile('/sys/devices/system/cpu/cpu99999/online'), -ENOENT)
})

contract('a thread that was bound to one processor is on that one', (kernel) => {
  const before = affinityOf(kernel, 0)
  const last = before.at(-1)!
  try {
    assert.equal(kernel.setAffinity(0, maskOfNumbers([last])), 0)

    assert.deepEqual(affinityOf(kernel, 0), [last])
  } finally {
    assert.equal(kernel.setAffinity(0, maskOfNumbers(before)), 0)
  }
  assert.deepEqual(affinityOf(kernel, 0), before)
})

contract('a mask takes processors that are not there beside some that are', (kernel) => {
  const before = affinityOf(kernel, 0)
  try {
    assert.equal(kernel.setAffinity(0, maskOfNumbers([before[0]!, NO_CPU])), 0)

    assert.deepEqual(affinityOf(kernel, 0), [before[0]])
  } finally {
    kernel.setAffinity(0, maskOfNumbers(before))
  }
})

contract('no processor that is there is -EINVAL', (kernel) => {
  const before = affinityOf(kernel, 0)

  const results = [[], [NO_CPU]].map((cpus) => kernel.setAffinity(0, maskOfNumbers(cpus)))

  assert.deepEqual(results, [-EINVAL, -EINVAL])
  assert.deepEqual(affinityOf(kernel, 0), before)
})

contract('the main thread of the process is asked by the number of the process', (kernel) => {
  assert(affinityOf(kernel, kernel.processId).length > 0)
})

contract('a thread that is not there is -ESRCH', (kernel) => {
  const mask = maskOfNumbers([0])

  assert.equal(kernel.getAffinity(NO_THREAD, new Uint8Array(MASK_BYTES)), -ESRCH)
  assert.equal(kernel.setAffinity(NO_THREAD, mask), -ESRCH)
})

contract('a mask that is no whole word is -EINVAL', (kernel) => {
  assert.equal(kernel.getAffinity(0, new Uint8Array(7)), -EINVAL)
})

contract(
  'memory is on the node that the thread prefers',
  (kernel) => {
    const node = nodesWithMemory(kernel).at(-1)!
    try {
      assert.equal(kernel.setMemoryPolicy(MPOL_PREFERRED, maskOfNumbers([node])), 0)
      const nodes = new Uint8Array(NODE_MASK_BYTES)
      assert.equal(kernel.getMemoryPolicy(nodes), MPOL_PREFERRED)
      assert.deepEqual(numbersOfMask(nodes), [node])

      const memory = kernel.allocate(4 * PAGE_BYTES)
      memory.bytes.fill(1)

      assert.deepEqual(nodesOf(kernel, memory.address, 4), [node, node, node, node])
    } finally {
      assert.equal(kernel.setMemoryPolicy(MPOL_DEFAULT, new Uint8Array(8)), 0)
    }
    assert.equal(kernel.getMemoryPolicy(new Uint8Array(NODE_MASK_BYTES)), MPOL_DEFAULT)
  },
  lacksPolicies,
)

contract(
  'a memory policy of no node is -EINVAL, and so is a default with nodes',
  (kernel) => {
    const results = [
      kernel.setMemoryPolicy(MPOL_BIND, new Uint8Array(8)),
      kernel.setMemoryPolicy(MPOL_BIND, maskOfNumbers([1000])),
      kernel.setMemoryPolicy(MPOL_DEFAULT, maskOfNumbers([0])),
    ]

    assert.deepEqual(results, [-EINVAL, -EINVAL, -EINVAL])
  },
  lacksPolicies,
)

contract(
  'an address of nobody has no node',
  (kernel) => {
    const [node] = nodesOf(kernel, PAGE_BYTES, 1)

    assert(node! < 0)
  },
  lacksPolicies,
)

function affinityOf(kernel: Kernel, threadId: number): number[] {
  const mask = new Uint8Array(MASK_BYTES)
  const length = kernel.getAffinity(threadId, mask)
  assert(length > 0 && length % 8 === 0, `sched_getaffinity answers ${length}`)
  return numbersOfMask(mask.subarray(0, length))
}

function nodesOf(kernel: Kernel, address: number, pageCount: number): number[] {
  const nodes = new Int32Array(pageCount)
  const addresses = Float64Array.from(nodes, (_, page) => address + page * PAGE_BYTES)
  assert.equal(kernel.nodesOfPages(addresses, nodes), 0)
  return [...nodes]
}

function nodesWithMemory(kernel: Kernel): number[] {
  const nodes: number[] = []
  for (let node = 0; node < 64; node++) {
    const text = String(kernel.readTextFile(`/sys/devices/system/node/node${node}/meminfo`))
    if (/MemTotal:\s+[1-9]/.test(text)) nodes.push(node)
  }
  return nodes
}

/** Kernels without NUMA have none, and containers may not ask. */
function lacksPolicies(kernel: Kernel): string | null {
  const result = kernel.getMemoryPolicy(new Uint8Array(NODE_MASK_BYTES))
  const pages = kernel.nodesOfPages(new Float64Array(1), new Int32Array(1))
  const failure = Math.min(result, pages)
  return failure >= 0 ? null : `${describe(kernel)} answers ${failure} about memory policies`
}
