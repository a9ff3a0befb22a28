import type { OwnedDescriptor, WaitOptions } from '../../executor/index.ts'

/** What has an open descriptor: a file, a stream, a listener of ours, a `FileHandle` of Node's; `fd` is negative once it is closed. */
export interface DescriptorHolder {
  readonly fd: number
}

/** Names the method of {@link SentHolder}. */
export const NOTE_SENT: unique symbol = Symbol('noteSent')

/** A holder that is told when another process is to have what it holds. */
export interface SentHolder extends DescriptorHolder {
  [NOTE_SENT](): void
}

/** How descriptors are received. */
export interface ReceiveDescriptorsOptions extends WaitOptions {
  /** How many may come at once; 253, the kernel's limit, if not given. Those beyond are closed, which is told. */
  readonly countMax?: number
}

/** A chunk of a Unix stream, and the descriptors that came with it. Disposing closes those that nobody has taken over. */
export class ReceivedMessage implements AsyncDisposable {
  /** The caller's for good. It ends where the bytes end that the descriptors were sent with, or before. */
  readonly data: Uint8Array
  /** In the order that they were sent in; mostly none. */
  readonly descriptors: readonly OwnedDescriptor[]
  /**
   * Whether others came with it that are lost, as they were more than `countMax`, or the process has no more numbers
   * (`RLIMIT_NOFILE`): the kernel has closed them.
   */
  readonly isTruncated: boolean

  /** @internal */
  constructor(data: Uint8Array, descriptors: readonly OwnedDescriptor[], isTruncated: boolean) {
    this.data = data
    this.descriptors = descriptors
    this.isTruncated = isTruncated
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.descriptors.map((descriptor) => descriptor.close()))
  }
}
