/**
 * Checks `percore/topology` on machines that this one is not, in virtual ones that a program of yours starts:
 * `node scripts/machines.mjs --runner <program> [--only word] [option ...]`. Without a runner it checks this machine.
 *
 * The runner is called once for each machine, as `<program> --cpus <qemu's -smp> --numa <nodes> --dist <distances> [option ...] --
 * command ...`. Nodes are `processors:MiB`, separated by semicolons, distances `from,to,distance`. It runs the command as root in
 * the current folder of a guest which sees this host's files, Node among them, at the same paths, passes its output on, and exits with its code.
 */
import { buildIfNeeded } from './build.mjs'
import { MACHINES } from './machine-table.mjs'
import { Refusal, run, runAsProgram } from './project.mjs'

/** How the programs that check machines are called. */
const USAGE = '[--runner <program> [--only <word>] [option of the runner ...]]'

function main(args) {
  const plan = readPlan(args)
  return checkMachines(plan, 'scripts/machine-check.mjs', (command) => command)
}

/**
 * Has `script` check the machines of a plan; its last argument are the situations of a machine.
 *
 * @param wrap - What to run in a guest for a command, arguments being added at its end.
 */
export function checkMachines({ runner, only, options }, script, wrap) {
  const builtCode = buildIfNeeded()
  if (builtCode !== 0) return builtCode
  const command = [process.execPath, script]
  if (runner === undefined) return run(command[0], command.slice(1))
  const chosen = MACHINES.filter(({ name }) => name.includes(only)).map((machine) => {
    const words = [...machine.options, ...options, '--', ...wrap(command)]
    return { name: machine.name, words: [...words, JSON.stringify(machine.situations)] }
  })
  return runMachines(runner, chosen)
}

/** Calls a runner with the words of each machine, in order, and returns the first exit code that is not 0. */
export function runMachines(runner, machines) {
  const results = machines.map(({ name, words }) => {
    console.log(`\n── ${name} ${'─'.repeat(40)}`)
    return { name, exitCode: run(runner, words) }
  })
  for (const { name, exitCode } of results) console.log(`── ${name}: exit code ${exitCode}`)
  return results.find(({ exitCode }) => exitCode !== 0)?.exitCode ?? 0
}

/** What is not ours is the runner's. */
export function readPlan(args) {
  const usage = `Usage: node ${process.argv[1]} ${USAGE}`
  const plan = { runner: undefined, only: '', options: [] }
  for (let index = 0; index < args.length; index++) {
    const word = args[index]
    if (word !== '--runner' && word !== '--only') plan.options.push(word)
    else {
      const value = args[++index]
      if (value === undefined || value.startsWith('-')) {
        throw new Refusal(`${word} needs a value\n${usage}`)
      }
      plan[word.slice(2)] = value
    }
  }
  if (plan.runner === undefined && args.length > 0) throw new Refusal(usage)
  return plan
}

await runAsProgram(import.meta.url, main)
