export { type AcceptArgs, encodeAccept } from './accept.ts'
export {
  type AdviseArgs,
  type AllocateArgs,
  encodeAdvise,
  encodeAllocate,
  encodeTruncate,
  type TruncateArgs,
} from './allocate.ts'
export { encodeCancel, encodeCancelFd } from './cancel.ts'
export { encodeClose } from './close.ts'
export { type ConnectArgs, encodeConnect } from './connect.ts'
export {
  encodeReceiveMessage,
  encodeReceiveMessages,
  encodeSendMessage,
  type MessageArgs,
  type ReceiveMessagesArgs,
} from './message.ts'
export { encodeMessageRing, type MessageRingArgs } from './message-ring.ts'
export {
  encodeLink,
  encodeMakeDirectory,
  encodeRename,
  encodeSymbolicLink,
  encodeUnlink,
  type MakeDirectoryArgs,
  type NameRef,
  type SymbolicLinkArgs,
  type TwoNamesArgs,
  type UnlinkArgs,
} from './names.ts'
export { encodeNop } from './nop.ts'
export { encodeOpen, type OpenArgs } from './open.ts'
export { encodePoll, type PollArgs } from './poll.ts'
export { encodeRead, encodeReadVectored, READ_OPCODES } from './read.ts'
export {
  encodeReceive,
  encodeReceiveSelect,
  type ReceiveArgs,
  type ReceiveSelectArgs,
} from './receive.ts'
export {
  encodeSend,
  encodeSendTo,
  encodeSendZeroCopy,
  type SendArgs,
  type SendToArgs,
} from './send.ts'
export { encodeShutdown, type ShutdownArgs } from './shutdown.ts'
export { encodeSocket, type SocketArgs } from './socket.ts'
export { encodeSplice, type SpliceArgs } from './splice.ts'
export { encodeStatx, type StatxArgs } from './statx.ts'
export { encodeFsync, type FsyncArgs } from './sync.ts'
export { encodeTimeout, type TimeoutArgs, writeTimespec } from './timeout.ts'
export {
  encodeMove,
  type TransferArgs,
  type TransferOpcodes,
  type VectoredArgs,
  writeVector,
} from './transfer.ts'
export { encodeWrite, encodeWriteVectored, WRITE_OPCODES } from './write.ts'
