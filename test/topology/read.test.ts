import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maskOfNumbers } from '../../src/base/index.ts'
import { EACCES, EPERM } from '../../src/kernel/index.ts'
import { SimKernel, type SimTopology, simTopology } from '../../src/testing/index.ts'
import { Topology } from '../../src/topology/index.ts'
import * as machines from './machines.ts'
import { tablePort, topologyOf } from './machines.ts'

const SYS = '/sys/devices/system'
const V2_MOUNT = '25 20 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n'

/** One line for each: numbers, and how many of each level there are. */
const SHAPES: Readonly<Record<string, [SimTopology, string]>> = {
  'two sockets of four nodes': [
    machines.EPYC,
    '0-255 of 8 nodes, 2 packages, 16 L3, 128 L2, 128 cores',
  ],
  'performance and efficient cores': [
    machines.HYBRID,
    '0-15 of 1 nodes, 1 packages, 1 L3, 6 L2, 12 cores',
  ],
  'cores without an L3 cache': [
    machines.WITH_LOW_POWER,
    '0-17 of 1 nodes, 1 packages, 2 L3, 7 L2, 14 cores',
  ],
  'capacities without kinds': [
    machines.BIG_LITTLE,
    '0-5 of 1 nodes, 1 packages, 1 L3, 1 L2, 6 cores',
  ],
  'second threads offline': [machines.SMT_OFF, '0-7 of 2 nodes, 2 packages, 2 L3, 8 L2, 8 cores'],
  'numbers with gaps': [
    machines.SPARSE,
    '0,8,16,24,32,40,48,56 of 2 nodes, 2 packages, 8 L3, 8 L2, 8 cores',
  ],
  'clusters below L2 caches': [
    machines.CLUSTERS,
    '0-15 of 1 nodes, 1 packages, 1 L3, 4 L2, 16 cores',
  ],
  '1,024 processors': [machines.HUGE, '0-1023 of 8 nodes, 8 packages, 64 L3, 512 L2, 512 cores'],
  'nodes within an L3 cache': [
    machines.SUB_NUMA,
    '0-31 of 4 nodes, 2 packages, 2 L3, 16 L2, 16 cores',
  ],
  'one processor': [machines.ONE, '0 of 1 nodes, 1 packages, 1 L3, 1 L2, 1 cores'],
}

for (const [name, [machine, expected]] of Object.entries(SHAPES)) {
  test(`Topology.read() finds ${name}`, () => {
    const { online } = topologyOf(machine)

    const counts = (['node', 'package', 'l3', 'l2', 'core'] as const).map(
      (level) => online.groupBy(level).length,
    )
    const [nodes, packages, l3, l2, cores] = counts

    const found = `${online} of ${nodes} nodes, ${packages} packages, ${l3} L3, ${l2} L2, ${cores} cores`
    assert.equal(found, expected)
  })
}

test('a processor says where it is', () => {
  const { online } = topologyOf(machines.EPYC)

  assert.deepEqual(online.get(200), {
    id: 200,
    node: 4,
    package: 1,
    die: null,
    cluster: null,
    l3: 9,
    l2: 72,
    core: 72,
    smtIndex: 1,
    kind: 'performance',
    capacity: 1024,
  })
})

test('cores have numbers that are unique over the packages', () => {
  const { online } = topologyOf(machines.SMT_OFF)

  assert.deepEqual(
    [...online].map(({ core }) => core),
    [0, 1, 2, 3, 4, 5, 6, 7],
  )
})

test('a thread whose sibling is offline is the first of its core', () => {
  const machine = machines.changed(simTopology({ coreCount: 2, threadCount: 2 }), ({ id }) => ({
    isOnline: id !== 0,
  }))

  const { online, offline } = topologyOf(machine)

  assert.deepEqual(
    [...online.filter({ smtIndex: 0 })].map(({ id }) => id),
    [1, 2],
  )
  assert.deepEqual(offline, [0])
})

