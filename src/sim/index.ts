export type { SimErrorName, SimFaults } from './faults.ts'
export type { FileSystem } from './file-system.ts'
export { assertHostTimers, hasFakeTimers, setImmediate } from './host-timers.ts'
export { machineFiles } from './machine-files.ts'
export { SIM_OPTIONS, type SimKernelOptions, type SimTraceEntry } from './options.ts'
export type { SimHostOptions } from './sim-host.ts'
export { SimKernel, type SimLeftovers } from './sim-kernel.ts'
export type { SimLoopEvents } from './sim-loop.ts'
export type { StuckReason } from './threads.ts'
export {
  type SimCpu,
  type SimNode,
  type SimTopology,
  type SimTopologyOptions,
  simTopology,
} from './topology.ts'
export { formatTrace } from './trace.ts'
