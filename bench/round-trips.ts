/** The clock of channels between two threads that wait by events: rates and round trips, printed as JSON. */

/** What `objects` are: small ones, as requests are. */
export function makeObject(index: number): object {
  return { id: index, name: 'a name of some length', tags: ['one', 'two'], isNew: true }
}

/** Of round trips, or of messages, as many again go before, in pieces, until all is compiled. */
const WARM_UPS = 8

/** How many go at a time: only the last are counted. */
export function roundTripCounts(count: number): number[] {
  return [...new Array<number>(WARM_UPS).fill(Math.ceil(count / WARM_UPS)), count]
}

/** Prints how many messages a second `transfer` moves, by the last of `counts`; the others are to warm up. */
export async function reportRate(
  counts: readonly number[],
  transfer: (count: number) => Promise<void>,
): Promise<never> {
  let messagesPerSecond = 0
  for (const count of counts) {
    const fromNs = process.hrtime.bigint()
    await transfer(count)
    messagesPerSecond = (count * 1e9) / Number(process.hrtime.bigint() - fromNs)
  }
  process.stdout.write(`${JSON.stringify({ messagesPerSecond })}\n`)
  process.exit(0)
}

/** Prints the median of round trips, in nanoseconds, likewise. */
export async function reportRoundTrips(
  counts: readonly number[],
  goAndReturn: (value: number) => Promise<void>,
): Promise<never> {
  let timesNs = new Float64Array(0)
  for (const count of counts) {
    timesNs = new Float64Array(count)
    for (let index = 0; index < count; index++) {
      const fromNs = process.hrtime.bigint()
      await goAndReturn(index)
      timesNs[index] = Number(process.hrtime.bigint() - fromNs)
    }
  }
  timesNs.sort()
  const p50Ns = timesNs[timesNs.length >> 1]
  process.stdout.write(`${JSON.stringify({ p50Ns })}\n`)
  process.exit(0)
}
