/** A process that `percore top` looks at; what it does is its first argument. It ends with its standard input. */
import { setTimeout as delay } from 'node:timers/promises'
import { attachExecutor, createTaskQueue, spawnInto } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'

const [, , what = '', name = 'shown'] = process.argv
const parentId = process.ppid

/** Whether the test still runs: nobody else ends what goes on for ever. */
function isAwaited(): boolean {
  return process.ppid === parentId
}

const programs: Record<string, () => void> = {
  serves() {
    const queue = createTaskQueue('serving', { shares: 300 })
    void spawnInto(queue, async () => {
      for (;;) await sleep(1)
    })
  },
  hangs() {
    void spawnInto(createTaskQueue('stuck'), () => {
      process.stdout.write('ready\n')
      while (isAwaited());
    })
  },
  hangsInNode() {
    setTimeout(() => {
      process.stdout.write('ready\n')
      while (isAwaited());
    }, 1)
  },
}

attachExecutor({ name })
process.stdin.resume().on('end', () => process.exit())
programs[what]!()
if (what === 'serves') {
  await delay(10)
  process.stdout.write('ready\n')
}
