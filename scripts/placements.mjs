/**
 * Checks where the threads of pools and runtimes come to be, and their memory, on machines that this one is not, in virtual ones that
 * a program of yours starts: `node scripts/placements.mjs --runner <program> [--only word] [option ...]`. Without a runner it checks
 * this machine, of which nothing is expected beforehand.
 *
 * The runner is called once for each machine of scripts/machine-table.mjs, as scripts/machines.mjs does. What is needed of this folder is
 * copied into the guest's own memory first: a module is looked for in many places, and each look would go through the host.
 */
import { checkMachines, readPlan } from './machines.mjs'
import { runAsProgram } from './project.mjs'

const NEEDED = ['dist/src', 'prebuilds', 'package.json']
const SCRIPTS = ['placement-check', 'placement-shard', 'project', 'situation']

function main(args) {
  const files = [...NEEDED, ...SCRIPTS.map((name) => `scripts/${name}.mjs`)].join(' ')
  const copy = `mkdir -p /tmp/percore && cp -r --parents ${files} /tmp/percore && cd /tmp/percore && exec "$@"`
  const plan = readPlan(args)
  return checkMachines(plan, 'scripts/placement-check.mjs', (command) => {
    return ['sh', '-c', copy, 'sh', ...command]
  })
}

await runAsProgram(import.meta.url, main)
