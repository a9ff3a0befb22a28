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
export type { ShardedSimulationOptions, ShardSimulation } from './sharded.ts'
export { simulate } from './simulation.ts'
export type { Simulation, SimulationOptions } from './simulation-run.ts'
