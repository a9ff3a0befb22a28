export type { ConsumerEnd } from './consumer-end.ts'
export {
  createOneshotCell,
  type OneshotBytes,
  type OneshotCell,
  OneshotReceiver,
  OneshotSender,
  type OpenOneshotCell,
  WORD_ONESHOT_RECEIVER_EXECUTOR,
  WORD_ONESHOT_RECEIVER_INBOX,
  WORD_ONESHOT_SENDER_EXECUTOR,
  WORD_ONESHOT_SENDER_INBOX,
} from './oneshot-cell.ts'
export type { ProducerEnd } from './producer-end.ts'
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
  WORD_CONSUMER_EXECUTOR,
  WORD_CONSUMER_INBOX,
  WORD_PRODUCER_EXECUTOR,
  WORD_PRODUCER_INBOX,
} from './spsc-ring.ts'
export {
  createWatchCell,
  type OpenWatchCell,
  type WatchCell,
  WatchReader,
  WatchWriter,
} from './watch-cell.ts'
