/**
 * Runs the compiled tests; `npm test -- sync gate` keeps the files whose path contains any of the words.
 *
 * Arguments that start with `-` go to `node --test`, say `--test-name-pattern=close`.
 * `PERCORE_TEST_SLOWNESS=10` gives every test ten times as long, for a machine that is emulated, say.
 */
import { availableParallelism, loadavg, release } from 'node:os'
import { buildIfNeeded } from './build.mjs'
import { listFiles, Refusal, runAsProgram, runNode } from './project.mjs'

/** Only a hang takes as long, on a machine that is neither slow nor busy. */
const FILE_TIMEOUT_MS = 120_000

async function main(args) {
  const slowness = readSlowness()
  const flags = args.filter((word) => word.startsWith('-'))
  const filters = args.filter((word) => !word.startsWith('-'))
  const builtCode = buildIfNeeded()
  if (builtCode !== 0) return builtCode
  const files = listTests().filter((path) => isWanted(path, filters))
  if (files.length === 0)
    throw new Refusal(`Cannot run tests: no file matches ${filters.join(' ') || 'at all'}`)

  // Compiled, as the tests take theirs from it, too.
  const { busyness } = await import('../dist/test/busyness.js')
  const factor = Math.max(slowness, busyness(loadavg()[0], availableParallelism()))
  console.log(`Node ${process.version} on Linux ${release()}, ${files.length} files`)
  // On Node 20 the limit counts per file, and later also per test within one: both end a hang.
  const options = [
    '--test-concurrency=2',
    `--test-timeout=${Math.ceil(FILE_TIMEOUT_MS * factor)}`,
    '--test-reporter=spec',
  ]
  return runNode(['--enable-source-maps', '--test', ...options, ...flags, ...files])
}

/** The same as `test/limits.ts`, which the tests take theirs from. */
function readSlowness() {
  const slowness = Number(process.env.PERCORE_TEST_SLOWNESS ?? 1)
  if (slowness >= 1 && slowness <= 1000) return slowness
  throw new Refusal('Cannot run tests: PERCORE_TEST_SLOWNESS must be a number from 1 to 1000')
}

function listTests() {
  return [
    ...listFiles('scripts', '.test.mjs'),
    ...listFiles('dist/src', '.test.js'),
    ...listFiles('dist/test', '.test.js'),
  ]
}

function isWanted(path, filters) {
  return filters.length === 0 || filters.some((word) => path.includes(word))
}

await runAsProgram(import.meta.url, main)
