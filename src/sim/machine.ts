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

/** The number of the one simulated process. */
export const SIM_PROCESS_ID = 1000

/** The processors and nodes of a simulated machine: what it tells of them, and where its one thread is. */
export class SimMachine {
  readonly #topology: SimTopology
  /** Where the control group lets threads run, ascending. */
  readonly #usable: readonly number[]
  readonly #maskBytes: number
  readonly #memoryNodes: readonly number[]
  readonly #nodeOf = new WeakMap<ArrayBufferLike, number>()
  #files: ReadonlyMap<string, string> | null = null
  #affinity: readonly number[]
  #policy = MPOL_DEFAULT
  #policyNodes: readonly number[] = []

  constructor(topology: SimTopology) {
    const { cpus, nodes, cpuset, affinity, memoryNodes } = topology
    const online = cpus.filter(({ isOnline }) => isOnline !== false).map(({ id }) => id)
    const withMemory = nodes.filter(({ memoryBytes }) => memoryBytes > 0).map(({ id }) => id)
    this.#topology = topology
    this.#usable = restrict(online.sort(ascending), cpuset)
    this.#affinity = restrict(this.#usable, affinity)
    this.#maskBytes = maskOfNumbers(cpus.map(({ id }) => id)).length
    this.#memoryNodes = restrict(withMemory.sort(ascending), memoryNodes)
  }

  readTextFile(path: string): string | number {
    // Few programs ask, and simulations are many.
    this.#files ??= machineFiles(this.#topology)
    return this.#files.get(path) ?? -ENOENT
  }

  getAffinity(threadId: number, mask: Uint8Array): number {
    if (!isThread(threadId)) return -ESRCH
    if (mask.length < this.#maskBytes || mask.length % 8 !== 0) return -EINVAL
    mask.fill(0, 0, this.#maskBytes)
    mask.set(maskOfNumbers(this.#affinity))
    return this.#maskBytes
  }

  setAffinity(threadId: number, mask: Uint8Array): number {
    if (!isThread(threadId)) return -ESRCH
    const asked = new Set(numbersOfMask(mask))
    const cpus = this.#usable.filter((cpu) => asked.has(cpu))
    if (cpus.length === 0) return -EINVAL
    this.#affinity = cpus
    return 0
  }

  getMemoryPolicy(nodes: Uint8Array): number {
    const mask = maskOfNumbers(this.#policyNodes)
    if (nodes.length < mask.length || nodes.length % 8 !== 0) return -EINVAL
    nodes.fill(0)
    nodes.set(mask)
    return this.#policy
  }

  setMemoryPolicy(mode: number, nodes: Uint8Array): number {
    if (mode < MPOL_DEFAULT || mode > MPOL_INTERLEAVE) return -EINVAL
    const asked = numbersOfMask(nodes)
    const usable = asked.filter((node) => this.#memoryNodes.includes(node))
    if (mode === MPOL_DEFAULT ? asked.length > 0 : usable.length === 0) {
      // To prefer no node is to prefer one's own.
      if (mode !== MPOL_PREFERRED || asked.length > 0) return -EINVAL
    }
    this.#policy = mode
    this.#policyNodes = usable
    return 0
  }

  /** The node that memory lies on: that of the policy of who asked for it first. */
  nodeOf(memory: ArrayBufferLike): number {
    const known = this.#nodeOf.get(memory)
    if (known !== undefined) return known
    const node = this.#policyNodes[0] ?? this.#localNode()
    this.#nodeOf.set(memory, node)
    return node
  }

  /** The nearest node with memory. */
  #localNode(): number {
    const { cpus, nodes } = this.#topology
    const own = nodes.find(({ id }) => id === cpus.find(({ id }) => id === this.#affinity[0])?.node)
    const distanceTo = (id: number): number => {
      const other = id === own?.id ? 10 : 20
      return own?.distances?.[nodes.findIndex((node) => node.id === id)] ?? other
    }
    return [...this.#memoryNodes].sort((a, b) => distanceTo(a) - distanceTo(b))[0] ?? 0
  }
}

function isThread(threadId: number): boolean {
  return threadId === 0 || threadId === SIM_PROCESS_ID
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
