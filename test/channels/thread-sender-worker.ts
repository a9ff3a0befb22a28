/** A thread without an executor that sends: a `Worker` that does what `workerData` says. */
import { readdirSync, readlinkSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import {
  attachThreadSender,
  type MpscChannel,
  type SharedChannel,
} from '../../src/channels/index.ts'

/** What a worker does. */
export type SenderPart =
  /** Sends so many numbers, one by one or in batches, and closes. */
  | {
      what: 'numbers'
      channel: SharedChannel<number> | MpscChannel<number>
      from: number
      count: number
      lot: number
    }
  /** Sends those values, and closes. */
  | { what: 'values'; channel: SharedChannel<unknown>; values: readonly unknown[] }
  /** Sends so many numbers, and ends without a close. */
  | { what: 'leave'; channel: SharedChannel<number>; count: number; how: 'end' | 'exit' | 'throw' }
  /** Sends until it fails, and posts why. */
  | { what: 'untilRefused'; channel: SharedChannel<number> }
  /** Takes the end, and waits for ever. */
  | { what: 'wait'; channel: SharedChannel<number> }

const part = workerData as SenderPart
const ringCount = countRings()

switch (part.what) {
  case 'numbers': {
    using sender = attachThreadSender<number>(part.channel)
    const { from, count, lot } = part
    for (let next = 0; next < count; next += lot) {
      const values = Array.from(
        { length: Math.min(lot, count - next) },
        (_, index) => from + next + index,
      )
      if (lot === 1) await sender.send(values[0]!)
      else await sender.sendBatch(values)
    }
    break
  }
  case 'values': {
    using sender = attachThreadSender(part.channel)
    for (const value of part.values) await sender.send(value)
    break
  }
  case 'leave': {
    const sender = attachThreadSender(part.channel)
    for (let value = 0; value < part.count; value++) await sender.send(value)
    sender.flush()
    if (part.how === 'exit') process.exit(0)
    if (part.how === 'throw') throw new Error('planted')
    break
  }
  case 'untilRefused': {
    const sender = attachThreadSender(part.channel)
    try {
      for (let value = 0; ; value++) await sender.send(value)
    } catch (error) {
      const { code, value } = error as { code: string; value: number }
      parentPort!.postMessage({
        code,
        value,
        left: sender.takeBack(),
        rings: countRings() - ringCount,
      })
    }
    break
  }
  case 'wait': {
    attachThreadSender(part.channel)
    parentPort!.postMessage('attached')
    setInterval(() => {}, 1_000)
  }
}

/** Descriptors of rings of this process. */
function countRings(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('io_uring')
    } catch {
      return false // closed meanwhile
    }
  }).length
}
