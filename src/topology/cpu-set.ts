import {
  formatNumberList,
  optionNames,
  parseNumberList,
  RuntimeError,
  showAs,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import { currentKernel } from '../kernel/index.ts'
import { CPU_KINDS, type Cpu, type CpuKind, type CpuLevel } from './cpu.ts'
import { readMachine } from './read-machine.ts'

/** What {@link CpuSet.filter} keeps: the processors that are all of it. */
export interface CpuFilter {
  readonly node?: number
  readonly package?: number
  /** null keeps those of which the kernel does not say it, as with `cluster`, `l3` and `l2`. */
  readonly die?: number | null
  readonly cluster?: number | null
  readonly l3?: number | null
  readonly l2?: number | null
  readonly core?: number
  /** 0 keeps one processor of each core. */
  readonly smtIndex?: number
  readonly kind?: CpuKind
}

const LEVELS = {
  node: true,
  package: true,
  die: true,
  cluster: true,
  l3: true,
  l2: true,
  core: true,
} as const
const FILTER_NAMES = optionNames<CpuFilter>({ ...LEVELS, smtIndex: true, kind: true })
/** What a kernel may not tell. */
const UNKNOWABLE = ['die', 'cluster', 'l3', 'l2']

/**
 * A set of processors of one machine: an immutable value, ascending by number.
 *
 * Operations know processors by their numbers, keep those of the set that they are called on, and take O(size). An empty
 * set is a set; placing by it is refused. What crosses to another thread is its list: `String(set)`, `CpuSet.parse()`.
 *
 * Source: glommio::CpuSet.
 *
 * @example One processor of each core of the first node
 * ```ts run
 * import { CpuSet } from 'percore/topology'
 *
 * const allowed = CpuSet.allowed()
 * const [node] = allowed.nodes
 * const cores = allowed.filter({ node, smtIndex: 0 })
 * console.log(`${cores.size} of ${allowed.size}: ${cores}`) // 4 of 16: 0-3
 * ```
 */
export class CpuSet implements Iterable<Cpu> {
  static {
    showAs(CpuSet, (set) => `CpuSet { ${set} }`)
  }

  /** The numbers, ascending. */
  readonly ids: readonly number[]
  readonly #cpus: ReadonlyMap<number, Cpu>

  /** @internal */
  constructor(cpus: Iterable<Cpu>) {
    const sorted = [...cpus].sort((a, b) => a.id - b.id)
    this.#cpus = new Map(sorted.map((cpu) => [cpu.id, cpu]))
    this.ids = Object.freeze([...this.#cpus.keys()])
    Object.freeze(this)
  }

  /**
   * All processors of the machine that run: those of `Topology.read().online`, read now.
   *
   * @throws {RuntimeError} `ERR_TOPOLOGY_UNREADABLE`, `ERR_ADDON_MISSING`
   */
  static online(): CpuSet {
    return new CpuSet(readMachine(currentKernel()).cpus)
  }

  /**
   * Those that this process may use: those of `Topology.read().allowed`, read now.
   *
   * @throws {RuntimeError} `ERR_TOPOLOGY_UNREADABLE`, `ERR_ADDON_MISSING`
   */
  static allowed(): CpuSet {
    const { cpus, allowed } = readMachine(currentKernel())
    return new CpuSet(cpus).pickIds(allowed)
  }

  /**
   * Those of a list as `taskset -c` takes it: `0-3,8`.
   *
   * @throws {RangeError} for what is no such list.
   * @throws {RuntimeError} `ERR_CPU_UNAVAILABLE` for one that is not online; `ERR_TOPOLOGY_UNREADABLE`,
   * `ERR_ADDON_MISSING`
   */
  static parse(list: string): CpuSet {
    return CpuSet.online().pick(list)
  }

  get size(): number {
    return this.ids.length
  }

  /** The NUMA nodes of its processors, ascending. */
  get nodes(): readonly number[] {
    const nodes = new Set([...this].map(({ node }) => node))
    return [...nodes].sort((a, b) => a - b)
  }

  /** The NUMA node of all its processors; null if they are of several, or the set is empty. */
  get node(): number | null {
    const { nodes } = this
    return nodes.length === 1 ? nodes[0]! : null
  }

  [Symbol.iterator](): IterableIterator<Cpu> {
    return this.#cpus.values()
  }

  has(cpu: number | Cpu): boolean {
    return this.#cpus.has(typeof cpu === 'number' ? cpu : cpu.id)
  }

  /** The processor of that number, or undefined. */
  get(id: number): Cpu | undefined {
    return this.#cpus.get(id)
  }

  /**
   * The processors that a filter, or a function, lets pass.
   *
   * @throws {TypeError} for what is neither, and for a filter with a name that is not known.
   */
  filter(keep: CpuFilter | ((cpu: Cpu) => boolean)): CpuSet {
    const isKept = typeof keep === 'function' ? keep : compileFilter(keep)
    return new CpuSet([...this].filter((cpu) => isKept(cpu)))
  }

  /**
   * The set in parts, each with the processors that share that, in the order of their lowest processors. Those of which
   * the kernel does not say it are one part.
   *
   * @throws {TypeError} for a level that is not known.
   */
  groupBy(level: CpuLevel): readonly CpuSet[] {
    if (!Object.hasOwn(LEVELS, level)) {
      const names = Object.keys(LEVELS).join(', ')
      throw wrongType('group processors', 'level', `one of ${names}`, level)
    }
    const groups = new Map<number | null, Cpu[]>()
    for (const cpu of this) {
      const group = groups.get(cpu[level])
      if (group === undefined) groups.set(cpu[level], [cpu])
      else group.push(cpu)
    }
    return [...groups.values()].map((cpus) => new CpuSet(cpus))
  }

  union(other: CpuSet): CpuSet {
    checkSet('unite', other)
    return new CpuSet([...other, ...this])
  }

  intersection(other: CpuSet): CpuSet {
    checkSet('intersect', other)
    return this.filter(({ id }) => other.has(id))
  }

  /** Those of this set that the other has not. */
  difference(other: CpuSet): CpuSet {
    checkSet('subtract', other)
    return this.filter(({ id }) => !other.has(id))
  }

  /** Those that exactly one of both sets has. */
  symmetricDifference(other: CpuSet): CpuSet {
    return this.difference(other).union(other.difference(this))
  }

  equals(other: CpuSet): boolean {
    checkSet('compare', other)
    return this.size === other.size && this.isSubsetOf(other)
  }

  isSubsetOf(other: CpuSet): boolean {
    checkSet('compare', other)
    return this.ids.every((id) => other.has(id))
  }

  isSupersetOf(other: CpuSet): boolean {
    checkSet('compare', other)
    return other.isSubsetOf(this)
  }

  isDisjointFrom(other: CpuSet): boolean {
    checkSet('compare', other)
    return !this.ids.some((id) => other.has(id))
  }

  /**
   * Those of a list as `taskset -c` takes it: `0-3,8`.
   *
   * @throws {RangeError} for what is no such list.
   * @throws {RuntimeError} `ERR_CPU_UNAVAILABLE` for one that is not in this set.
   */
  pick(list: string): CpuSet {
    validateString('pick processors', 'list', list)
    const ids = parseNumberList(list)
    if (ids === null) {
      throw new RangeError(
        `Cannot pick processors as list must be numbers and ranges, such as 0-3,8: current value is ${JSON.stringify(list)}`,
      )
    }
    return this.pickIds(ids)
  }

  /** {@link pick} by numbers. @internal */
  pickIds(ids: readonly number[]): CpuSet {
    const missing = ids.filter((id) => !this.has(id))
    if (missing.length > 0) {
      throw new RuntimeError(
        'ERR_CPU_UNAVAILABLE',
        `Cannot pick processors as all must be of the set '${this}': it has no ${formatNumberList(missing)}`,
      )
    }
    return new CpuSet(ids.map((id) => this.#cpus.get(id)!))
  }

  /** The numbers as the kernel lists them: `0-3,8`; empty for none. */
  toString(): string {
    return formatNumberList(this.ids)
  }

  /** {@link toString} */
  toJSON(): string {
    return this.toString()
  }
}

function compileFilter(filter: CpuFilter): (cpu: Cpu) => boolean {
  const action = 'filter processors'
  validateOptions(action, filter, FILTER_NAMES, 'filter')
  const entries = Object.entries(filter)
  for (const [name, value] of entries) {
    // Also what is undefined: a node that a program did not find would else be all nodes.
    if (name === 'kind') {
      if (!CPU_KINDS.includes(value)) throw wrongType(action, name, CPU_KINDS.join(' or '), value)
    } else if (typeof value !== 'number' && !(value === null && UNKNOWABLE.includes(name))) {
      throw wrongType(action, name, 'a number', value)
    }
  }
  return (cpu) => entries.every(([name, value]) => cpu[name as keyof CpuFilter] === value)
}

/** @throws {TypeError} */
export function checkSet(action: string, value: unknown, name = 'other'): asserts value is CpuSet {
  if (!(value instanceof CpuSet)) throw wrongType(action, name, 'a CpuSet', value)
}
