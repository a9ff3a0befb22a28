export type { Prng } from '../base/index.ts'
export {
  type FileSystem,
  type SimErrorName,
  type SimFaults,
  type SimHostOptions,
  SimKernel,
  type SimKernelOptions,
  type SimLeftovers,
  type SimLoopEvents,
  type SimTraceEntry,
  type StuckReason,
} from '../sim/index.ts'
export { contract } from './contract.ts'
export { replayCommand, seeds } from './replay.ts'
export { type Simulation, type SimulationOptions, simulate } from './simulation.ts'
