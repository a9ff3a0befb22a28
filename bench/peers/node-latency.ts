/**
 * node-latency BURST_MS: a node:net echo server that also works in the background.
 *
 * It works for a burst and then lets others run by setImmediate, as careful Node programs do.
 * Prints its port; when its input closes, prints what the background did, and ends.
 */

import { workOneUnit } from '../background.ts'
import { endWithStdin, listenAndPrintPort } from './node-server.ts'

const burstMs = Number(process.argv[2])
const fromMs = performance.now()
let unitCount = 0

await listenAndPrintPort()
endWithStdin(() => {
  const seconds = (performance.now() - fromMs) / 1_000
  return JSON.stringify({ units: unitCount, seconds })
})
setImmediate(runBurst)

function runBurst(): void {
  const untilMs = performance.now() + burstMs
  do {
    workOneUnit()
    unitCount++
  } while (performance.now() < untilMs)
  setImmediate(runBurst)
}
