/** A thread that polls before it sleeps, always, and tells what it has counted when it is asked. */
import { parentPort } from 'node:worker_threads'
import { attachExecutor } from '../../src/index.ts'

const executor = attachExecutor({ spinBeforeParkUs: Number.POSITIVE_INFINITY })
parentPort!.on('message', () => parentPort!.postMessage(executor.stats()))
