/** What the scripts that send datagrams share. */

import { writeSync } from 'node:fs'

/** Calls `sendSome`, which tells how many it has sent, for so long; prints how many, and the CPU that took. */
export async function measureSends(
  seconds: number,
  warmupSeconds: number,
  sendSome: () => Promise<number>,
): Promise<void> {
  await sendFor(warmupSeconds, sendSome)
  const before = process.cpuUsage()
  const packets = await sendFor(seconds, sendSome)
  const { user, system } = process.cpuUsage(before)
  writeSync(1, `${JSON.stringify({ packets, cpuNs: (user + system) * 1000 })}\n`)
}

/** A count as eight bytes. */
export function writeCount(count: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(count), true)
  return bytes
}

async function sendFor(seconds: number, sendSome: () => Promise<number>): Promise<number> {
  const endMs = performance.now() + seconds * 1000
  let packets = 0
  while (performance.now() < endMs) packets += await sendSome()
  return packets
}
