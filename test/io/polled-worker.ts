/** A thread that ends while a device has requests that it is polled for: see polled.test.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { executor } from '../../src/executor/index.ts'
import { DirectFile } from '../../src/io/index.ts'

const { path, mode } = workerData as { path: string; mode: 'reading' | 'closing' | 'exiting' }
const READ_BYTES = 65536
const file = await DirectFile.open(path, { poll: 'always' })

async function readOn(offsetBytes: number): Promise<void> {
  for (;;) (await file.read(offsetBytes, READ_BYTES))[Symbol.dispose]()
}

const readers = Array.from({ length: 16 }, (_, index) => readOn(index * READ_BYTES))
parentPort!.postMessage('reading')
if (mode === 'closing') {
  const ends = Promise.allSettled(readers)
  await executor().close()
  await ends
} else if (mode === 'exiting') {
  // Whatever is in flight at that moment.
  process.exit(0)
} else {
  await Promise.all(readers)
}
