/** A thread that is bound to one processor, and makes a pool that is not. */
import { parentPort, workerData } from 'node:worker_threads'
import { maskOfNumbers, numbersOfMask } from '../../src/base/index.ts'
import { BlockingPool, blocking } from '../../src/blocking/index.ts'
import { executor } from '../../src/index.ts'
import { allowedCpus } from './work.ts'

const { cpu } = workerData as { cpu: number }
const { kernel } = executor()
if (kernel.setAffinity(0, maskOfNumbers([cpu])) !== 0) throw new Error('the kernel refused')

const work = blocking<typeof import('./work.ts')>(new URL('./work.js', import.meta.url))
const inPool = await work.call('allowedCpus', [])
const mask = new Uint8Array(8192)
const own = numbersOfMask(mask.subarray(0, kernel.getAffinity(0, mask)))
const pool = new BlockingPool()
await pool.close()
parentPort!.postMessage({ inPool, own, listed: allowedCpus() })
