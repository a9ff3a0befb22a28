/** What the threads of scripts/placement-check.mjs run: they say where they are. */
import { allocateBuffer, executor } from '../dist/src/index.js'
import { UringKernel } from '../dist/src/kernel/index.js'
import { nodesOf, nodesOfNewHeap, processorNow, showList } from './situation.mjs'

const IO_BYTES = 2 ** 20

export default function report() {
  return { ...reportTasks(), ioNodes: nodesOfIo() }
}

/** The same without I/O memory, which drivers for tasks have none of. */
export function reportTasks() {
  const kernel = new UringKernel()
  const mask = new Uint8Array(8192)
  const lengthBytes = kernel.getAffinity(0, mask)
  const ids = Array.from(mask.subarray(0, lengthBytes), (byte, index) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => index * 8 + bit),
  )
  return {
    bound: showList(ids.flat()),
    processor: processorNow(),
    heapNodes: nodesOfNewHeap(kernel),
    ioMemoryBytes: executor().stats().ioMemory.sizeBytes,
  }
}

function nodesOfIo() {
  const lease = allocateBuffer(IO_BYTES)
  try {
    return nodesOf(executor().kernel, lease.bytes)
  } finally {
    lease.release()
  }
}
