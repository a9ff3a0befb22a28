/** A thread that has spawned three tasks, and goes on for ever in one turn. */
import { parentPort } from 'node:worker_threads'
import { attachExecutor, spawn } from '../../src/index.ts'

attachExecutor({ name: 'hangs' })
await Promise.all([spawn(() => {}), spawn(() => {})])
await spawn(() => {
  parentPort!.postMessage(null)
  for (;;);
})
