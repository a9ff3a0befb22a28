/** A thread that is to be terminated while it holds much I/O memory. */

import { parentPort, workerData } from 'node:worker_threads'
import { allocateBuffer, executor, type Lease } from '../../src/index.ts'
import { WORD_MORE } from '../../src/kernel/index.ts'
import { sleep } from '../../src/time/index.ts'
import { reactorOf } from '../reactor-of.ts'

const { isOutlived } = workerData as { isOutlived: boolean }
const reactor = reactorOf(executor())
const leases: Lease[] = []
for (let count = 0; count < 2000; count++) {
  const lease = allocateBuffer(512 + (count % 4096))
  lease.bytes.fill(1)
  leases.push(lease)
}
void sleep(3_600_000)
// One request more than can ever be reaped. Nothing may be reaped from now on, which would count anew.
if (isOutlived) reactor.control.words[WORD_MORE]!++
parentPort!.postMessage(reactor.memory.primary.memory.address)
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
