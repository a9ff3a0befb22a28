/**
 * latency BURST_MS: an echo server in a latency-sensitive task queue, beside a busy background.
 *
 * The background works in bursts of BURST_MS, as Node's does, but asks after each unit whether
 * somebody may not wait. Prints its port; when its input closes, prints what it did, and ends.
 */

import { createTaskQueue, needPreempt, spawnInto, yieldNow } from '../../src/index.ts'
import { TcpListener, type TcpStream } from '../../src/net/index.ts'
import { workOneUnit } from '../background.ts'

const burstMs = Number(process.argv[2])
const fromMs = performance.now()
let unitCount = 0

const serving = createTaskQueue('serving', { shares: 1000, latency: { maxMs: 2 } })
const background = createTaskQueue('background', { shares: 1000 })

await spawnInto(serving, async () => {
  const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  process.stdout.write(`${listener.address.port}\n`)
  void spawnInto(serving, async () => {
    for await (const stream of listener) void serve(stream)
  })
})
void spawnInto(background, async () => {
  for (;;) {
    runBurst()
    await yieldNow()
  }
})
process.stdin.resume()
process.stdin.on('end', () => {
  const seconds = (performance.now() - fromMs) / 1_000
  process.stdout.write(`${JSON.stringify({ units: unitCount, seconds })}\n`, () => process.exit(0))
})

// Apart, since V8 leaves a hot loop inside of an async function half optimised.
function runBurst(): void {
  const untilMs = performance.now() + burstMs
  do {
    workOneUnit()
    unitCount++
  } while (!needPreempt() && performance.now() < untilMs)
}

async function serve(stream: TcpStream): Promise<void> {
  try {
    for await (const chunk of stream) await stream.write(chunk)
  } catch {
    // A peer that resets ends its own connection only.
  }
  await stream.close()
}
