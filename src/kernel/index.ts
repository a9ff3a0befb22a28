export * from './abi.ts'
export * from './errno.ts'
export { hostNowNs, hostRandom, hostWallClockMs } from './host-clock.ts'
export type {
  Kernel,
  KernelName,
  LoopHost,
  RingEntry,
  RingLayout,
  RingMemory,
  RingSetup,
  SubmitRing,
} from './kernel.ts'
export {
  createLoopControl,
  DOUBLE_DEADLINE_NS,
  DOUBLE_ENTERS,
  DOUBLE_NOW_NS,
  DOUBLE_PARKED_NS,
  DOUBLE_PARKS,
  DOUBLE_SPIN_NS,
  DOUBLE_SPUN_NS,
  DOUBLE_TURN_END_NS,
  DOUBLE_TURNS,
  type LoopControl,
  NAME_CLOSE,
  NAME_DESCRIPTOR,
  WORD_ARMED,
  WORD_BACKGROUND,
  WORD_CLOSING,
  WORD_ENTER_ERROR,
  WORD_HOST_READY,
  WORD_LIVE_TIMERS,
  WORD_MORE,
  WORD_QUEUE,
  WORD_REFERENCED,
  WORD_RUNNABLE,
  WORD_SLEEPING,
  WORD_STALL_CAPTURING,
  WORD_STALL_REPORTED,
  WORD_TURN_SEQUENCE,
} from './loop-control.ts'
export {
  type Capabilities,
  letsFilesGo,
  probeKernel,
  type Refusal,
  type RefusalCause,
} from './probe.ts'
export { UringKernel } from './uring-kernel.ts'