test('kinds are told by the drivers, or by capacities', () => {
  const lowPower = topologyOf(machines.WITH_LOW_POWER).online
  const capacities = topologyOf(machines.BIG_LITTLE).online

  const kinds = ['performance', 'efficiency', 'low-power'] as const
  assert.deepEqual(
    kinds.map((kind) => String(lowPower.filter({ kind }))),
    ['0-7', '8-15', '16-17'],
  )
  assert.deepEqual(
    kinds.map((kind) => String(capacities.filter({ kind }))),
    ['4-5', '0-3', ''],
  )
  assert.equal(capacities.get(0)!.capacity, 381)
})

test('capacities are in parts of the fastest processor', () => {
  const machine = machines.changed(machines.BIG_LITTLE, ({ id }) => ({
    capacity: id < 4 ? 200 : 400,
  }))

  const { online } = topologyOf(machine)

  assert.deepEqual([online.get(0)!.capacity, online.get(5)!.capacity], [512, 1024])
})

test('nodes have processors and memory, or one of these', () => {
  const without = topologyOf(machines.MEMORYLESS)
  const alone = topologyOf(machines.CPULESS)

  const show = ({ nodes }: Topology): string[] =>
    nodes.map(({ id, cpus, memoryBytes }) => `${id}: ${cpus} with ${memoryBytes / 2 ** 30}`)
  assert.deepEqual(show(without), ['0: 0-1 with 1', '1: 2-3 with 0', '2: 4-5 with 1'])
  assert.deepEqual(show(alone), ['0: 0-1 with 1', '1: 2-3 with 1', '2:  with 8'])
  assert.deepEqual(without.memoryNodes, [0, 2])
})

test('memoryNodesOf() is the own node, or the nearest with memory', () => {
  const topology = topologyOf(machines.MEMORYLESS)
  const { online } = topology

  const found = [{ node: 0 }, { node: 1 }, { node: 2 }].map((filter) =>
    topology.memoryNodesOf(online.filter(filter)),
  )

  assert.deepEqual(found, [[0], [2], [2]])
  assert.deepEqual(topology.memoryNodesOf(online), [0, 2])
})

test('memoryNodesOf() keeps to the nodes that the process may use', () => {
  const topology = topologyOf({ ...machines.EPYC, memoryNodes: '2,5' })
  const { online } = topology

  assert.deepEqual(topology.memoryNodesOf(online.filter({ node: 0 })), [2])
  assert.deepEqual(topology.memoryNodesOf(online.filter({ node: 7 })), [5])
})

test('distance() knows nodes whose numbers have gaps', () => {
  const topology = topologyOf(machines.SPARSE)

  const pairs = [
    [0, 0],
    [0, 8],
    [8, 255],
    [255, 0],
  ] as const
  assert.deepEqual(
    pairs.map(([from, to]) => topology.distance(from, to)),
    [10, 40, 80, 80],
  )
})

test('distance() of nodes that the kernel does not tell of is 10 and 20', () => {
  const topology = Topology.read(tablePort({}, maskOfNumbers([0])))

  assert.deepEqual([topology.distance(0, 0), topology.distance(0, 1)], [10, 20])
  assert.throws(() => topology.distance(0, -1), RangeError)
})

test('allowed is what the affinity mask and the control group both have', () => {
  const { allowed, online } = topologyOf({
    ...machines.EPYC,
    affinity: '0-63',
    cpuset: '32-95,200',
  })

  assert.equal(String(allowed), '32-63')
  assert.equal(online.size, 256)
})

test('allowed has nothing that is offline', () => {
  const { allowed, offline } = topologyOf({ ...machines.SMT_OFF, cpuset: '0-15' })

  assert.equal(String(allowed), '0-7')
  assert.deepEqual(offline, [8, 9, 10, 11, 12, 13, 14, 15])
})

