import { validateInteger } from '../base/index.ts'
import { type CallSite, shortPath } from './call-site.ts'

const SEED_VARIABLE = 'PERCORE_SEED'
const TRACE_VARIABLE = 'PERCORE_TRACE'

/** What vitest keeps for its worker, as far as it is looked at; no API of its. */
interface VitestWorker {
  readonly filepath?: unknown
  readonly current?: { readonly name?: unknown }
}

/** What `expect` of jest says of the test that runs. */
interface JestState {
  readonly testPath?: unknown
  readonly currentTestName?: unknown
}

/**
 * The seed that `PERCORE_SEED` names, which replaces all others; undefined if it names none.
 *
 * @throws {RangeError | TypeError} if it is not a whole number.
 */
export function seedOfEnvironment(): number | undefined {
  const text = process.env[SEED_VARIABLE]
  if (text === undefined || text === '') return undefined
  const seed = Number(text)
  validateInteger('simulate', SEED_VARIABLE, seed, { min: 0, max: Number.MAX_SAFE_INTEGER })
  return seed
}

/** Whether `PERCORE_TRACE` asks for the trace of every simulation. */
export function isTraceWanted(): boolean {
  const text = process.env[TRACE_VARIABLE]
  return text !== undefined && text !== '' && text !== '0'
}

/**
 * The seeds from `from` on, `count` of them; just that of `PERCORE_SEED` where it is set.
 *
 * For a loop of simulations, which would else replay one seed again and again.
 *
 * @throws {RangeError | TypeError} for what are not whole numbers from 0 on.
 *
 * @example Try twenty runs of a program
 * ```ts run
 * import { seeds, simulate } from 'percore/testing'
 * import { sleep } from 'percore/time'
 *
 * for (const seed of seeds(20)) await simulate(seed, () => sleep(1000))
 * ```
 */
export function seeds(count: number, from = 0): Iterable<number> {
  const limits = { min: 0, max: Number.MAX_SAFE_INTEGER }
  validateInteger('list seeds', 'count', count, limits)
  validateInteger('list seeds', 'from', from, limits)
  return listSeeds(count, from)
}

function* listSeeds(count: number, from: number): Iterable<number> {
  const chosen = seedOfEnvironment()
  if (chosen !== undefined) {
    yield chosen
    return
  }
  for (let seed = from; seed < from + count; seed++) yield seed
}

/**
 * The command that runs this program, or this test of vitest's or jest's, again with the same seed.
 *
 * A test runner's workers do not know how it was called: the command names the test's file, so that
 * options which are given by hand have to be added.
 */
export function replayCommand(seed: number): string {
  return replayCommandAt(seed, null)
}

/** The same, where it is known who simulates. */
export function replayCommandAt(seed: number, site: CallSite | null): string {
  const variable = `${SEED_VARIABLE}=${seed}`
  const { env } = process
  if (env.VITEST !== undefined) return `${variable} ${vitestCommand(site)}`
  if (env.JEST_WORKER_ID !== undefined) return `${variable} ${jestCommand(site)}`
  const [, program, ...words] = process.argv
  const script = program === undefined ? [] : [shortPath(program)]
  return [variable, 'node', ...[...process.execArgv, ...script, ...words].map(quote)].join(' ')
}

function vitestCommand(site: CallSite | null): string {
  const worker = (globalThis as { __vitest_worker__?: VitestWorker }).__vitest_worker__
  return testCommand('npx vitest run', worker?.filepath ?? site?.file, worker?.current?.name)
}

function jestCommand(site: CallSite | null): string {
  const { expect } = globalThis as { expect?: { getState?: () => JestState } }
  const state = expect?.getState?.()
  return testCommand('npx jest', state?.testPath ?? site?.file, state?.currentTestName)
}

function testCommand(runner: string, file: unknown, test: unknown): string {
  let command = runner
  if (typeof file === 'string') command += ` ${quote(shortPath(file))}`
  // Both take it for a pattern.
  if (typeof test === 'string')
    command += ` -t ${quote(test.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))}`
  return command
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
