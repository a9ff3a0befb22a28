import { KIB, RuntimeError } from '../base/index.ts'
import type { MachinePort } from '../kernel/index.ts'
import type { Cpu, CpuKind } from './cpu.ts'
import { MachineFiles } from './machine-files.ts'
import { readAffinity, readAllowedMemory, readCpuset } from './read-allowed.ts'

const CPUS = '/sys/devices/system/cpu'
const NODES = '/sys/devices/system/node'
/** What Intel's drivers call the kinds of cores. */
const KIND_FOLDERS: ReadonlyArray<readonly [string, CpuKind]> = [
  ['cpu_core', 'performance'],
  ['cpu_atom', 'efficiency'],
  ['cpu_lowpower', 'low-power'],
]
const CAPACITY_MAX = 1024
/** Below this a core is of the small kind, on machines that tell capacities but no kinds. */
const CAPACITY_SMALL = CAPACITY_MAX / 2
const CACHES_MAX = 16

/** A NUMA node as it is read. */
export interface NodeReading {
  readonly id: number
  readonly memoryBytes: number
  /** By node; empty where the kernel does not say. */
  readonly distances: ReadonlyMap<number, number>
}

/** What one look at the machine found. */
export interface MachineReading {
  /** Those online, ascending. */
  readonly cpus: readonly Cpu[]
  /** Numbers of those that are there, but offline. */
  readonly offline: readonly number[]
  /** Numbers of those that this process may use, ascending. */
  readonly allowed: readonly number[]
  readonly nodes: readonly NodeReading[]
  /** The nodes with memory that this process may use, ascending. */
  readonly memoryNodes: readonly number[]
}

/**
 * Looks at the machine, by some files per core: milliseconds, a tenth of a second for 1,024 processors.
 *
 * @throws {RuntimeError} `ERR_TOPOLOGY_UNREADABLE` where the kernel tells of no processor, or a file says
 * what it can't.
 */
export function readMachine(port: MachinePort): MachineReading {
  const files = new MachineFiles(port)
  const affinity = readAffinity(port)
  const online = readOnline(files, affinity)
  const cpuset = readCpuset(files)
  const nodeIds = files.list(`${NODES}/online`)
  const nodes = readNodes(files, nodeIds)
  return {
    cpus: readCpus(files, online, readNodeOfCpus(files, nodeIds ?? [])),
    offline: (files.list(`${CPUS}/present`) ?? []).filter((id) => !online.includes(id)),
    allowed: intersect(intersect(online, affinity), cpuset),
    nodes,
    memoryNodes: readMemoryNodes(files, nodes),
  }
}

/**
 * Whoever is in the affinity mask is online, whatever the file says: in some containers it is made up, and counts
 * from 0 whichever processors they have.
 */
function readOnline(files: MachineFiles, affinity: readonly number[] | null): number[] {
  const told = files.list(`${CPUS}/online`) ?? []
  const online = [...new Set([...told, ...(affinity ?? [])])].sort((a, b) => a - b)
  if (online.length > 0) return online
  throw new RuntimeError(
    'ERR_TOPOLOGY_UNREADABLE',
    `Cannot read the topology as the kernel must tell which processors are online: neither ${CPUS}/online nor sched_getaffinity() does`,
  )
}

function readCpus(
  files: MachineFiles,
  online: readonly number[],
  nodeOf: (cpu: number) => number,
): Cpu[] {
  const folderOf = (cpu: number): string => `${CPUS}/cpu${cpu}`
  const listsOf = (name: string) => (cpu: number) => files.list(`${folderOf(cpu)}/topology/${name}`)
  const cores = groupOf(online, (cpu) => {
    // The second is what it was called before Linux 5.3.
    const list = listsOf('core_cpus_list')(cpu) ?? listsOf('thread_siblings_list')(cpu)
    return list ?? [cpu]
  })
  const dies = groupOf(online, listsOf('die_cpus_list'))
  const clusters = groupOf(online, listsOf('cluster_cpus_list'))
  const l2 = groupOf(online, (cpu) => readCache(files, folderOf(cpu), 2))
  const l3 = groupOf(online, (cpu) => readCache(files, folderOf(cpu), 3))
  const kindOf = readKinds(files)
  const capacityOf = readCapacities(files, online)
  const packages = new Map<number, number>()
  const threadCounts = new Map<number, number>()
  return online.map((id) => {
    const core = cores.get(id)!
    // A core is of one package, hence asked for once.
    const packageOf =
      packages.get(core) ?? files.number(`${folderOf(id)}/topology/physical_package_id`) ?? 0
    packages.set(core, packageOf)
    const smtIndex = threadCounts.get(core) ?? 0
    threadCounts.set(core, smtIndex + 1)
    const capacity = capacityOf(id)
    const small = capacity < CAPACITY_SMALL ? 'efficiency' : 'performance'
    return Object.freeze({
      id,
      node: nodeOf(id),
      // The kernel says -1 where it knows of none.
      package: Math.max(0, packageOf),
      die: dies.get(id) ?? null,
      cluster: clusters.get(id) ?? null,
      l3: l3.get(id) ?? null,
      l2: l2.get(id) ?? null,
      core,
      smtIndex,
      kind: kindOf(id) ?? small,
      capacity,
    } satisfies Cpu)
  })
}

