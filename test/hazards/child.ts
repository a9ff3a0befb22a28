/** Programs of their own, where a process must end, and how. */

import { type ChildProcess, spawn } from 'node:child_process'
import { farLimitMs } from '../limits.ts'

const FAR_LIMIT_MS = farLimitMs(30_000)

export interface ChildOptions {
  /** For Node itself, such as `--expose-gc`. */
  readonly flags?: readonly string[]
  /** What starts Node: `['sh', '-c', 'ulimit -n 20; exec "$@"', 'sh']`. */
  readonly launcher?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Called once, with the child's first output. */
  readonly onOutput?: (child: ChildProcess) => void
}

export interface ChildResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
}

/**
 * Runs a module until it ends by itself; its standard input is a pipe that nobody writes to.
 *
 * In it are `percore`, `percore/time` as `time`, and the operations of tests as `operations`.
 */
export function runChild(body: string, options: ChildOptions = {}): Promise<ChildResult> {
  const door = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
  const source = `
    import * as percore from ${door('../../src/index.js')}
    import * as time from ${door('../../src/time/index.js')}
    import * as operations from ${door('../executor/operations.js')}
    ${body}`
  const node = [process.execPath, ...(options.flags ?? []), '--input-type=module', '-e', source]
  const [program, ...args] = [...(options.launcher ?? []), ...node]
  const child = spawn(program!, args, {
    env: { ...process.env, NODE_OPTIONS: '', NODE_V8_COVERAGE: '', ...options.env },
    timeout: FAR_LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  return new Promise((resolve, reject) => {
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output === '') options.onOutput?.(child)
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, output, errors }))
  })
}

/** What a child that did all it should, and said nothing else, looks like. */
export function success(output = ''): ChildResult {
  return { code: 0, signal: null, output, errors: '' }
}
