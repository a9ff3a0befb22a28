import { maskOfNumbers, numbersOfMask, parseNumberList } from '../base/index.ts'
import {
  EINVAL,
  ENOENT,
  ESRCH,
  MPOL_DEFAULT,
  MPOL_INTERLEAVE,
  MPOL_PREFERRED,
} from '../kernel/index.ts'
import { machineFiles } from './machine-files.ts'
import type { SimTopology } from './topology.ts'

/** The number of the one simulated process, and of its main thread. */
export const SIM_PROCESS_ID = 1000

/** Where a thread runs, and where memory comes from that it touches first: its children begin with the same. */
export interface SimThreadPlace {
  readonly id: number
  affinity: readonly number[]
  policy: number
  policyNodes: readonly number[]
}

/** The processors and nodes of a simulated machine: what it tells of them, and where the threads are. */
export class SimMachine {
  readonly #topology: SimTopology
  /** Where the control group lets threads run, ascending. */
  readonly #usable: readonly number[]
  readonly #maskBytes: number
  readonly #memoryNodes: readonly number[]
  readonly #nodeOf = new WeakMap<ArrayBufferLike, number>()
  readonly #threads: SimThreadPlace[] = []
  /** Where a process begins. */
  readonly #initial: readonly number[]
  #files: ReadonlyMap<string, string> | null = null

  constructor(topology: SimTopology) {
    const { cpus, nodes, cpuset, affinity, memoryNodes } = topology
    const online = cpus.filter(({ isOnline }) => isOnline !== false).map(({ id }) => id)
    const withMemory = nodes.filter(({ memoryBytes }) => memoryBytes > 0).map(({ id }) => id)
    this.#topology = topology
    this.#usable = restrict(online.sort(ascending), cpuset)
    this.#initial = restrict(this.#usable, affinity)
    this.#maskBytes = maskOfNumbers(cpus.map(({ id }) => id)).length
    this.#memoryNodes = restrict(withMemory.sort(ascending), memoryNodes)
  }

  readTextFile(path: string): string | number {
    // Few programs ask, and simulations are many.
    this.#files ??= machineFiles(this.#topology)
    return this.#files.get(path) ?? -ENOENT
  }

  /** A thread more: one that another makes begins where that is. */
  addThread(parent: SimThreadPlace | null): SimThreadPlace {
    const id = SIM_PROCESS_ID + this.#threads.length
    const initial = { affinity: this.#initial, policy: MPOL_DEFAULT, policyNodes: [] }
    const thread = { ...initial, ...parent, id }
    this.#threads.push(thread)
    return thread
  }

  threadIds(): readonly number[] {
    return this.#threads.map(({ id }) => id)
  }

  getAffinity(caller: SimThreadPlace, threadId: number, mask: Uint8Array): number {
    const thread = this.#find(caller, threadId)
    if (thread === undefined) return -ESRCH
    if (mask.length < this.#maskBytes || mask.length % 8 !== 0) return -EINVAL
    mask.fill(0, 0, this.#maskBytes)
    mask.set(maskOfNumbers(thread.affinity))
    return this.#maskBytes
  }

  setAffinity(caller: SimThreadPlace, threadId: number, mask: Uint8Array): number {
    const thread = this.#find(caller, threadId)
    if (thread === undefined) return -ESRCH
    const asked = new Set(numbersOfMask(mask))
    const cpus = this.#usable.filter((cpu) => asked.has(cpu))
    if (cpus.length === 0) return -EINVAL
    thread.affinity = cpus
    return 0
  }

  getMemoryPolicy(caller: SimThreadPlace, nodes: Uint8Array): number {
    const mask = maskOfNumbers(caller.policyNodes)
    if (nodes.length < mask.length || nodes.length % 8 !== 0) return -EINVAL
    nodes.fill(0)
    nodes.set(mask)
    return caller.policy
  }

  setMemoryPolicy(caller: SimThreadPlace, mode: number, nodes: Uint8Array): number {
    if (mode < MPOL_DEFAULT || mode > MPOL_INTERLEAVE) return -EINVAL
    const asked = numbersOfMask(nodes)
    const usable = asked.filter((node) => this.#memoryNodes.includes(node))
    // To prefer no node is to prefer one's own.
    const isOwn = asked.length === 0 && (mode === MPOL_DEFAULT || mode === MPOL_PREFERRED)
    if (!isOwn && (mode === MPOL_DEFAULT || usable.length === 0)) return -EINVAL
    caller.policy = mode
    caller.policyNodes = usable
    return 0
  }

  /** The node that memory lies on: that of the policy of whoever asked for it first. */
  nodeOf(caller: SimThreadPlace, memory: ArrayBufferLike): number {
    const known = this.#nodeOf.get(memory)
    if (known !== undefined) return known
    const node = caller.policyNodes[0] ?? this.#localNode(caller)
    this.#nodeOf.set(memory, node)
    return node
  }

  #find(caller: SimThreadPlace, threadId: number): SimThreadPlace | undefined {
    return threadId === 0 ? caller : this.#threads.find(({ id }) => id === threadId)
  }

  /** The nearest node with memory. */
  #localNode({ affinity }: SimThreadPlace): number {
    const { cpus, nodes } = this.#topology
    const cpu = cpus.find(({ id }) => id === affinity[0])
    const own = nodes.find(({ id }) => id === cpu?.node)
    const distanceTo = (id: number): number => {
      const other = id === own?.id ? 10 : 20
      return own?.distances?.[nodes.findIndex((node) => node.id === id)] ?? other
    }
    return [...this.#memoryNodes].sort((a, b) => distanceTo(a) - distanceTo(b))[0] ?? 0
  }
}

/** Those of `numbers` that a list has; all without a list. */
function restrict(numbers: readonly number[], list: string | undefined): readonly number[] {
  if (list === undefined) return numbers
  const allowed = new Set(parseNumberList(list))
  return numbers.filter((number) => allowed.has(number))
}

function ascending(a: number, b: number): number {
  return a - b
}
