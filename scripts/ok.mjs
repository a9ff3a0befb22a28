/** `npm run ok`: everything that CI runs, in order, up to the first failure. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageProgram, Refusal, ROOT, runAsProgram, runNode } from './project.mjs'

/** Each step is a Node program; an optional one is left out while its file does not exist. */
const STEPS = [
  { name: 'build', purpose: 'native/ and TypeScript', args: ['scripts/build.mjs'] },
  {
    name: 'tidy',
    purpose: 'layers, doors, circles, sizes, forbidden names',
    args: ['scripts/tidy.mjs'],
  },
  {
    name: 'lint',
    purpose: 'biome: format and lint',
    args: [packageProgram('@biomejs/biome', 'biome'), 'check', '.'],
  },
  { name: 'docs', purpose: 'links of the Markdown files', args: ['scripts/docs.mjs'] },
  { name: 'test', purpose: 'every compiled test', args: ['scripts/test.mjs'] },
  {
    name: 'seeds',
    purpose: 'a thousand simulated runs',
    args: ['dist/test/seeds.js', '--seeds', '1000'],
    isOptional: true,
  },
  {
    name: 'examples',
    purpose: 'examples/, README.md, docs/, doc comments',
    args: ['scripts/examples.mjs'],
  },
  {
    name: 'bench',
    purpose: 'every benchmark, briefly',
    args: ['dist/bench/main.js', '--smoke'],
    isOptional: true,
  },
  { name: 'package', purpose: 'what npm would publish', args: ['scripts/package-check.mjs'] },
]

const USAGE = `Usage: npm run ok -- [--from <step>] [--only <step>]

${STEPS.map(({ name, purpose }) => `  ${name.padEnd(10)}${purpose}`).join('\n')}
`

function main(args) {
  const options = readOptions(args)
  if (options.help) {
    console.log(USAGE)
    return 0
  }
  const first = findStep(options.only ?? options.from ?? STEPS[0].name)
  const steps = options.only ? [STEPS[first]] : STEPS.slice(first)
  const results = []
  for (const step of steps) {
    results.push(runStep(step))
    if (results.at(-1).outcome === 'FAILED') break
  }
  const isDone = results.at(-1).outcome !== 'FAILED'
  printSummary(results, steps)
  return isDone ? 0 : 1
}

function readOptions(args) {
  const options = { from: { type: 'string' }, only: { type: 'string' }, help: { type: 'boolean' } }
  try {
    return parseArgs({ args, options }).values
  } catch (error) {
    throw new Refusal(`${error.message}\n\n${USAGE}`)
  }
}

function findStep(name) {
  const index = STEPS.findIndex((step) => step.name === name)
  if (index < 0) throw new Refusal(`There is no step ${name}\n\n${USAGE}`)
  return index
}

function runStep({ name, args, isOptional }) {
  const [program] = args
  if (isOptional && !existsSync(join(ROOT, program)))
    return { name, outcome: 'none yet', seconds: 0 }
  console.log(`\n── ${name} ${'─'.repeat(70 - name.length)}`)
  if (!program) throw new Refusal(`Cannot run ${name}: its program is not installed; run: npm ci`)
  const startedMs = performance.now()
  const exitCode = runNode(args)
  return {
    name,
    outcome: exitCode === 0 ? 'ok' : 'FAILED',
    seconds: (performance.now() - startedMs) / 1000,
  }
}

function printSummary(results, steps) {
  console.log(`\n── summary ${'─'.repeat(63)}`)
  for (const { name, outcome, seconds } of results) {
    console.log(`${name.padEnd(10)} ${outcome.padEnd(10)} ${seconds.toFixed(1).padStart(6)} s`)
  }
  for (const { name } of steps.slice(results.length)) console.log(`${name.padEnd(10)} not run`)
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0)
  console.log(`${'total'.padEnd(21)} ${seconds.toFixed(1).padStart(6)} s`)
}

await runAsProgram(import.meta.url, main)
