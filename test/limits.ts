/** How long a test may take before it counts as hanging. */

/** By how much this machine is slower than one with a processor of its own: `PERCORE_TEST_SLOWNESS`. */
const SLOWNESS = Number(process.env.PERCORE_TEST_SLOWNESS ?? 1)

/** A limit that only a hang reaches, on a slow machine, too. */
export function farLimitMs(limitMs: number): number {
  return limitMs * SLOWNESS
}

/** The options of a test that ends a hang itself, with a message of its own. */
export function limited(timeoutMs: number): { timeout: number } {
  return { timeout: farLimitMs(timeoutMs) }
}
