export {
  type BlockingCallOptions,
  BlockingPool,
  type BlockingPoolOptions,
  type BlockingPoolStats,
} from './blocking-pool.ts'
export type { Transferable } from './protocol.ts'
export {
  BlockingModule,
  blocking,
  type FunctionName,
  type ResultOf,
  spawnBlocking,
  type ValuesOf,
} from './spawn-blocking.ts'
export { transferResult } from './transfer-result.ts'
