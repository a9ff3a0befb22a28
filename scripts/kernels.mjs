/**
 * Runs the suite on other kernels, in virtual machines that a program of yours starts:
 * `node scripts/kernels.mjs --runner <program> --kernel 6.1 --kernel 6.12 [option ...] [-- word ...]`.
 *
 * The runner is called once for each kernel, as `<program> --kernel 6.1 [option ...] -- command ...`. It runs the
 * command in the current folder of a guest which sees this host's files, Node among them, at the same paths, passes
 * its output on, and exits with its code. Words choose tests, as with `npm test -- word`.
 */
import { spawn } from 'node:child_process'
import { buildIfNeeded } from './build.mjs'
import { Refusal, ROOT, runAsProgram } from './project.mjs'

/** How much slower than a processor a guest may be: it may be emulated. */
const SLOWNESS = 10
const COUNTS = ['pass', 'skipped', 'fail', 'cancelled']
const USAGE =
  'Usage: node scripts/kernels.mjs --runner <program> --kernel <version> ... [option of the runner ...] [-- word ...]'

async function main(args) {
  const plan = readPlan(args)
  const builtCode = buildIfNeeded()
  if (builtCode !== 0) return builtCode
  const results = []
  for (const kernel of plan.kernels) results.push(await runOn(kernel, plan))
  for (const result of results) printSummary(result)
  return results.find(({ exitCode }) => exitCode !== 0)?.exitCode ?? 0
}

/** What is not ours is the runner's. */
export function readPlan(args) {
  const end = args.includes('--') ? args.indexOf('--') : args.length
  const plan = { runner: undefined, kernels: [], options: [], words: args.slice(end + 1) }
  for (let index = 0; index < end; index++) {
    const word = args[index]
    if (word !== '--runner' && word !== '--kernel') plan.options.push(word)
    else {
      const value = args[++index]
      if (index >= end || value.startsWith('-'))
        throw new Refusal(`${word} needs a value\n${USAGE}`)
      if (word === '--runner') plan.runner = value
      else plan.kernels.push(value)
    }
  }
  if (plan.runner === undefined || plan.kernels.length === 0) throw new Refusal(USAGE)
  return plan
}

async function runOn(kernel, { runner, options, words }) {
  console.log(`\n── Linux ${kernel} ${'─'.repeat(60)}`)
  const variable = `PERCORE_TEST_SLOWNESS=${process.env.PERCORE_TEST_SLOWNESS ?? SLOWNESS}`
  const command = ['env', variable, process.execPath, 'scripts/test.mjs', ...words]
  const startedMs = performance.now()
  const { exitCode, output } = await follow(runner, [
    '--kernel',
    kernel,
    ...options,
    '--',
    ...command,
  ])
  return { kernel, exitCode, output, seconds: (performance.now() - startedMs) / 1000 }
}

/** Runs a program, passes what it prints on as it comes, and keeps it. */
function follow(program, args) {
  // The pipe is the shell's: Node's is a socket, and emulators refuse to write to what can be read, too.
  const words = ['-o', 'pipefail', '-c', '"$@" 2>&1 | cat', 'bash', program, ...args]
  const child = spawn('bash', words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      process.stdout.write(text)
      output += text
    })
    child.on('error', ({ message }) => reject(new Refusal(`Cannot run bash: ${message}`)))
    child.on('close', (code) => resolve({ exitCode: code ?? 1, output }))
  })
}

function printSummary({ kernel, exitCode, output, seconds }) {
  const { counts, skipped, failed } = summarize(output)
  const numbers = counts === null ? 'no summary' : counts
  console.log(
    `\n── Linux ${kernel}: exit code ${exitCode}, ${numbers}, ${seconds.toFixed(0)} s ${'─'.repeat(20)}`,
  )
  for (const line of [...skipped, ...failed]) console.log(line)
}

/** What the reporter of `node --test` said: the counts, and which tests were passed over or have failed. */
export function summarize(output) {
  const found = COUNTS.map((name) => [
    name,
    new RegExp(`^ℹ ${name} (\\d+)$`, 'm').exec(output)?.[1],
  ])
  const counts = found.some(([, count]) => count === undefined)
    ? null
    : found.map(([name, count]) => `${count} ${name}`).join(', ')
  // Failures are listed again at the end, with what they are about.
  const [progress] = output.split(/^✖ failing tests:$/m)
  const lines = progress.split('\n').map((line) => line.trim())
  return {
    counts,
    skipped: lines.filter((line) => line.startsWith('﹣')),
    failed: lines.filter((line) => line.startsWith('✖')),
  }
}

await runAsProgram(import.meta.url, main)