test('allowed is of the main thread, whatever the calling one is bound to', () => {
  const port = tablePort({ [`${SYS}/cpu/online`]: '0-3\n' }, maskOfNumbers([1, 2]))

  assert.equal(String(Topology.read(port).allowed), '1-2')
})

test('masks of more than 1,024 processors are asked for again', () => {
  const port = tablePort({ [`${SYS}/cpu/online`]: '0-2047\n' }, maskOfNumbers([5, 2000, 2047]))

  assert.equal(String(Topology.read(port).allowed), '5,2000,2047')
})

/** What the files of the control group allow of 0-7, and which texts say so. */
const GROUPS: Readonly<Record<string, [Record<string, string>, string]>> = {
  'of the second version': [
    {
      '/proc/self/cgroup': '0::/system.slice/app.service\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/system.slice/app.service/cpuset.cpus.effective': '2-3\n',
      '/sys/fs/cgroup/cpuset.cpus.effective': '0-7\n',
    },
    '2-3',
  ],
  'whose parent has the controller': [
    {
      '/proc/self/cgroup': '0::/a/b/c\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/a/cpuset.cpus.effective': '1,5\n',
    },
    '1,5',
  ],
  'that is the root of its name space': [
    {
      '/proc/self/cgroup': '0::/\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/cpuset.cpus.effective': '4-7\n',
    },
    '4-7',
  ],
  'outside of its name space': [
    {
      '/proc/self/cgroup': '0::/../other\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/cpuset.cpus.effective': '6\n',
    },
    '6',
  ],
  'of the first version': [
    {
      '/proc/self/cgroup': '5:cpu,cpuacct:/x\n4:cpuset:/docker/1f\n0::/y\n',
      '/proc/self/mountinfo': `${V2_MOUNT}34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n`,
      '/sys/fs/cgroup/cpuset/docker/1f/cpuset.cpus': '0-7\n',
      '/sys/fs/cgroup/cpuset/docker/1f/cpuset.effective_cpus': '3-4\n',
    },
    '3-4',
  ],
  'of the first version before effective ones': [
    {
      '/proc/self/cgroup': '4:cpu,cpuset:/docker/1f\n',
      '/proc/self/mountinfo':
        '34 31 0:31 / /cg\\040root/both rw,relatime - cgroup cgroup rw,cpu,cpuset\n',
      '/cg root/both/docker/1f/cpuset.cpus': '0-1\n',
    },
    '0-1',
  ],
  'that a container is told by its path on the host': [
    {
      '/proc/self/cgroup': '4:cpuset:/docker/1f\n',
      '/proc/self/mountinfo':
        '34 31 0:31 /docker/1f /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n',
      '/sys/fs/cgroup/cpuset/cpuset.cpus': '2\n',
    },
    '2',
  ],
  'below what is mounted': [
    {
      '/proc/self/cgroup': '0::/pod/1/app\n',
      '/proc/self/mountinfo': '25 20 0:22 /pod/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
      '/sys/fs/cgroup/app/cpuset.cpus.effective': '7\n',
    },
    '7',
  ],
  'without processors of its own': [
    {
      '/proc/self/cgroup': '0::/\n',
      '/proc/self/mountinfo': V2_MOUNT,
      '/sys/fs/cgroup/cpuset.cpus.effective': '\n',
    },
    '0-7',
  ],
  'that is not mounted': [{ '/proc/self/cgroup': '0::/\n', '/proc/self/mountinfo': '\n' }, '0-7'],
}

for (const [name, [texts, expected]] of Object.entries(GROUPS)) {
  test(`allowed keeps to a control group ${name}`, () => {
    const port = tablePort({ [`${SYS}/cpu/online`]: '0-7\n', ...texts }, maskOfNumbers(range(8)))

    assert.equal(String(Topology.read(port).allowed), expected)
  })
}

