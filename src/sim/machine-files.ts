import { formatNumberList, KIB } from '../base/index.ts'
import type { SimCpu, SimNode, SimTopology } from './topology.ts'

const CPUS = '/sys/devices/system/cpu'
const NODES = '/sys/devices/system/node'
const DISTANCE_OWN = 10
const DISTANCE_OTHER = 20

type Level = 'core' | 'package' | 'die' | 'cluster' | 'l2' | 'l3'

const TOPOLOGY_LISTS: ReadonlyArray<readonly [string, Level]> = [
  ['core_cpus_list', 'core'],
  ['package_cpus_list', 'package'],
  ['die_cpus_list', 'die'],
  ['cluster_cpus_list', 'cluster'],
]

/** What Linux tells of such a machine in /sys and /proc: the text of each file by its path. */
export function machineFiles(topology: SimTopology): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  const add = (path: string, text: string | number): void => void files.set(path, `${text}\n`)
  const online = topology.cpus.filter(({ isOnline }) => isOnline !== false)
  add(`${CPUS}/present`, listOf(topology.cpus))
  add(`${CPUS}/online`, listOf(online))
  const groups = new Groups(online)
  for (const cpu of online) addCpu(cpu, groups, add)
  for (const kind of ['core', 'atom', 'lowpower'] as const) {
    const ofKind = topology.cpus.filter((cpu) => cpu.kind === kind)
    if (ofKind.length > 0) add(`/sys/devices/cpu_${kind}/cpus`, listOf(ofKind))
  }
  add(`${NODES}/online`, listOf(topology.nodes))
  for (const node of topology.nodes) addNode(node, topology.nodes, online, add)
  addProcess(topology, add)
  return files
}

type Add = (path: string, text: string | number) => void

function addCpu(cpu: SimCpu, groups: Groups, add: Add): void {
  const folder = `${CPUS}/cpu${cpu.id}`
  add(`${folder}/topology/physical_package_id`, cpu.package)
  for (const [name, level] of TOPOLOGY_LISTS) {
    if (cpu[level] !== undefined) add(`${folder}/topology/${name}`, groups.listOf(cpu, level))
  }
  const own = formatNumberList([cpu.id])
  const caches: [level: number, list: string][] = [
    [1, own],
    [1, own],
  ]
  if (cpu.l2 !== undefined) caches.push([2, groups.listOf(cpu, 'l2')])
  if (cpu.l3 !== undefined) caches.push([3, groups.listOf(cpu, 'l3')])
  for (const [index, [level, list]] of caches.entries()) {
    add(`${folder}/cache/index${index}/level`, level)
    add(`${folder}/cache/index${index}/shared_cpu_list`, list)
  }
  if (cpu.capacity !== undefined) add(`${folder}/cpu_capacity`, cpu.capacity)
}

function addNode(
  node: SimNode,
  nodes: readonly SimNode[],
  online: readonly SimCpu[],
  add: Add,
): void {
  const folder = `${NODES}/node${node.id}`
  const others = nodes.map(({ id }) => (id === node.id ? DISTANCE_OWN : DISTANCE_OTHER))
  add(`${folder}/cpulist`, listOf(online.filter((cpu) => cpu.node === node.id)))
  add(`${folder}/meminfo`, `Node ${node.id} MemTotal:       ${node.memoryBytes / KIB} kB`)
  add(`${folder}/distance`, (node.distances ?? others).join(' '))
}

/** A control group of its own below the root of the second version, in a mount that shows all. */
function addProcess({ nodes, cpuset, memoryNodes }: SimTopology, add: Add): void {
  add('/proc/self/status', `Name:\tnode\nMems_allowed_list:\t${memoryNodes ?? listOf(nodes)}`)
  add('/proc/self/cgroup', '0::/program')
  add('/proc/self/mountinfo', '31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw')
  if (cpuset !== undefined) add('/sys/fs/cgroup/program/cpuset.cpus.effective', cpuset)
}

/** Which processors are together. */
class Groups {
  readonly #lists = new Map<string, number[]>()

  constructor(cpus: readonly SimCpu[]) {
    for (const cpu of cpus) {
      for (const level of ['core', 'package', 'die', 'cluster', 'l2', 'l3'] as const) {
        const key = `${level} ${cpu[level]}`
        const list = this.#lists.get(key)
        if (list === undefined) this.#lists.set(key, [cpu.id])
        else list.push(cpu.id)
      }
    }
  }

  listOf(cpu: SimCpu, level: Level): string {
    const list = this.#lists.get(`${level} ${cpu[level]}`) ?? []
    return formatNumberList(list.sort((a, b) => a - b))
  }
}

function listOf(things: readonly { readonly id: number }[]): string {
  return formatNumberList(things.map(({ id }) => id).sort((a, b) => a - b))
}
