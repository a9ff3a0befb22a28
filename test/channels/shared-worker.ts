/** The other thread of the tests of shared channels: does what `workerData` says. */
import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import {
  attachReceiver,
  attachSender,
  joinMesh,
  type SharedChannel,
  type SharedMesh,
} from '../../src/channels/index.ts'

/** What a worker does. */
export type WorkerPart =
  /** Sends back what it gets, until the end. */
  | { what: 'echo'; there: SharedChannel<unknown>; back: SharedChannel<unknown> }
  /** Receives so many, and ends in the middle of its work. */
  | { what: 'crash'; there: SharedChannel<unknown>; count: number; how: 'exit' | 'throw' | 'end' }
  /** Sends so many, and ends without a close. */
  | { what: 'leave'; back: SharedChannel<number>; count: number }
  /** Attaches to both ends, and waits. */
  | { what: 'wait'; there: SharedChannel<unknown>; back: SharedChannel<unknown> }
  /** Sends so many numbers to each shard, and receives as many from each. */
  | { what: 'mesh'; mesh: SharedMesh<number>; shard: number; count: number }

const part = workerData as WorkerPart

switch (part.what) {
  case 'echo': {
    using sender = attachSender(part.back)
    for await (const value of attachReceiver(part.there)) await sender.send(value)
    break
  }
  case 'crash': {
    const receiver = attachReceiver(part.there)
    for (let count = 0; count < part.count; count++) await receiver.receive()
    if (part.how === 'exit') process.exit(3)
    if (part.how === 'throw') throw new Error('planted')
    break
  }
  case 'leave': {
    const sender = attachSender(part.back)
    for (let value = 0; value < part.count; value++) await sender.send(value)
    break
  }
  case 'wait': {
    // Both before it is told, since it is terminated then.
    const receiver = attachReceiver(part.there)
    attachSender(part.back).trySend('attached')
    await receiver.receive()
    break
  }
  case 'mesh': {
    const self = joinMesh(part.mesh, part.shard)
    const { count } = part
    for (let value = 0; value < count; value++) {
      for (let to = 0; to < self.shardCount; to++) await self.send(to, value)
    }
    self.close()
    const next = new Array<number>(self.shardCount).fill(0)
    for await (const { from, value } of self.receiver) assert.equal(value, next[from]!++)
    for (const one of next) assert.equal(one, count)
    parentPort?.postMessage('done')
  }
}