/**
 * Which group each processor is in, counted from 0 in the order of their lowest ones. One reading tells of all of a
 * group, so there are as many as groups; processors of which nothing is told are in none.
 */
function groupOf(
  online: readonly number[],
  listOf: (cpu: number) => readonly number[] | null,
): Map<number, number> {
  const groups = new Map<number, number>()
  const isOnline = new Set(online)
  let count = 0
  for (const cpu of online) {
    if (groups.has(cpu)) continue
    const list = listOf(cpu)
    if (list === null) continue
    for (const member of [cpu, ...list]) {
      if (isOnline.has(member) && !groups.has(member)) groups.set(member, count)
    }
    count++
  }
  return groups
}

/** The processors that share a processor's cache of that level, or null. */
function readCache(files: MachineFiles, folder: string, level: number): number[] | null {
  for (let index = 0; index < CACHES_MAX; index++) {
    const cache = `${folder}/cache/index${index}`
    const found = files.number(`${cache}/level`)
    if (found === null) return null
    if (found === level) return files.list(`${cache}/shared_cpu_list`)
  }
  return null
}

function readNodeOfCpus(files: MachineFiles, nodes: readonly number[]): (cpu: number) => number {
  const nodeOf = new Map<number, number>()
  for (const node of nodes) {
    for (const cpu of files.list(`${NODES}/node${node}/cpulist`) ?? []) {
      if (!nodeOf.has(cpu)) nodeOf.set(cpu, node)
    }
  }
  return (cpu) => nodeOf.get(cpu) ?? nodes[0] ?? 0
}

function readKinds(files: MachineFiles): (cpu: number) => CpuKind | undefined {
  const kinds = new Map<number, CpuKind>()
  for (const [folder, kind] of KIND_FOLDERS) {
    for (const cpu of files.list(`/sys/devices/${folder}/cpus`) ?? []) kinds.set(cpu, kind)
  }
  return (cpu) => kinds.get(cpu)
}

/** In parts of the fastest. All have the file or none has. */
function readCapacities(files: MachineFiles, online: readonly number[]): (cpu: number) => number {
  const pathOf = (cpu: number): string => `${CPUS}/cpu${cpu}/cpu_capacity`
  if (files.text(pathOf(online[0]!)) === null) return () => CAPACITY_MAX
  const capacities = new Map(online.map((cpu) => [cpu, files.number(pathOf(cpu)) ?? CAPACITY_MAX]))
  const max = Math.max(1, ...capacities.values())
  return (cpu) => Math.round((capacities.get(cpu)! / max) * CAPACITY_MAX)
}

function readNodes(files: MachineFiles, ids: readonly number[] | null): NodeReading[] {
  if (ids === null) {
    const memoryBytes = parseMemory(files.text('/proc/meminfo') ?? '')
    return [{ id: 0, memoryBytes, distances: new Map() }]
  }
  return ids.map((id) => {
    const folder = `${NODES}/node${id}`
    // ABI: one number for each online node, whatever their numbers are.
    const numbers = (files.text(`${folder}/distance`) ?? '').split(/\s+/).map(Number)
    const isWhole = numbers.length === ids.length && numbers.every((number) => number > 0)
    return {
      id,
      memoryBytes: parseMemory(files.text(`${folder}/meminfo`) ?? ''),
      distances: new Map(isWhole ? ids.map((other, index) => [other, numbers[index]!]) : []),
    }
  })
}

function parseMemory(text: string): number {
  return Number(/MemTotal:\s*(\d+) kB/.exec(text)?.[1] ?? 0) * KIB
}

function readMemoryNodes(files: MachineFiles, nodes: readonly NodeReading[]): number[] {
  const withMemory = nodes.filter(({ memoryBytes }) => memoryBytes > 0).map(({ id }) => id)
  return intersect(withMemory, readAllowedMemory(files))
}

/** Those of `numbers` that are in a list; all where nothing is told. */
function intersect(numbers: readonly number[], list: readonly number[] | null): number[] {
  if (list === null) return [...numbers]
  const isListed = new Set(list)
  return numbers.filter((number) => isListed.has(number))
}
