import { findExport } from '../base/index.ts'
import type { BlockingRequest } from './protocol.ts'
import { isBlockingThread, markLoading } from './thread-state.ts'

/**
 * Loads the function of a request.
 *
 * @throws {TypeError} if its module exports no such function; whatever loading the module throws.
 */
export async function loadFunction(
  request: BlockingRequest,
): Promise<(...args: unknown[]) => unknown> {
  const { module, name } = request
  const found = findExport(await load(module), name)
  if (typeof found === 'function') return found as (...args: unknown[]) => unknown
  const what = found === undefined ? 'there is none' : `it is of type ${typeof found}`
  throw new TypeError(
    `Cannot run '${name}' of ${module} as that must be an exported function: ${what}`,
  )
}

/** The error of a result that can't cross. */
export function notCloneable(cause: unknown): TypeError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new TypeError(`Cannot return as the result must be cloneable: ${why}`, { cause })
}

async function load(module: string): Promise<Record<string, unknown>> {
  // Elsewhere others run while it loads, and it is loaded once.
  if (isBlockingThread()) markLoading(module)
  try {
    return (await import(module)) as Record<string, unknown>
  } finally {
    markLoading(null)
  }
}
