#!/usr/bin/env node
/** The `percore` command. */

import { type Command, describeCommand, formatTerms, runCommand, UsageError } from './command.ts'
import { doctor } from './doctor.ts'
import { iotune } from './iotune.ts'
import { top } from './top.ts'
import { tour } from './tour.ts'
import { readVersion } from './version.ts'

/** Every command, in the order of the help: to add one, add it here. */
const COMMANDS: readonly Command[] = [doctor, tour, top, iotune]

process.stdout.on('error', endOutput)
// Progress and refusals that nobody reads any more stop nothing.
process.stderr.on('error', () => {})
process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args
  try {
    if (name === undefined) throw new UsageError(describeAll())
    if (name === '--help' || name === '-h' || name === 'help') {
      refuseMore(name, rest, 1)
      return print(describe(rest[0]))
    }
    if (name === '--version' || name === '-v') {
      refuseMore(name, rest, 0)
      return print(`${readVersion()}\n`)
    }
    return await runCommand(findCommand(name), rest)
  } catch (error) {
    if (!(error instanceof UsageError || isFolderGone(error))) throw error
    process.stderr.write(`${error.message}\n`)
    return 2
  }
}

function refuseMore(name: string, rest: readonly string[], countMax: number): void {
  if (rest.length <= countMax) return
  throw new UsageError(
    `Cannot run percore ${name} as nothing may follow${countMax > 0 ? ' its command' : ''}: '${rest[countMax]}' does`,
  )
}

function describe(name: string | undefined): string {
  return name === undefined ? describeAll() : describeCommand(findCommand(name))
}

function findCommand(name: string): Command {
  const found = COMMANDS.find((command) => command.name === name)
  if (found !== undefined) return found
  const kind = name.startsWith('-') ? 'option' : 'command'
  throw new UsageError(
    `Cannot run percore as there is no ${kind} '${name}'; the commands are:\n\n${listCommands()}`,
  )
}

function describeAll(): string {
  return [
    'Usage: percore COMMAND [options]',
    '',
    'Thread-per-core asynchronous I/O on Linux io_uring.',
    '',
    'Commands',
    listCommands(),
    '',
    'Options',
    formatTerms([
      ['--help, -h', 'print this; percore help COMMAND prints that of a command'],
      ['--version, -v', 'print the version'],
    ]),
    '',
  ].join('\n')
}

function listCommands(): string {
  return formatTerms(COMMANDS.map(({ name, summary }) => [name, summary]))
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}

/** Whether the folder that the shell is in was removed; Node's sentence says no more than a code. */
function isFolderGone(error: unknown): error is Error {
  if (!(error instanceof Error) || !('syscall' in error) || error.syscall !== 'uv_cwd') return false
  error.message = 'Cannot run percore here as the working folder must exist: it was removed'
  return true
}

/** A reader that has seen enough, `head` say, is no failure of ours. */
function endOutput(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`Cannot write the output: ${error.message}\n`)
  process.exit(1)
}
