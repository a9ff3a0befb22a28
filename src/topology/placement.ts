import { RuntimeError, showAs, validateInteger, wrongType } from '../base/index.ts'
import { type CpuSet, checkSet } from './cpu-set.ts'
import { packOrder } from './pack-order.ts'
import { spreadOrder } from './spread-order.ts'
import { Topology } from './topology.ts'

const COUNT = { min: 1, max: 65_536 }
const CPU = { min: 0, max: 1 << 20 }

/**
 * Where one thread runs: an immutable value.
 *
 * Source: glommio::Placement.
 *
 * @example Keep a thread on the first node
 * ```ts run
 * import { CpuSet, Placement, Topology } from 'percore/topology'
 *
 * const allowed = CpuSet.allowed()
 * const placement = Placement.fenced(allowed.filter({ node: allowed.nodes[0]! }))
 * console.log(String(placement.resolve(Topology.read())))
 * ```
 */
export class Placement {
  static {
    showAs(Placement, ({ kind }) => `Placement.${kind}`)
  }

  readonly kind: 'unbound' | 'fenced' | 'fixed'
  readonly #resolve: (topology: Topology) => CpuSet

  /** @internal */
  constructor(kind: Placement['kind'], resolve: (topology: Topology) => CpuSet) {
    this.kind = kind
    this.#resolve = resolve
    Object.freeze(this)
  }

  /** On whatever processor of those that the process may use. */
  static unbound(): Placement {
    return new Placement('unbound', ({ allowed }) => requireCpus(allowed, 'unbound'))
  }

  /**
   * On whatever processor of a set.
   *
   * @throws {TypeError} for what is no set.
   */
  static fenced(cpus: CpuSet): Placement {
    checkSet('place a thread', cpus, 'cpus')
    return new Placement('fenced', (topology) => requireAllowed(cpus, topology, 'fenced'))
  }

  /**
   * On one processor alone.
   *
   * @throws {TypeError | RangeError} for what is no number of a processor.
   */
  static fixed(cpu: number): Placement {
    validateInteger('place a thread', 'cpu', cpu, CPU)
    return new Placement('fixed', (topology) => {
      const { id } = topology.cpu(cpu)
      return requireAllowed(topology.online.pickIds([id]), topology, 'fixed')
    })
  }

  /**
   * The processors that the thread is to be bound to.
   *
   * @throws {RuntimeError} `ERR_CPU_UNAVAILABLE` for a processor that is not there, offline or not allowed to this
   * process, `ERR_TOO_FEW_CPUS` for an empty set.
   * @throws {TypeError} for what is no topology.
   */
  resolve(topology: Topology): CpuSet {
    checkTopology(topology)
    return this.#resolve(topology)
  }
}

/**
 * Where the threads of a pool run: an immutable value, and a pure function from a machine to a set of processors for each
 * shard. Equal machines give equal answers; the shards come in the order of the answer, and one shard more moves no other.
 *
 * Source: glommio::PoolPlacement; there sets come in no order, and custom ones in reverse.
 *
 * @example A shard for each core that this process may use
 * ```ts run
 * import { CpuSet, PoolPlacement, Topology } from 'percore/topology'
 *
 * const cores = CpuSet.allowed().filter({ smtIndex: 0 })
 * const sets = PoolPlacement.maxSpread(undefined, cores).resolve(Topology.read())
 * for (const [shard, set] of sets.entries()) console.log(`shard ${shard}: ${set} of node ${set.node}`)
 * ```
 */
export class PoolPlacement {
  static {
    showAs(PoolPlacement, ({ kind }) => `PoolPlacement.${kind}`)
  }

  readonly kind: 'unbound' | 'fenced' | 'maxSpread' | 'maxPack' | 'custom'
  readonly #resolve: (topology: Topology) => readonly CpuSet[]

  /** @internal */
  constructor(kind: PoolPlacement['kind'], resolve: (topology: Topology) => readonly CpuSet[]) {
    this.kind = kind
    this.#resolve = resolve
    Object.freeze(this)
  }

  /**
   * So many shards, each on whatever processor of those that the process may use.
   *
   * @throws {TypeError | RangeError} unless there is one at least.
   */
  static unbound(shardCount: number): PoolPlacement {
    checkCount(shardCount)
    const one = Placement.unbound()
    return new PoolPlacement('unbound', (topology) => repeat(shardCount, one.resolve(topology)))
  }

  /**
   * So many shards, each on whatever processor of a set; there may be more than processors.
   *
   * @throws {TypeError | RangeError} unless there is one at least, and a set.
   */
  static fenced(shardCount: number, cpus: CpuSet): PoolPlacement {
    checkCount(shardCount)
    const one = Placement.fenced(cpus)
    return new PoolPlacement('fenced', (topology) => repeat(shardCount, one.resolve(topology)))
  }