test('a container whose file of processors is made up has those of its mask', () => {
  const port = tablePort({ [`${SYS}/cpu/online`]: '0-1\n' }, maskOfNumbers([5, 9]))

  const { allowed, online } = Topology.read(port)

  assert.equal(String(allowed), '5,9')
  assert.equal(String(online), '0-1,5,9')
})

test('without /sys each processor of the mask is a core of one node', () => {
  const texts = { '/proc/meminfo': 'MemTotal:        2048 kB\nMemFree: 12 kB\n' }

  const { online, allowed, nodes, memoryNodes } = Topology.read(
    tablePort(texts, maskOfNumbers([0, 1])),
  )

  assert.equal(String(allowed), '0-1')
  assert.deepEqual(
    [...online].map(({ core, package: socket, l3 }) => [core, socket, l3]),
    [
      [0, 0, null],
      [1, 0, null],
    ],
  )
  assert.deepEqual(
    nodes.map(({ id, memoryBytes }) => [id, memoryBytes]),
    [[0, 2048 * 1024]],
  )
  assert.deepEqual(memoryNodes, [0])
})

test('without an affinity mask all that is online is allowed', () => {
  for (const errno of [-EPERM, -EACCES]) {
    const port = tablePort({ [`${SYS}/cpu/online`]: '0,2\n' }, errno)

    assert.equal(String(Topology.read(port).allowed), '0,2')
  }
})

test('a kernel that tells of no processor is refused', () => {
  assert.throws(() => Topology.read(tablePort({}, -EPERM)), { code: 'ERR_TOPOLOGY_UNREADABLE' })
})

test('a file that says what it can not is named', () => {
  const texts = { [`${SYS}/cpu/online`]: '0-1\n', [`${SYS}/node/online`]: 'many\n' }

  assert.throws(() => Topology.read(tablePort(texts, maskOfNumbers([0, 1]))), {
    code: 'ERR_TOPOLOGY_UNREADABLE',
    message: /node\/online .*"many"/,
  })
})

test('a package that the kernel does not know is 0', () => {
  const texts = {
    [`${SYS}/cpu/online`]: '0\n',
    [`${SYS}/cpu/cpu0/topology/physical_package_id`]: '-1\n',
  }

  assert.equal(Topology.read(tablePort(texts, maskOfNumbers([0]))).online.get(0)!.package, 0)
})

test('kernels before 5.3 name the threads of a core differently', () => {
  const texts = {
    [`${SYS}/cpu/online`]: '0-3\n',
    [`${SYS}/cpu/cpu0/topology/thread_siblings_list`]: '0,2\n',
    [`${SYS}/cpu/cpu1/topology/thread_siblings_list`]: '1,3\n',
  }

  const { online } = Topology.read(tablePort(texts, maskOfNumbers(range(4))))

  assert.deepEqual(
    [...online].map(({ core, smtIndex }) => `${core}.${smtIndex}`),
    ['0.0', '1.0', '0.1', '1.1'],
  )
})

test('one file tells of all processors of a group', () => {
  const kernel = new SimKernel({ topology: machines.HUGE })
  const read = new Map<string, number>()

  Topology.read({
    processId: kernel.processId,
    getAffinity: (threadId, mask) => kernel.getAffinity(threadId, mask),
    readTextFile(path) {
      read.set(path, (read.get(path) ?? 0) + 1)
      return kernel.readTextFile(path)
    },
  })

  const siblings = [...read.keys()].filter((path) => path.endsWith('core_cpus_list'))
  assert.equal(siblings.length, 512)
  assert.equal(Math.max(...read.values()), 1)
})

test('cpu() names the processors that are online', () => {
  const topology = topologyOf(machines.SMT_OFF)

  assert.equal(topology.cpu(3).id, 3)
  assert.throws(() => topology.cpu(9), { code: 'ERR_CPU_UNAVAILABLE', message: /offline.*0-7/ })
  assert.throws(() => topology.cpu(99), { code: 'ERR_CPU_UNAVAILABLE', message: /no 99.*0-7/ })
})

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}
