/** Runs the sides: pinned children that answer in JSON, and servers that answer on a port. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { onExit } from './cleanup.ts'
import type { Side } from './definition.ts'
import { findTool, scriptPath } from './locate.ts'

const RUN_MS_MAX = 120_000
const START_MS_MAX = 20_000
const STOP_MS_MAX = 5_000

/** A program to run. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
  /** The CPU to pin it to; without `taskset` it runs anywhere, and the header says so. */
  readonly cpu?: number
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** The last line a child printed, parsed. */
export type Answer = Readonly<Record<string, unknown>>

/** The command that runs a script of this folder with this very Node; `flags` are Node's own. */
export function nodeCommand(
  script: string,
  args: readonly (string | number)[],
  options: Pick<Command, 'cpu' | 'env'> & { readonly flags?: readonly string[] } = {},
): Command {
  const { flags = [], ...rest } = options
  return {
    program: process.execPath,
    args: [...flags, scriptPath(script), ...args.map(String)],
    ...rest,
  }
}

/** Why the script of a side cannot run, or `undefined` if it can; see {@link Side.missing}. */
export function missingScript(script: string): Side['missing'] {
  return existsSync(scriptPath(script)) ? undefined : `bench/${script}.ts is not built`
}

/**
 * Runs a program to its end and returns what it printed.
 *
 * @throws {Error} with its standard error if it fails, or takes longer than it may: two minutes, unless told.
 */
export async function runToEnd(command: Command, limitMs: number = RUN_MS_MAX): Promise<string> {
  const child = new Child(command)
  child.process.stdin.end()
  await child.waitForEnd(limitMs)
  return child.output
}

/** Like {@link runToEnd}, for a program whose last line is a JSON object. */
export async function runForJson(command: Command, limitMs?: number): Promise<Answer> {
  return parseLastLine(await runToEnd(command, limitMs))
}

/**
 * The number in field `name` of a child's answer.
 *
 * @throws {Error} if it is absent or not a finite number: a broken side must not look fast.
 */
export function numberField(answer: Answer, name: string): number {
  const value = answer[name]
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new Error(`Cannot read a result: field ${name} must be a number: ${JSON.stringify(answer)}`)
}

/** Parses the last line of a program's output as a JSON object. */
export function parseLastLine(output: string): Answer {
  const line = output.trimEnd().split('\n').at(-1) ?? ''
  const value: unknown = JSON.parse(line)
  if (typeof value === 'object' && value !== null) return value as Answer
  throw new Error(`Cannot read a result: the last line must be a JSON object: ${line}`)
}

/** A child that prints a first line when it is ready and ends when its standard input closes. */
export class Held implements AsyncDisposable {
  readonly pid: number
  readonly firstLine: string
  readonly #child: Child

  private constructor(child: Child, firstLine: string) {
    this.#child = child
    this.pid = child.process.pid ?? -1
    this.firstLine = firstLine
  }

  /**
   * Starts a program and waits for its first line.
   *
   * @throws {Error} if it ends, or stays silent for longer than it may: twenty seconds, unless told.
   */
  static async start(command: Command, limitMs: number = START_MS_MAX): Promise<Held> {
    const child = new Child(command)
    const line = await child.waitForLine(limitMs)
    return new Held(child, line)
  }

  /** The first line as a port. */
  port(): number {
    const port = Number(this.firstLine)
    if (Number.isInteger(port) && port > 0 && port < 65_536) return port
    throw new Error(`Cannot use a server: its first line must be its port: ${this.firstLine}`)
  }

  /** Closes its standard input, waits for its end, and returns all it printed. */
  async stop(): Promise<string> {
    this.#child.process.stdin.end()
    await this.#child.waitForEnd(STOP_MS_MAX)
    return this.#child.output
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Only a measurement that failed gets here with a server still running.
    this.#child.kill()
  }
}

/** A process with its output collected, killed with the harness. */
class Child {
  readonly process: ChildProcessWithoutNullStreams
  output = ''
  #errors = ''
  readonly #words: readonly string[]
  readonly #end: Promise<string | undefined>

  constructor(command: Command) {
    const taskset = command.cpu === undefined ? undefined : findTool('taskset')
    const words = [command.program, ...command.args]
    if (taskset !== undefined) words.unshift(taskset, '-c', String(command.cpu))
    // A process group of its own, so that what it forks ends with it.
    const child = spawn(words[0]!, words.slice(1), {
      env: { ...process.env, ...command.env },
      detached: true,
    })
    this.process = child
    this.#words = words

    const forget = onExit(() => this.kill())
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    // A child that has gone breaks the pipe; its exit says why.
    child.stdin.on('error', () => {})
    const end = new Promise<string | undefined>((resolve) => {
      child.on('error', (error) => {
        forget()
        resolve(error.message)
      })
      child.on('close', (code, signal) => {
        forget()
        resolve(code === 0 ? undefined : `ended with ${signal ?? code}`)
      })
    })
    this.#end = end.then((failure) => failure && this.#explain(failure))
  }

  /** Ends it and its group at once; nothing if it has ended, as its number may be another's. */
  kill(): void {
    const { pid, exitCode, signalCode } = this.process
    if (pid === undefined || exitCode !== null || signalCode !== null) return
    process.kill(-pid, 'SIGKILL')
  }

  async waitForEnd(msMax: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(this.#explain(`did not end within ${msMax} ms`)), msMax)
    })
    const failure = await Promise.race([this.#end, late])
    clearTimeout(timer)
    if (failure === undefined || failure === '') return
    this.kill()
    throw new Error(failure)
  }

  async waitForLine(msMax: number): Promise<string> {
    const line = new Promise<undefined>((resolve) => {
      this.process.stdout.on('data', () => {
        if (this.output.includes('\n')) resolve(undefined)
      })
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(this.#explain(`was not ready within ${msMax} ms`)), msMax)
    })
    const ended = this.#end.then((failure) => failure ?? 'ended before it was ready')
    const failure = await Promise.race([line, ended, late])
    clearTimeout(timer)
    if (failure !== undefined) {
      this.kill()
      throw new Error(failure)
    }
    return this.output.slice(0, this.output.indexOf('\n'))
  }

  #explain(failure: string): string {
    const errors = this.#errors.trim().split('\n').slice(-12).join('\n')
    return `\`${this.#words.join(' ')}\` ${failure}${errors === '' ? '' : `:\n${errors}`}`
  }
}
