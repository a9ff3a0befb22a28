/**
 * Checks `percore/topology` on machines that this one is not, in virtual ones that a program of yours starts:
 * `node scripts/machines.mjs --runner <program> [--only word] [option ...]`. Without a runner it checks this machine.
 *
 * The runner is called once for each machine, as `<program> --cpus <qemu's -smp> --numa <nodes> --dist <distances> [option ...] --
 * command ...`. Nodes are `processors:MiB`, separated by semicolons, distances `from,to,distance`. It runs the command as root in
 * the current folder of a guest which sees this host's files, Node among them, at the same paths, passes its output on, and exits with its code.
 */
import { build, isBuildNeeded } from './build.mjs'
import { Refusal, run, runAsProgram } from './project.mjs'

const USAGE =
  'Usage: node scripts/machines.mjs [--runner <program> [--only <word>] [option of the runner ...]]'

const MACHINES = [
  {
    name: 'two sockets of two cores of two threads, a node each',
    options: ['--cpus', '8,sockets=2,cores=2,threads=2', '--numa', '0-3:1024;4-7:1024'],
    situations: [
      { name: 'as it is', spread: '0 4 2 6 1 5 3 7', pack: '0 1 2 3 4 5 6 7' },
      { name: 'restricted', cpuset: '1-5', memory: '1', spread: '1 4 2 5 3', pack: '2 3 1 4 5' },
      { name: 'two offline', offline: [3, 4], spread: '0 5 2 6 1 7', pack: '0 1 2 6 7 5' },
    ],
  },
  {
    name: 'two sockets of two nodes',
    options: [
      '--cpus',
      '8,sockets=2,cores=4,threads=1',
      '--numa',
      '0-1:512;2-3:512;4-5:512;6-7:512',
      '--dist',
      '0,1,12;2,3,12;0,2,32;0,3,32;1,2,32;1,3,32',
    ],
    situations: [{ name: 'as it is', spread: '0 4 2 6 1 5 3 7', pack: '0 1 2 3 4 5 6 7' }],
  },
  {
    name: 'a node without memory, and one without processors',
    options: [
      '--cpus',
      '6,sockets=3,cores=2,threads=1',
      '--numa',
      '0-1:1024;2-3:0;4-5:1024;:512',
      '--dist',
      '0,1,30;0,2,20;1,2,14;0,3,40;1,3,40;2,3,40',
    ],
    situations: [{ name: 'as it is', spread: '0 2 4 1 3 5', pack: '0 1 4 5 2 3' }],
  },
]

function main(args) {
  const { runner, only, options } = readPlan(args)
  if (isBuildNeeded()) {
    const exitCode = build()
    if (exitCode !== 0) return exitCode
  }
  const command = [process.execPath, 'scripts/machine-check.mjs']
  if (runner === undefined) return run(command[0], command.slice(1))
  const results = MACHINES.filter(({ name }) => name.includes(only)).map((machine) => {
    console.log(`\n── ${machine.name} ${'─'.repeat(40)}`)
    const words = [...machine.options, ...options, '--', ...command]
    return { ...machine, exitCode: run(runner, [...words, JSON.stringify(machine.situations)]) }
  })
  for (const { name, exitCode } of results) console.log(`── ${name}: exit code ${exitCode}`)
  return results.find(({ exitCode }) => exitCode !== 0)?.exitCode ?? 0
}

/** What is not ours is the runner's. */
export function readPlan(args) {
  const plan = { runner: undefined, only: '', options: [] }
  for (let index = 0; index < args.length; index++) {
    const word = args[index]
    if (word !== '--runner' && word !== '--only') plan.options.push(word)
    else {
      const value = args[++index]
      if (value === undefined || value.startsWith('-')) {
        throw new Refusal(`${word} needs a value\n${USAGE}`)
      }
      plan[word.slice(2)] = value
    }
  }
  if (plan.runner === undefined && args.length > 0) throw new Refusal(USAGE)
  return plan
}

await runAsProgram(import.meta.url, main)
