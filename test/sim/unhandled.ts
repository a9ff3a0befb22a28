/** A simulated program whose task fails unawaited, in a process of its own: a test runner objects too. */
import { spawn } from '../../src/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'

const error = await simulate(1, async () => {
  spawn(() => Promise.reject(new Error('nobody cares')))
  await sleep(10)
}).catch((reason) => reason)
console.log(error.code, error.cause.message)
