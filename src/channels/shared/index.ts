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
