/** The forms in which `connect()` and `listen()` of `node:net` take their arguments. */
import { RuntimeError } from '../base/index.ts'

/** What is called once, when it has connected or listens. */
export type Listener = () => void

/** The arguments, whichever form they had. */
export interface Arguments {
  readonly options: Readonly<Record<string, unknown>>
  readonly listener: Listener | null
}

/** `(options, listener)`, `(port, host, …, listener)` or `(path, …, listener)`. */
export function readArguments(args: readonly unknown[]): Arguments {
  const last = args.at(-1)
  const listener = typeof last === 'function' ? (last as Listener) : null
  const [first, second] = args
  if (args.length === 0) return { options: {}, listener }
  if (typeof first === 'object' && first !== null) {
    return { options: first as Record<string, unknown>, listener }
  }
  if (isPath(first)) return { options: { path: first }, listener }
  const options: Record<string, unknown> = typeof first === 'function' ? {} : { port: first }
  if (args.length > 1 && typeof second === 'string') options.host = second
  return { options, listener }
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && !(Number(value) >= 0)
}

/** @throws {RuntimeError} `ERR_UNSUPPORTED` for what a socket of `node:net` may be told and ours may not. */
export function refuseOptions(
  action: string,
  options: Readonly<Record<string, unknown>>,
  names: readonly string[],
): void {
  for (const name of names) {
    const value = options[name]
    if (value === undefined || value === null) continue
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot ${action} as ${name} must not be given: percore/node has sockets of its own`,
    )
  }
}
