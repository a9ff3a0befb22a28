export {
  createOneshotCell,
  type OneshotBytes,
  type OneshotCell,
  OneshotReceiver,
  OneshotSender,
  type OpenOneshotCell,
} from './oneshot-cell.ts'
export { AtomicWords, type SharedWords } from './shared-words.ts'
export {
  type FrameCells,
  frameBytesMax,
  frameCellsMax,
  SpscFrameConsumer,
  SpscFrameProducer,
} from './spsc-frames.ts'
export { type NumberCells, SpscNumberConsumer, SpscNumberProducer } from './spsc-numbers.ts'
export {
  createSpscRing,
  measureSpscRing,
  type OpenRing,
  type RingKind,
  type SpscRing,
  type SpscRingOptions,
} from './spsc-ring.ts'
export {
  createWatchCell,
  type OpenWatchCell,
  type WatchCell,
  WatchReader,
  WatchWriter,
} from './watch-cell.ts'
