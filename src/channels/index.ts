export {
  abandonReceiver,
  abandonSender,
  abandonShard,
  type WithReceiver,
  type WithSender,
} from './abandon.ts'
export {
  type AttachManyOptions,
  type AttachOptions,
  attachReceiver,
  attachSender,
  type CodecOptions,
} from './attach-ends.ts'
export {
  attachBroadcastReceiver,
  attachBroadcastSender,
  type BroadcastChannel,
  type BroadcastOptions,
  BroadcastSender,
  createBroadcast,
} from './broadcast.ts'
export { ChannelError, type ChannelErrorCode } from './channel-error.ts'
export { ChannelReceiver } from './channel-receiver.ts'
export { ChannelSender } from './channel-sender.ts'
export type { ChannelCodec, CodecName } from './codec.ts'
export { type Channel, type ChannelOptions, createChannel } from './create-channel.ts'
/** @internal How a layer above receives by itself. */
export { createFrameSource } from './frame-source.ts'
export {
  createMesh,
  joinMesh,
  Mesh,
  type MeshMessage,
  type MeshOptions,
  type MeshRole,
  type SharedMesh,
} from './mesh.ts'
export {
  attachMpscReceiver,
  attachMpscSender,
  createMpscChannel,
  type MpscChannel,
  type MpscChannelOptions,
} from './mpsc-channel.ts'
/** @internal */
export type { RingSource, SourceOwner } from './ring-source.ts'
export type { RingTable, TableKind } from './ring-table.ts'
export { shardOf } from './shard-of.ts'
export type { OneshotCell, RingKind, SpscRing, WatchCell } from './shared/index.ts'
export {
  createSharedChannel,
  type SharedChannel,
  type SharedChannelOptions,
} from './shared-channel.ts'
export {
  attachOneshotReceiver,
  attachOneshotSender,
  createSharedOneshot,
  type SharedOneshot,
  type SharedOneshotOptions,
  SharedOneshotReceiver,
  SharedOneshotSender,
} from './shared-oneshot.ts'
export { SharedReceiver } from './shared-receiver.ts'
export { SharedSender } from './shared-sender.ts'
export {
  attachWatchReader,
  attachWatchWriter,
  createSharedWatch,
  type SharedWatch,
  type SharedWatchOptions,
  SharedWatchReader,
  SharedWatchWriter,
} from './shared-watch.ts'
export { attachThreadSender, ThreadSender } from './thread-sender.ts'
export type { ValueTarget } from './value-reader.ts'
/** @internal */
export { NONE, type None } from './value-reader.ts'
