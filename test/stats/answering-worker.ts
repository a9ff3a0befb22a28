/** A thread that sends back what it receives. */
import { parentPort, workerData } from 'node:worker_threads'
import { attachReceiver, attachSender, type SharedChannel } from '../../src/channels/index.ts'
import { attachExecutor } from '../../src/index.ts'

interface Data {
  readonly channel: SharedChannel<number>
  readonly answers: SharedChannel<number>
}

attachExecutor({ name: 'answers' })
const { channel, answers } = workerData as Data
const sender = attachSender(answers)
parentPort!.postMessage(null)
for await (const value of attachReceiver(channel)) await sender.send(value)
