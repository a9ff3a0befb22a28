export type { ConsumerEnd } from './consumer-end.ts'
export {
  createOneshotCell,
  type OneshotBytes,
  type OneshotCell,
  OneshotReceiver,
  OneshotSender,
  type OpenOneshotCell,
  openOneshotHeader,
  WORD_ONESHOT_RECEIVER_CLAIM,
  WORD_ONESHOT_RECEIVER_EXECUTOR,
  WORD_ONESHOT_RECEIVER_INBOX,
  WORD_ONESHOT_SENDER_CLAIM,
  WORD_ONESHOT_SENDER_EXECUTOR,
  WORD_ONESHOT_SENDER_INBOX,
} from './oneshot-cell.ts'
export type { ProducerEnd } from './producer-end.ts'
export {
  AtomicWords,
  abandonEnd,
  claimEnd,
  END_ABANDONED,
  OWNER_UNNAMED,
  type SharedWords,
} from './shared-words.ts'
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
  isEndClaimed,
  measureSpscRing,
  type OpenRing,
  openHeader,
  type RingKind,
  type SpscRing,
  type SpscRingOptions,
  WORD_CONSUMER_CLAIM,
  WORD_CONSUMER_EXECUTOR,
  WORD_CONSUMER_INBOX,
  WORD_PRODUCER_CLAIM,
  WORD_PRODUCER_EXECUTOR,
  WORD_PRODUCER_INBOX,
  WORD_ROOM_WANTED,
} from './spsc-ring.ts'
export {
  createWatchCell,
  type OpenWatchCell,
  type WatchCell,
  WatchReader,
  WatchWriter,
} from './watch-cell.ts'
