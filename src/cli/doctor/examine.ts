import { RuntimeError } from '../../base/index.ts'
import { type DeviceProperties, type ExecutorStats, executor } from '../../executor/index.ts'
import { type Capabilities, UringKernel } from '../../kernel/index.ts'
import type { Finding, FindingState, Section } from './finding.ts'
import { examineContainer, examineNode } from './host.ts'
import { examineKernel } from './kernel.ts'
import { examineLimits, MEMLOCK_CHANGE } from './limits.ts'
import { examineMemoryNodes, examineProcessors } from './processors.ts'
import { examineDevice, examineFileSystem } from './storage.ts'

/** Everything that was looked at. */
export interface Examination {
  /** Whether percore can run here: nothing is broken. */
  readonly canRun: boolean
  readonly sections: readonly Section[]
}

/** What the two parts that everything hangs on said. */
interface Basis {
  readonly addonError: Error | null
  readonly capabilities: Capabilities | null
  readonly stats: ExecutorStats | null
  /** What an executor was told of devices. */
  readonly properties: readonly DeviceProperties[] | null
  /** Why there is no executor although there is io_uring. */
  readonly failure: Finding | null
}

/**
 * Looks at kernel, limits, processors, storage, Node and container, as far as each can be.
 *
 * Attaches an executor to this thread if that is possible, since only trying tells.
 */
export async function examine(folder: string): Promise<Examination> {
  const basis = tryAll()
  const sections = [...examineBasis(basis), examineLimits(basis.stats)]
  if (process.platform === 'linux') {
    sections.push(examineProcessors(), examineMemoryNodes())
    sections.push(
      await examineFileSystem(folder, basis.stats !== null),
      examineDevice(folder, basis.properties),
    )
  }
  sections.push(examineNode({ error: basis.addonError }, basis.stats))
  if (process.platform === 'linux') sections.push(examineContainer())
  return { canRun: countState(sections, 'broken') === 0, sections }
}

/** How many findings have a state. */
export function countState(sections: readonly Section[], state: FindingState): number {
  return findingsOf(sections).filter((finding) => finding.state === state).length
}

export function findingsOf(sections: readonly Section[]): readonly Finding[] {
  return sections.flatMap((section) => section.findings)
}

function tryAll(): Basis {
  const nothing = {
    addonError: null,
    capabilities: null,
    stats: null,
    properties: null,
    failure: null,
  }
  let kernel: UringKernel
  try {
    kernel = new UringKernel()
  } catch (error) {
    return { ...nothing, addonError: error as Error }
  }
  const capabilities = kernel.capabilities()
  if (!capabilities.isAvailable) return { ...nothing, capabilities }
  try {
    const current = executor()
    current.io.registerMemory()
    return { ...nothing, capabilities, stats: current.stats(), properties: current.ioProperties }
  } catch (error) {
    return { ...nothing, capabilities, failure: executorRefused(error) }
  }
}

/** A small ring works, and a large one does not: limits. */
function executorRefused(error: unknown): Finding {
  const code = error instanceof RuntimeError ? error.code : 'unknown'
  const id = 'executor'
  if (code === 'ERR_MEMLOCK_LIMIT') {
    return {
      id,
      state: 'broken',
      text: 'A small ring can be set up, but there is not enough lockable memory for the rings of an executor.',
      change: MEMLOCK_CHANGE,
      data: { code },
    }
  }
  const reason = error instanceof Error ? error.message : String(error)
  return {
    id,
    state: 'broken',
    text: `A ring can be set up, but no executor. ${reason}.`,
    change: 'Raise the limits: ulimit -n 65536, and the memory of the container',
    data: { code },
  }
}

function examineBasis({ capabilities, failure }: Basis): readonly Section[] {
  // Without the native layer the kernel can't be asked; the section on Node says why.
  if (capabilities === null) return []
  const section = examineKernel(capabilities)
  if (failure === null) return [section]
  return [{ ...section, findings: [...section.findings, failure] }]
}
