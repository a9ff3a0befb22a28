export { BufferPieces } from './buffer-pieces.ts'
export { type BufferPiece, BufferRing, type BufferRingOptions, NO_BUFFER } from './buffer-ring.ts'
export {
  Operation,
  type OperationState,
  SLOT_CREATED,
  SLOT_DONE,
  SLOT_QUEUED,
} from './operation.ts'
export * from './ops/index.ts'
export { Ring } from './ring.ts'
export type { RingOptions } from './set-up.ts'
export {
  encodeEntry,
  type MemoryRef,
  type OperationName,
  opcodeFor,
  SQE_BUFFER,
  SQE_FILE_INDEX,
  type SqeWords,
  type Target,
} from './sqe.ts'
