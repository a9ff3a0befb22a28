import { assert, maskOfNumbers, numbersOfMask } from '../base/index.ts'
import { EINVAL, type Kernel, kernelError, MPOL_BIND, MPOL_PREFERRED } from '../kernel/index.ts'

/** ABI: the highest node of Linux is 1,023. */
const NODE_MASK_BYTES = 128
const CPU_MASK_BYTES_MIN = 128
const CPU_MASK_BYTES_MAX = 8192

/** The calls of the kernel that bind threads. */
export type BindingPort = Pick<
  Kernel,
  'getAffinity' | 'setAffinity' | 'getMemoryPolicy' | 'setMemoryPolicy'
>

/** Where threads are to be, by number. */
export interface ThreadPlace {
  readonly cpus: readonly number[]
  /** Nodes that memory should come from; none leaves that to the kernel. */
  readonly memoryNodes: readonly number[]
}

/** What a bound call came to. */
export interface Bound<T> {
  readonly result: T
  /** What the kernel refused, which many containers do: the thread runs all the same. */
  readonly refusals: readonly Error[]
}

/**
 * Calls `create` while the calling thread is bound as the threads that it makes are to be: they inherit processors and
 * memory policy. What was before is put back, whatever happens.
 *
 * A policy prefers nodes rather than insists on them, where that can be said: a node that is full is no reason to kill.
 */
export function createBound<T>(kernel: BindingPort, place: ThreadPlace, create: () => T): Bound<T> {
  assert(place.cpus.length > 0, 'a thread has a processor at least')
  const refusals: Error[] = []
  const restoreCpus = bindCpus(kernel, place.cpus, refusals)
  const restoreMemory = bindMemory(kernel, place.memoryNodes, refusals)
  try {
    return { result: create(), refusals }
  } finally {
    restoreMemory()
    restoreCpus()
  }
}

/** The processors that a thread may run on, the calling one for 0; null where the kernel does not say. */
export function readAffinityOf(
  kernel: Pick<BindingPort, 'getAffinity'>,
  threadId: number,
): Uint8Array | null {
  for (let bytes = CPU_MASK_BYTES_MIN; bytes <= CPU_MASK_BYTES_MAX; bytes *= 2) {
    const mask = new Uint8Array(bytes)
    const result = kernel.getAffinity(threadId, mask)
    if (result >= 0) return mask.subarray(0, result)
    if (result !== -EINVAL) return null
  }
  return null
}

function bindCpus(kernel: BindingPort, cpus: readonly number[], refusals: Error[]): () => void {
  const before = readAffinityOf(kernel, 0)
  // What cannot be put back is not changed.
  if (before === null || isEqual(numbersOfMask(before), cpus)) return nothing
  const result = kernel.setAffinity(0, maskOfNumbers(cpus))
  if (result < 0) {
    refusals.push(kernelError(result, { syscall: 'sched_setaffinity' }))
    return nothing
  }
  return () => {
    kernel.setAffinity(0, before)
  }
}

function bindMemory(kernel: BindingPort, nodes: readonly number[], refusals: Error[]): () => void {
  if (nodes.length === 0) return nothing
  const before = new Uint8Array(NODE_MASK_BYTES)
  const mode = kernel.getMemoryPolicy(before)
  if (mode < 0) {
    refusals.push(kernelError(mode, { syscall: 'get_mempolicy' }))
    return nothing
  }
  const wanted = nodes.length === 1 ? MPOL_PREFERRED : MPOL_BIND
  const result = kernel.setMemoryPolicy(wanted, maskOfNumbers(nodes))
  if (result < 0) {
    refusals.push(kernelError(result, { syscall: 'set_mempolicy' }))
    return nothing
  }
  return () => {
    kernel.setMemoryPolicy(mode, before)
  }
}

function isEqual(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((number, index) => number === others[index])
}

function nothing(): void {}
