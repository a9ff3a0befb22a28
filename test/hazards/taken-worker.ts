/** A thread that takes the memory of a lease, as users may, sends it to another thread, and ends. */

import { once } from 'node:events'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { allocateBuffer, attachExecutor, executor, type Lease } from '../../src/index.ts'

const KIB = 1024

/** How a thread takes memory, what it does with the lease, and how it ends. */
export interface Taking {
  /** By `ArrayBuffer.prototype.transfer()`, by a byte stream, or not at all. */
  readonly take: 'transfer' | 'stream' | 'nothing'
  readonly lease: 'released before' | 'released after' | 'held'
  readonly end: 'nothing left to do' | 'process.exit()' | 'close()' | 'terminate()' | 'told'
  /** Where the memory goes, rather than to the parent. */
  readonly port?: MessagePort
  /** Leases beside it, which nobody takes. */
  readonly otherCount?: number
}

const { take, lease: when, end, port, otherCount = 0 } = workerData as Taking
const target = port ?? parentPort!

async function taken(bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  if (take === 'transfer') {
    return (bytes.buffer as ArrayBuffer & { transfer(): ArrayBuffer }).transfer()
  }
  const stream = new ReadableStream({ type: 'bytes', start: (to) => to.enqueue(bytes) })
  const { value } = await stream.getReader().read()
  return value!.buffer as ArrayBuffer
}

/** Takes and fills all that is left of the memory; how many leases that were. */
function hoard(leases: Lease[]): number {
  for (;;) {
    try {
      const lease = allocateBuffer(16 * KIB)
      lease.bytes.fill(2)
      leases.push(lease)
    } catch {
      return leases.length
    }
  }
}

// A small arena, so that all of it can be filled.
attachExecutor({ ioMemoryBytes: 64 * KIB, ioMemoryBytesMax: 64 * KIB })
const others = Array.from({ length: otherCount }, () => {
  const lease = allocateBuffer(512)
  lease.bytes.fill(1)
  if (when === 'released before') lease.release()
  return lease
})
const lease = allocateBuffer(16 * KIB)
const bytes = lease.bytes as Uint8Array<ArrayBuffer>
bytes.fill(7)
if (when === 'released before') lease.release()
if (take === 'nothing') {
  target.postMessage(null)
} else {
  const buffer = await taken(bytes)
  target.postMessage(buffer, [buffer])
}
port?.close()
if (when === 'released after') lease.release()
if (when === 'held') Object.assign(globalThis, { lease, others })

if (end === 'process.exit()') process.exit(0)
if (end === 'close()') await executor().close()
if (end === 'terminate()') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
if (end === 'told') {
  const leases: Lease[] = []
  for (;;) {
    const [word] = (await once(parentPort!, 'message')) as [string]
    if (word === 'end') break
    globalThis.gc!()
    parentPort!.postMessage(hoard(leases))
  }
  parentPort!.unref()
}
