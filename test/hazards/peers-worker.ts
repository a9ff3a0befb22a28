/** A thread that others watch the end of. */
import { parentPort, workerData } from 'node:worker_threads'
import { executor, spawn, yieldNow } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'

const { mode } = workerData as { mode: string }
const own = executor()

const modes: Record<string, () => unknown> = {
  'sleeps for ever': () => void sleep(3_600_000),
  'runs for ever': () => void spawn(runForEver),
  'is stuck in one turn': () => {
    const endless = (): void => {
      for (;;);
    }
    setTimeout(endless)
  },
  'ends by itself': () => void sleep(1),
  'closes its executor and goes on': async () => {
    await own.close()
    setInterval(() => {}, 1000)
  },
  'calls process.exit()': () => setTimeout(() => process.exit(0)),
  throws: () =>
    setTimeout(() => {
      throw new Error('on purpose')
    }),
}

parentPort!.postMessage(own.doorbell.address)
await modes[mode]!()

async function runForEver(): Promise<void> {
  for (;;) await yieldNow()
}
