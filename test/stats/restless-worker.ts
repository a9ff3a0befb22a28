/** A thread that polls, sleeps and runs in turn, as fast as it can. */
import { parentPort } from 'node:worker_threads'
import { attachExecutor } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'

attachExecutor({ name: 'restless', spinBeforeParkUs: 20 })
for (let round = 0; ; round++) {
  if (round === 3) parentPort!.postMessage(null)
  await sleep(0.05)
}
