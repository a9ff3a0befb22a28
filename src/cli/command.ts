import { parseArgs } from 'node:util'
import { wrap } from './style.ts'

/** An option of a command; the usage text is made from it. */
export interface Flag {
  readonly type: 'boolean' | 'string'
  readonly summary: string
  /** One letter that stands for it, too. */
  readonly short?: string
  /** What a string stands for: `DIR`. */
  readonly placeholder?: string
}

export type Flags = Readonly<Record<string, Flag>>

/** What the flags of a command were set to. */
export type FlagValues<F extends Flags> = {
  readonly [K in keyof F]?: ValueOf<F[K]['type']> | undefined
}

type ValueOf<T> = T extends 'boolean' ? boolean : string

/** One command of `percore`: its usage as data, and what it does. */
export interface Command<F extends Flags = Flags> {
  readonly name: string
  /** One line, for the list of commands. */
  readonly summary: string
  /** Some sentences, for the help of the command. */
  readonly description: string
  readonly flags: F
  /** What may follow its name, once: `PID`. Without it nothing may. */
  readonly operand?: Operand
  /** Runs it; resolves to the exit code. */
  main(values: FlagValues<F>, operand?: string): Promise<number>
}

/** An argument that is no option. */
export interface Operand {
  readonly placeholder: string
  readonly summary: string
}

/** A command line that cannot be understood: one sentence and a list, exit code 2. */
export class UsageError extends Error {}

const HELP_FLAG: Flag = { type: 'boolean', short: 'h', summary: 'print this' }

/** Runs `command` with its arguments, or prints its help. */
export async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  const { values, operand } = readArguments(command, args)
  if (values.help) {
    process.stdout.write(describeCommand(command))
    return 0
  }
  return await command.main(values, operand)
}

function readArguments(
  command: Command,
  args: readonly string[],
): { readonly values: FlagValues<Flags>; readonly operand: string | undefined } {
  const options = Object.fromEntries(
    Object.entries(withHelp(command)).map(([name, { type, short }]) => [
      name,
      short === undefined ? { type } : { type, short },
    ]),
  )
  try {
    const allowPositionals = command.operand !== undefined
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals })
    const [operand, more] = positionals
    if (more !== undefined) throw refuse(command, `nothing may follow '${operand}': '${more}' does`)
    return { values, operand }
  } catch (error) {
    if (!isParseError(error)) throw error
    // Node's sentence, without its advice on positionals, which no command has.
    const [reason] = error.message.split(/[.\n]( |$)/)
    throw refuse(command, reason!)
  }
}

/** The error of a command line that the command does not understand. */
export function refuse(command: Command, reason: string): UsageError {
  return new UsageError(
    `Cannot run percore ${command.name}: ${reason}\n\n${describeCommand(command)}`,
  )
}

/** The number that an option was set to, or `otherwise` where it was not. @throws {UsageError} for one out of range. */
export function readNumber(
  command: Command,
  option: { readonly name: string; readonly text: string | undefined; readonly otherwise: number },
  { min, max }: { readonly min: number; readonly max: number },
): number {
  const { name, text, otherwise } = option
  if (text === undefined) return otherwise
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= min && value <= max) return value
  throw refuse(command, `--${name} must be a number from ${min} to ${max}: it is '${text}'`)
}

function isParseError(error: unknown): error is Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return code.startsWith('ERR_PARSE_ARGS')
}

/** The help of one command. */
export function describeCommand(command: Command): string {
  const flags = Object.entries(withHelp(command))
  const terms = flags.map(([name, flag]) => [formatFlag(name, flag), flag.summary] as const)
  const brief = Object.entries(command.flags).map(([name, flag]) => `[${formatFlag(name, flag)}]`)
  const { operand } = command
  const operands = operand === undefined ? [] : [`[${operand.placeholder}]`]
  const about =
    operand === undefined ? [] : [formatTerms([[operand.placeholder, operand.summary]]), '']
  return [
    `Usage: ${['percore', command.name, ...operands, ...brief].join(' ')}`,
    '',
    command.description,
    '',
    ...about,
    'Options',
    formatTerms(terms),
    '',
  ].join('\n')
}

function withHelp(command: Command): Flags {
  return { ...command.flags, help: HELP_FLAG }
}

function formatFlag(name: string, flag: Flag): string {
  return flag.type === 'string' ? `--${name} ${flag.placeholder ?? 'VALUE'}` : `--${name}`
}

/** Two columns, indented; what is too long for the second goes on below it. */
export function formatTerms(terms: readonly (readonly [term: string, text: string])[]): string {
  const width = Math.max(...terms.map(([term]) => term.length))
  const indent = width + 4
  return terms
    .map(([term, text]) => `  ${term.padEnd(width)}  ${wrap(text, { indent }).slice(indent)}`)
    .join('\n')
}
