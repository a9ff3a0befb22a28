/** What a `Worker` of a pool runs: a shard, with the thread that it is on as its host. */
import { runWorker } from './worker-host.ts'

runWorker()
