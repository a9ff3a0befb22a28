export type { Prng } from '../base/index.ts'
export {
  type FileSystem,
  type SimCpu,
  type SimErrorName,
  type SimFaults,
  type SimHostOptions,
  SimKernel,
  type SimKernelOptions,
  type SimLeftovers,
  type SimLoopEvents,
  type SimNode,
  type SimTopology,
  type SimTopologyOptions,
  type SimTraceEntry,
  type StuckReason,
  simTopology,
} from '../sim/index.ts'
export { contract } from './contract.ts'
export { replayCommand, seeds } from './replay.ts'
export { type Simulation, type SimulationOptions, simulate } from './simulation.ts'
