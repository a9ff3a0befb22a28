export { ChannelError } from './channel-error.ts'
export { ChannelReceiver } from './channel-receiver.ts'
export { ChannelSender } from './channel-sender.ts'
export { type Channel, type ChannelOptions, createChannel } from './create-channel.ts'
