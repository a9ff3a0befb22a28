import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where percore itself is, compiled and as source maps name it: frames there are of no interest. */
const OWN_ROOTS = [new URL('..', import.meta.url), new URL('../../../src/', import.meta.url)]
const OWN_PREFIXES = OWN_ROOTS.flatMap((root) => [root.href, fileURLToPath(root)])
// "at name (file:///a/b.js:1:2)", or without name and parentheses.
const FRAME = /^\s*at (?:.*\()?((?:file:\/\/)?[^()\s][^()]*):(\d+):(\d+)\)?$/

/** A place in a program. */
export interface CallSite {
  /** The path of the file, seen from the working directory if it is below that. */
  readonly file: string
  readonly line: number
  readonly column: number
}

/** The place that called `callee`, or null where stacks say nothing. */
export function callSiteOf(callee: (...args: never[]) => unknown): CallSite | null {
  const holder: { stack?: string } = {}
  Error.captureStackTrace(holder, callee)
  return firstSite(holder.stack ?? '')
}

/** The topmost place of a stack that is not percore's, nor Node's; null if there is none. */
export function firstSite(stack: unknown): CallSite | null {
  // Whoever has set Error.prepareStackTrace makes anything of it.
  if (typeof stack !== 'string') return null
  for (const frame of stack.split('\n')) {
    const match = FRAME.exec(frame)
    if (match === null || isForeign(match[1]!)) continue
    return { file: shortPath(match[1]!), line: Number(match[2]), column: Number(match[3]) }
  }
  return null
}

export function formatSite({ file, line, column }: CallSite): string {
  return `${file}:${line}:${column}`
}

function isForeign(file: string): boolean {
  return file.startsWith('node:') || OWN_PREFIXES.some((prefix) => file.startsWith(prefix))
}

/** A path or URL as people write it. */
export function shortPath(file: string): string {
  const path = file.startsWith('file://') ? fileURLToPath(file) : file
  const short = relative(process.cwd(), path)
  return short === '' || short.startsWith('..') ? path : short
}
