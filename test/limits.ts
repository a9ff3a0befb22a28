/** How long a test may take before it counts as hanging, and how much of it is worth its time. */
import { availableParallelism, loadavg } from 'node:os'
import { after, afterEach, type TestContext } from 'node:test'
import { busyness } from './busyness.ts'

/** By how much this machine is slower than one with a processor of its own: `PERCORE_TEST_SLOWNESS`. */
const SLOWNESS = Number(process.env.PERCORE_TEST_SLOWNESS ?? 1)

/** How many seeds each simulated test tries, whatever the machine; null where the tests say so themselves. */
const SEED_COUNT = readCount(process.env.PERCORE_TEST_SEEDS)
const MANY_SEEDS_MS = 4 * 60 * 60_000

/** How long a file in which a test has failed may go on after its last test. */
const AFTERMATH_MS = 5_000

/** A limit that only a hang reaches, on a slow machine and on a busy one, too; sooner where nothing else goes on. */
export function farLimitMs(limitMs: number): number {
  if (SEED_COUNT !== null) return MANY_SEEDS_MS
  const factor = Math.max(SLOWNESS, busyness(loadavg()[0]!, availableParallelism()))
  // Node takes whole milliseconds only.
  return Math.ceil(limitMs * factor)
}

// What a failed test has left open would else keep its file until the limit of that. One that has passed is to end by itself.
let hasFailed = false
afterEach((context) => {
  // Node's types say that a suite has no such field.
  if ((context as Partial<TestContext> & { passed?: boolean }).passed === false) hasFailed = true
})
after(() => {
  if (hasFailed) setTimeout(() => process.exit(1), AFTERMATH_MS).unref()
})

/** The options of a test that ends a hang itself, with a message of its own. */
export function limited(timeoutMs: number): { timeout: number } {
  return { timeout: farLimitMs(timeoutMs) }
}

/**
 * How many simulated seeds a test tries, of `count`: fewer where the machine is slow, but not below 3; as many as
 * `PERCORE_TEST_SEEDS` says where that is set.
 *
 * For simulated kernels alone, of which the machine's kernel sees nothing: whoever tries that one on a
 * slow machine waits for the same results as elsewhere. Not for tests that count on luck being spread.
 */
export function seedCount(count: number): number {
  return SEED_COUNT ?? Math.max(Math.min(count, 3), Math.ceil(count / SLOWNESS))
}

/** The same for a test that counts on luck being spread over its seeds: not fewer where the machine is slow. */
export function spreadSeedCount(count: number): number {
  return SEED_COUNT ?? count
}

function readCount(text: string | undefined): number | null {
  if (text === undefined) return null
  const count = Number(text)
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new RangeError(`PERCORE_TEST_SEEDS must be a number of seeds: it is '${text}'`)
}

/** How often a test does something on the real kernel, of `count`: less often where the machine is slow. */
export function repetitionCount(count: number, least: number): number {
  return Math.max(least, Math.ceil(count / SLOWNESS))
}

/**
 * How many clients a test has, of `count`: fewer where the machine is slow, but not below `least`, from which on what the
 * test is after would show.
 */
export function clientCount(count: number, least: number): number {
  return Math.max(least, Math.ceil(count / SLOWNESS))
}

/** How much of a processor's time something may take, of `limit`: an emulated one takes longer for everything. */
export function slowLimit(limit: number): number {
  return limit * SLOWNESS
}
