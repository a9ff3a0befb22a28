import type { Executor } from '../executor/index.ts'
import { openReader } from './attach-ends.ts'
import { RingSource, type SourceOwner } from './ring-source.ts'
import type { SharedChannel } from './shared-channel.ts'

/**
 * @internal The receiving end of a channel for a layer above that takes what comes by itself, in turns of no task queue: an owner that
 * is told of it, rather than tasks that wait. To be opened, and drained once then.
 *
 * @throws as {@link attachReceiver}.
 */
export function createFrameSource(
  home: Executor,
  channel: SharedChannel<Uint8Array>,
  owner: SourceOwner<Uint8Array>,
): RingSource<Uint8Array> {
  return new RingSource(home, openReader('attach a receiver', channel, {}), owner)
}