  /**
   * A processor for each shard, which share as little as they can: over the nodes, packages and L3 caches evenly,
   * no two on one core while another is free, faster kinds of cores first.
   *
   * @param shardCount - One for each processor of the set if not given.
   * @param cpus - Those that the process may use if not given.
   * @throws {TypeError | RangeError} for a count below one, and what is no set.
   */
  static maxSpread(shardCount?: number, cpus?: CpuSet): PoolPlacement {
    checkCount(shardCount, cpus)
    return new PoolPlacement('maxSpread', (topology) => {
      const from = chooseFrom(topology, 'max-spread', shardCount, cpus)
      return takeSingly(from, spreadOrder(from), shardCount)
    })
  }

  /**
   * A processor for each shard, which share as much as they can: the threads of a core, then the cores of a cache, of a
   * node, and of the nearest one; faster kinds of cores first.
   *
   * @param shardCount - One for each processor of the set if not given.
   * @param cpus - Those that the process may use if not given.
   * @throws {TypeError | RangeError} for a count below one, and what is no set.
   */
  static maxPack(shardCount?: number, cpus?: CpuSet): PoolPlacement {
    checkCount(shardCount, cpus)
    return new PoolPlacement('maxPack', (topology) => {
      const from = chooseFrom(topology, 'max-pack', shardCount, cpus)
      return takeSingly(from, packOrder(from, topology), shardCount)
    })
  }

  /**
   * A shard for each set, in their order; sets may have processors in common.
   *
   * @throws {TypeError} for what is no array of sets; {@link RangeError} for an empty one.
   */
  static custom(sets: readonly CpuSet[]): PoolPlacement {
    if (!Array.isArray(sets)) throw wrongType('place a pool', 'sets', 'an array of CpuSet', sets)
    validateInteger('place a pool', 'sets.length', sets.length, COUNT)
    const places = sets.map((set) => Placement.fenced(set))
    return new PoolPlacement('custom', (topology) => places.map((place) => place.resolve(topology)))
  }

  /**
   * The processors of each shard.
   *
   * @throws {RuntimeError} `ERR_TOO_FEW_CPUS` for more shards than processors where each has its own, and for an empty
   * set; `ERR_CPU_UNAVAILABLE` for processors that are offline, or not allowed to this process.
   * @throws {TypeError} for what is no topology.
   */
  resolve(topology: Topology): readonly CpuSet[] {
    checkTopology(topology)
    return Object.freeze(this.#resolve(topology))
  }
}

function chooseFrom(
  topology: Topology,
  policy: string,
  shardCount: number | undefined,
  cpus: CpuSet | undefined,
): CpuSet {
  const from = requireAllowed(cpus ?? topology.allowed, topology, policy)
  if (shardCount === undefined || shardCount <= from.size) return from
  throw new RuntimeError(
    'ERR_TOO_FEW_CPUS',
    `Cannot place ${shardCount} shards by ${policy} as each must have a processor of its own: there are ${from.size} (${from})`,
  )
}

function takeSingly(
  from: CpuSet,
  order: readonly { readonly id: number }[],
  shardCount = from.size,
): readonly CpuSet[] {
  return order.slice(0, shardCount).map(({ id }) => from.pickIds([id]))
}

/** The set as this topology has it. */
function requireAllowed(cpus: CpuSet, topology: Topology, policy: string): CpuSet {
  const { allowed } = topology
  const others = cpus.difference(allowed)
  if (others.size > 0) {
    throw new RuntimeError(
      'ERR_CPU_UNAVAILABLE',
      `Cannot place by ${policy} as the process must be allowed all of '${cpus}': it is not allowed ${others}, or they are offline; CpuSet.allowed() is '${allowed}'`,
    )
  }
  return requireCpus(allowed.intersection(cpus), policy)
}

function requireCpus(cpus: CpuSet, policy: string): CpuSet {
  if (cpus.size > 0) return cpus
  throw new RuntimeError(
    'ERR_TOO_FEW_CPUS',
    `Cannot place by ${policy} as there must be one processor at least: the set has 0`,
  )
}

function repeat(count: number, cpus: CpuSet): readonly CpuSet[] {
  return Array.from({ length: count }, () => cpus)
}

function checkCount(shardCount: number | undefined, cpus?: CpuSet): void {
  if (shardCount !== undefined) validateInteger('place a pool', 'shardCount', shardCount, COUNT)
  if (cpus !== undefined) checkSet('place a pool', cpus, 'cpus')
}

function checkTopology(topology: unknown): void {
  if (topology instanceof Topology) return
  throw wrongType('place threads', 'topology', 'a Topology', topology)
}
