/**
 * Several runs rather than a long one: what runs at the end of one is compiled only once it was met, and
 * the code around it is compiled anew.
 */
const RUNS = 8

/** Runs so many operations in all before the clock starts, at least one batch at a time. */
export async function warmUp(
  run: (count: number) => Promise<void>,
  operationCount: number,
  batchCount: number,
): Promise<void> {
  const count = Math.max(batchCount, Math.ceil(operationCount / RUNS))
  for (let index = 0; index < RUNS; index++) await run(count)
}
