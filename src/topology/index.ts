export type { MachinePort } from '../kernel/index.ts'
export type { Cpu, CpuKind, CpuLevel } from './cpu.ts'
export { type CpuFilter, CpuSet } from './cpu-set.ts'
export { Placement, PoolPlacement } from './placement.ts'
/** @internal How threads are bound by those that make them. */
export { type BindingPort, type Bound, createBound, readAffinityOf } from './thread-binding.ts'
export { type NumaNode, Topology } from './topology.ts'
